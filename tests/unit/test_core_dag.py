"""The graph of processes, from what Nextflow leaves of a run, and where it is drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.core import dag

MERMAID = """flowchart TB
    subgraph " "
    v0["Channel.of"]
    end
    subgraph FLOW
    subgraph SUB
    v1([ALIGN])
    v2([SORT])
    v3(( ))
    end
    v4([REPORT])
    end
    v0 --> v1
    v1 -->|bam| v2
    v1 --> v3
    v2 --> v3
    v3 --> v4
"""
GRAPHVIZ = """<svg>
<g id="node1" class="node">
<title>v0</title>
<ellipse fill="black" cx="1" cy="1" rx="3.6" ry="3.6"/><text>Channel.of</text>
</g>
<g id="node2" class="node">
<title>v1</title>
<ellipse fill="none" cx="1" cy="1" rx="90.1" ry="18"/><text x="1">A:FIRST&lt;b&gt;</text>
</g>
<g id="node3" class="node">
<title>v2</title>
<ellipse fill="none" cx="1" cy="1" rx="90.1" ry="18"/><text x="1">A:SECOND</text>
</g>
<g class="edge"><title>v0&#45;&gt;v1</title></g>
<g class="edge"><title>v1&#45;&gt;v2</title></g>
</svg>"""


def write(folder: Path, text: str) -> Path:
    path = folder / "dag"
    path.write_text(text)
    return path


def test_processes_alone_are_kept_and_what_longer_ways_say_is_left_out(tmp_path: Path) -> None:
    graph = dag.read([tmp_path / "none", write(tmp_path, MERMAID)])
    assert graph == {"nodes": ["FLOW:SUB:ALIGN", "FLOW:SUB:SORT", "FLOW:REPORT"],
                     "edges": [[0, 1], [1, 2]]}


def test_graphviz_s_picture_says_the_same(tmp_path: Path) -> None:
    assert dag.read([write(tmp_path, GRAPHVIZ)]) == {
        "nodes": ["A:FIRST<b>", "A:SECOND"], "edges": [[0, 1]]}


@pytest.mark.parametrize("text", ["", "flowchart TB\n", "<svg></svg>", "\0" * 99,
                                  "flowchart TB\n" + "v1([" * 50_000])
def test_what_has_no_process_is_no_graph(tmp_path: Path, text: str) -> None:
    assert dag.read([write(tmp_path, text)]) is None
    assert dag.read([tmp_path]) is None


def test_each_process_stands_right_of_those_before_it() -> None:
    names = [f"STEP_{'X' * 40}", "TWO", "THREE", "ALONE"]
    drawn = dag.picture({"nodes": names, "edges": [[0, 1], [1, 2], [2, 1]]})
    boxes = {box.title: box for box in drawn.boxes}
    assert boxes["TWO"].x > boxes[names[0]].x + boxes[names[0]].width
    assert len(boxes[names[0]].name) == dag.WIDEST and boxes["ALONE"].x == dag.EDGE
    assert all(box.x + box.width < drawn.width and box.y + dag.HEIGHT < drawn.height
               for box in drawn.boxes)
    assert len(drawn.lines) >= 1


def test_a_graph_without_processes_is_empty() -> None:
    assert dag.picture({"nodes": [], "edges": []}).boxes == ()
