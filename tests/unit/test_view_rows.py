"""What the live view's rows hold, without a terminal: what is named, folded and cut."""

from __future__ import annotations

from pathlib import Path

from tasks.core.activity import Activity, Part, last_line
from tasks.core.graph import screen, view
from tasks.core.graph.screen import Row, Status


def text(row: Row) -> str:
    return "".join(word for word, _ in row)


def shown(status: Status, width: int = 100, height: int = 16, now: float = 100.0) -> list[str]:
    return [text(row).rstrip() for row in screen.rows(status, width, height, now=now)]


def running(step: str, began: float = 90.0, **more: object) -> Activity:
    return Activity(step=step, began=began, began_count=began, **more)  # type: ignore[arg-type]


def test_a_step_is_shown_by_its_count_of_bytes_or_tasks() -> None:
    rows = shown(Status(began=40.0, done=3, running=[
        running("mirror:data:hello", done=2_000_000, total=8_000_000, text="1 of 4 files"),
        running("sandbox:cross:hello", began=20.0, done=5, total=7, unit="tasks", text="there")]))
    assert rows == [
        "run    sandbox:cross:hello  1:20  ━━━━━━━━━━━━━━━━  5 of 7 tasks  there",
        "run    mirror:data:hello  10 s  ━━━━━━━━━━━━━━━━  2.0 MB of 8.0 MB, "
        "200.0 kB/s, 30 s left  1 of 4 f…",
        "       3 done  1:00"]


def test_the_largest_of_what_moves_is_named_where_there_is_room() -> None:
    parts = {f"image{number}": Part(size=number * 1_000_000, done=500_000, began=90.0)
             for number in range(6)}
    step = running("images:mirror", parts=parts, done=3_000_000, total=15_000_000)
    rows = shown(Status(running=[step]))
    assert [row.split()[0] for row in rows[1:-1]] == ["image5", "image4", "image3"]
    assert rows[1].endswith("image5  500.0 kB of 5.0 MB, 50.0 kB/s, 1:30 left")
    assert len(shown(Status(running=[step]), height=3)) == 3


def test_what_waits_is_a_count_and_the_next_with_what_they_wait_for() -> None:
    waiting = {"far": ["later"], "later": ["one", "near"], "near": ["one"], "too": ["one", "two"]}
    rows = shown(Status(running=[running("one"), running("two")], waiting=waiting))
    assert rows[2] == "waits  4 steps  next: near, for one; too, for one, two"
    only = shown(Status(waiting={"far": ["later"], "later": ["gone"]}))
    assert only[0] == "waits  2 steps  next: far, for later; later, for gone"


def test_more_steps_than_rows_are_a_count() -> None:
    rows = shown(Status(running=[running(f"step{number}") for number in range(9)]), height=4)
    assert rows == ["run    step0  10 s", "run    step1  10 s", "       and 7 more",
                    "       0 done  1:40"]


def test_what_failed_and_was_warned_of_is_said() -> None:
    rows = shown(Status(failed=["a", "b"], done=1, fresh=4, warnings=1, began=99.0))
    assert rows == ["FAILED a, b", "       1 done, 4 fresh, 2 failed, 1 warning  1 s"]


def test_a_row_is_cut_with_an_ellipsis_and_keeps_its_colours() -> None:
    row = [("done   ", screen.GOOD), ("a:step", screen.NAME), ("  words and words", "")]
    assert screen.cut(row, 30) == row
    assert screen.cut(row, 16) == [*row[:2], ("  ", ""), ("…", "")]
    assert text(screen.cut(row, 10)) == "done   a:…"
    assert all(len(line) <= 40 for line in shown(
        Status(running=[running("s" * 60, text="x" * 60, total=9)], failed=["f" * 60]), width=40))


def test_what_steers_a_terminal_is_not_in_a_row() -> None:
    rows = shown(Status(running=[running("one", text="\x1b[31mred\x1b]0;title\x07\rlast")]))
    assert rows[0] == "run    one  10 s  last"


def test_a_step_that_says_nothing_is_what_its_program_writes(tmp_path: Path) -> None:
    log = tmp_path / "mvn.log"
    step = running("runtime", doc="Nextflow, from Maven", log=log)
    assert step.now() == "Nextflow, from Maven"
    log.write_bytes(b"x" * 5000 + b"\n[\x1b[1;34mINFO\x1b[m] Downloading a.jar\n\n  \n")
    assert last_line(log) == step.now() == "[INFO] Downloading a.jar"
    step.text = "its own words"
    assert step.now() == "its own words"


def test_text_is_broken_between_words_and_paths_never() -> None:
    path = "build/local/sandbox/host/disk/hello/airlock"
    assert view.wrapped(f"the results are in {path} on this host\n    | a quote of words", 20) == [
        "the results are in", path, "on this host", "    | a quote of", "    | words"]
