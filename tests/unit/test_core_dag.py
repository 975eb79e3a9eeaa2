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


def write(folder: Path, text: str) -> Path:
    path = folder / "dag"
    path.write_text(text)
    return path


def test_processes_alone_are_kept_and_what_longer_ways_say_is_left_out(tmp_path: Path) -> None:
    graph = dag.read(write(tmp_path, MERMAID))
    assert graph == {"nodes": ["FLOW:SUB:ALIGN", "FLOW:SUB:SORT", "FLOW:REPORT"],
                     "edges": [[0, 1], [1, 2]]}


@pytest.mark.parametrize("text", ["", "flowchart TB\n", "<svg></svg>", "\0" * 99,
                                  "flowchart TB\n" + "v1([" * 50_000])
def test_what_has_no_process_is_no_graph(tmp_path: Path, text: str) -> None:
    assert dag.read(write(tmp_path, text)) is None
    assert dag.read(tmp_path) is None and dag.read(tmp_path / "none") is None


def test_a_circle_of_channels_and_itself_say_nothing_twice(tmp_path: Path) -> None:
    text = "flowchart TB\nv1([GRIND])\nv2([BREW])\nv3(( ))\n" + "".join(
        f"v{one} --> v{other}\n" for one, other in ((1, 3), (3, 1), (3, 2), (2, 3)))
    assert dag.read(write(tmp_path, text)) == {
        "nodes": ["GRIND", "BREW"], "edges": [[0, 1], [1, 0]]}


def test_each_process_stands_right_of_those_before_it_under_its_whole_name() -> None:
    names = [f"BIG:PART:STEP_{'X' * 40}", "BIG:TWO", "BIG:PART:SUB:THREE", "BIG:ALONE"]
    drawn = dag.picture({"nodes": names, "edges": [[0, 1], [1, 2], [2, 1]]})
    boxes = {box.title: box for box in drawn.boxes}
    assert boxes["BIG:TWO"].x > boxes[names[0]].x + boxes[names[0]].width
    said = {title: "".join(text.text for text in box.texts) for title, box in boxes.items()}
    assert said == {names[0]: f"STEP_{'X' * 40}PART", "BIG:TWO": "TWO",
                    "BIG:PART:SUB:THREE": "THREEPART:SUB", "BIG:ALONE": "ALONE"}
    assert [(line.begins, line.ends) for line in drawn.lines] == [(False, True), (True, True)]


def test_a_graph_without_processes_is_empty() -> None:
    assert dag.picture({"nodes": [], "edges": []}).boxes == ()
