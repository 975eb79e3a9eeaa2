"""The pages of a release and of a run in a real browser, as large as they get."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tasks.commands import release_report
from tasks.commands.release_diff import diff
from tasks.commands.release_report import ReportSpec
from tasks.core import files
from tasks.core.schema import check
from tasks.offline_host import run_page, run_tasks
from tasks.release.chain import Chain
from tasks.report import page as release_page
from tasks.report.content import Content
from tests.kit import browser, large_release, machine
from tests.kit.release_pairs import HOSTILE, change_all, current, hostile
from tests.kit.release_pairs import spec as diff_spec
from tests.kit.releases import Staged, stage

WIDTHS = (400, 1400)
WIDE = "return [page.documentElement.scrollWidth, frame.contentWindow.innerWidth];"
NUMBERS = """
const text = (id) => Number(page.querySelector(id).innerText);
return Object.fromEntries(["files", "images", "data", "plugins", "open"].map(
  (name) => [name, text(`#n-${name}`)]));
"""
SEARCH = """
const field = page.querySelector('[aria-label="Search images"]');
const all = shown("images").length;
type(field, "BIOcontainers/trim: quay.io");
const some = shown("images"), said = field.nextSibling.textContent;
type(field, "");
return [all, some, said, shown("images").length];
"""
PAPER = """
const ground = () => getComputedStyle(page.body).backgroundColor, before = ground();
print();
return [before, ground(),
        [...page.querySelectorAll("input, nav, output")].filter(seen).map((one) => one.outerHTML),
        page.querySelectorAll("details:not([open])").length, cut()];
"""
COMPARED = """
const head = (part, column) => page.querySelectorAll(
  `table[data-search="${part}"] th button`)[column];
const field = page.querySelector('[aria-label="Search images"]');
type(field, "trim_htslib");
const few = shown("images").length;
type(field, "");
head("code", 1).click();
for (let time = 0; time < 2; time += 1) head("images", 2).click();
const rows = [...page.querySelector('table[data-search="images"]').tBodies[0].rows];
return [rows.map((row) => Number(row.cells[2].dataset.value)), shown("code"), few, [
  Number(rows[0].cells[2].dataset.value),
  Number(rows[0].querySelector("rect.whole").getAttribute("width"))]];
"""
SORT = """
const table = page.querySelector('table[data-search="images"]'), found = [];
for (let time = 0; time < 2; time += 1) {
  table.querySelectorAll("th button")[1].click();
  found.push([...table.tBodies[0].rows].map((row) => Number(row.cells[1].dataset.value)));
}
return found;
"""


OUTSIDE = """
const boxes = [...page.querySelectorAll(".picture g")], leaves = (box) => {
  const room = box.querySelector("rect").getBBox();
  return [...box.querySelectorAll("text")].some((text) => {
    const own = text.getBBox();
    return own.x < room.x || own.x + own.width > room.x + room.width
      || own.y < room.y || own.y + own.height > room.y + room.height;
  });
};
return [boxes.length, boxes.filter(leaves).length];
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Staged, Path]]:
    """A large release that follows another, and its page, with a bill of materials."""
    machine.need("chromium")
    folder = tmp_path_factory.mktemp("large")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        staged = dataclasses.replace(stage(), trust=Path("/etc/airlock"))
        first = staged.publish()
        change_all(staged)
        large_release.enlarge(staged)
        staged.publish()
        large_release.bill(folder / "bill.json")
        read = release_report._content

        @contextmanager
        def with_bill(here: Chain, name: str, at: Any) -> Iterator[Content]:
            with read(here, name, at) as content:
                yield dataclasses.replace(content, files={
                    **content.files, "sbom.cdx.json": folder / "bill.json"})

        patch.setattr(release_report, "_content", with_bill)
        release_report.report(spec(staged))
        diff(diff_spec(staged, first, current(staged)))
    yield staged, folder / staged.layout.report.with_suffix(".html")


def spec(staged: Staged) -> ReportSpec:
    return ReportSpec(pipeline="hello", layout=staged.layout, store=staged.store,
                      signing=staged.signing, trust=staged.trust, asked=None)


@pytest.fixture(scope="module")
def pages(large: tuple[Staged, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every kind of page, by its name."""
    staged, page = large
    folder = tmp_path_factory.mktemp("pages")
    offline = folder / "offline.html"
    offline.write_text(release_page.html(json.loads(page.with_suffix(".json").read_bytes()), [
        {"name": f"20260101T10{number:02}00Z-cohort", "state": state, "process": process,
         "started": "2026-01-01 10:00:00 UTC", "seconds": 7500, "took": "2 h 5 min",
         "who": "mira@compute-node-7.example.org", "page": "run.html"}
        for number, (state, process) in enumerate([
            ("success", None), ("failed", "NFCORE_LARGE:LARGE:ALIGN:BWAMEM2_MEM"),
            ("interrupted", None), ("running", None)] * 3)]))
    return {"report": page, "offline": offline, "run": ran(folder, "NFCORE_LARGE:LARGE:ALIGN (x)"),
            "diff": page.parents[3] / staged.layout.release_diff.with_suffix(".html")}


KINDS = ("report", "offline", "diff", "run")


@pytest.mark.parametrize("width", [*WIDTHS, 900])
@pytest.mark.parametrize("kind", KINDS)
def test_it_asks_for_nothing_has_no_fault_and_fits(
        pages: dict[str, Path], tmp_path: Path, kind: str, width: int) -> None:
    answer = browser.ask(pages[kind], f"{WIDE[:-2]}, cut()];", width=width, folder=tmp_path)
    assert (answer.requests, answer.console) == ([], [])
    assert answer.value == [width, width, []]


@pytest.mark.parametrize("kind", KINDS)
def test_on_paper_it_is_light_and_whole_without_what_is_clicked(
        pages: dict[str, Path], tmp_path: Path, kind: str) -> None:
    """On A4 upright with this page's margins, for a reader whose screen is dark."""
    dark, light, controls, folded, missing = browser.ask(pages[kind], PAPER, width=703, dark=True,
                                                         folder=tmp_path).value
    assert (dark, light) == ("rgb(20, 23, 28)", "rgb(255, 255, 255)")
    assert (controls, folded, missing) == ([], 0, [])


def test_on_paper_a_table_that_is_searched_says_so(
        pages: dict[str, Path], tmp_path: Path) -> None:
    said, rows = browser.ask(pages["diff"], """
const field = page.querySelector('[aria-label="Search images"]');
type(field, "Sort_htslib:");
print();
return [[...page.querySelectorAll(".search")].filter(seen).map((line) => line.innerText),
        page.querySelectorAll('table[data-search="images"] tbody tr:not([hidden])').length];
""", width=703, folder=tmp_path).value
    assert (said, rows) == (["1 of 91 with “sort_htslib:”"], 1)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_comparison_is_searched_sorted_and_has_bars(
        pages: dict[str, Path], tmp_path: Path, width: int) -> None:
    code, all_code, few, bars = browser.ask(pages["diff"], COMPARED, width=width,
                                            folder=tmp_path).value
    assert few == 1
    assert all_code == ["origin", "changed", "workflow", "changed"], "each below its own title"
    assert code == sorted(code, reverse=True) and len(code) == 91
    assert bars == [code[0], 100]


def test_what_is_asked_for_and_what_fails_would_be_seen(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text('<p>x</p><img src="http://data.example.org/x.png"><script>missing();</script>')
    answer = browser.ask(page, WIDE, width=400, folder=tmp_path)
    assert [line for line in answer.requests if b"data.example.org" in line]
    assert "missing is not defined" in answer.console[0]


def test_its_numbers_are_those_of_the_release(large: tuple[Staged, Path], tmp_path: Path) -> None:
    staged, page = large
    folder = page.parents[3]
    release = json.loads((folder / staged.layout.release / "release.json").read_bytes())
    manifest = json.loads((folder / staged.layout.data_manifest).read_bytes())
    answer = browser.ask(page, NUMBERS, width=1400, folder=tmp_path)
    assert answer.value == {
        "files": len(release["files"]), "images": large_release.COUNT,
        "data": len(manifest["files"]), "plugins": 1,
        "open": sum(finding["answer"] is None for finding in release["reach"]["findings"])}
    text = page.read_text()
    for file in release["files"]:
        assert file["sha256"] in text
        assert f'data-value="{file["size"]}"' in text
    sizes = {file["sha256"]: file["size"] for file in release["files"]}
    assert f"<span>files, {files.human_size(sum(sizes.values()))}</span>" in text


def test_tables_are_searched_and_sorted(large: tuple[Staged, Path], tmp_path: Path) -> None:
    answer = browser.ask(large[1], SEARCH, width=1400, folder=tmp_path)
    every, some, said, after = answer.value
    assert (every, len(some), said, after) == (
        90, 1, "1 of 90 with “biocontainers/trim: quay.io”", 90)
    assert some[0].startswith("quay.io/biocontainers/trim:")
    up, down = browser.ask(large[1], SORT, width=1400, folder=tmp_path).value
    assert up == sorted(up) and down == sorted(down, reverse=True) and len(up) == 90


def test_no_name_in_the_graph_leaves_its_box(large: tuple[Staged, Path], tmp_path: Path) -> None:
    """In the font that the browser has."""
    assert browser.ask(large[1], OUTSIDE, width=1400, folder=tmp_path).value == [
        len(large_release.TOOLS), 0]


@pytest.mark.parametrize("width", WIDTHS)
def test_hostile_names_run_nothing_and_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                           width: int) -> None:
    monkeypatch.chdir(tmp_path)
    staged = dataclasses.replace(stage(), trust=Path("/etc/airlock"))
    staged.publish()
    hostile(staged)
    staged.publish()
    release_report.report(spec(staged))
    answer = browser.ask(
        staged.layout.report.with_suffix(".html"), f"{WIDE[:-2]}, page.scripts.length, "
        "page.body.textContent.includes('<script>alert(1)')];", width=width, folder=tmp_path)
    assert (answer.requests, answer.console) == ([], [])
    assert answer.value == [width, width, 1, True]


def ran(folder: Path, name: str) -> Path:
    """The page of a run with many tasks, one of which failed; `name` stands in all that is told."""
    trace = folder / "trace.txt"
    lines = ["\t".join(run_tasks.FIELDS)]
    for number in range(40):
        said = {"task_id": str(number), "process": f"BIG:STEP_{number // 4}",
                "name": f"{name} {number}", "status": "FAILED" if number == 7 else "COMPLETED",
                "exit": str(int(number == 7)), "start": f"2026-01-01 00:{number:02}:00.000",
                "peak_rss": "2 GB", "%cpu": "99%",
                "complete": f"2026-01-01 00:{number + 3:02}:10.500",
                "container": f"quay.io/x/{name}"}
        lines.append("\t".join(said.get(field, "-") for field in run_tasks.FIELDS))
    trace.write_text("\n".join(lines) + "\n")
    record: dict[str, Any] = {
        "pipeline": "hello", "name": "20260101T000000Z-test", "profile": "test", "tool": None,
        "started": "2026-01-01T00:00:00.000Z", "ended": "2026-01-01T00:43:20.000Z",
        "release": {"id": "dev-0123456789ab", "promotion": None}, "command": {"pipeline": name},
        "outcome": {"state": "failed", "status": 1, "process": f"BIG:{name}"}, "continues": None,
        "inputs": {"sheet": {"place": name, "sha256": "0" * 64, "size": 1, "carried": False},
                   "params": None}, "unlisted": [], "params": "0" * 64, "configs": [], "tasks": [],
        "kind": "run", "run": "own", "site": "local", "session": None, "work": "/w", "outdir": None,
        "process": {"pid": 1, "started": 1, "boot": "x"},
        "host": {"name": "node7", "cpus": 2, "memory": 10**9, "system": "Linux"},
        "user": {"name": name, "id": 0},
        "versions": {"nextflow": "24.10.5", "java": None, "docker": None},
        "results": [{"path": f"sub/{name}", "sha256": "1" * 64, "size": 2000}],
        "images": [{"reference": name, "id": None, "digests": [], "why_not": name}]}
    page = folder / "report.html"
    page.write_text(run_page.html(check(record, "run", where="run"), run_tasks.rows(trace), {
        "nodes": [f"BIG:{name}", "BIG:STEP_1"], "edges": [[0, 1]]}, [name, "  no scale"]))
    return page


@pytest.mark.parametrize("width", WIDTHS)
def test_a_run_s_page_fits_and_tells_of_its_tasks(tmp_path: Path, width: int) -> None:
    answer = browser.ask(ran(tmp_path, HOSTILE), f"{WIDE[:-2]}, page.scripts.length, "
                         "...['processes', 'tasks', 'bad', 'results'].map((name) => "
                         "Number(page.querySelector(`#n-${name}`).innerText)), "
                         "page.querySelector('table[data-search=\"processes\"] tr:nth-child(2)')"
                         ".innerText.split(/\\s+/).slice(0, 5)];", width=width, folder=tmp_path)
    assert (answer.requests, answer.console) == ([], [])
    assert answer.value[:7] == [width, width, 1, 10, 40, 1, 1]
    process = [word for word in answer.value[7] if word != "tasks"]
    assert process[:3] == ["BIG:STEP_1", "4", "1"]


def test_a_run_s_results_are_links_into_its_own_folder(tmp_path: Path) -> None:
    page = ran(tmp_path, "javascript:alert(1)//../x y")
    links = browser.ask(page, "return [...page.links].map((link) => link.getAttribute('href'));",
                        width=1400, folder=tmp_path).value
    assert links[:2] == ["logs/run.log", "results/sub/javascript%3Aalert%281%29//../x%20y"]
    assert all(link.startswith(("logs/", "results/", "reports/")) for link in links)
