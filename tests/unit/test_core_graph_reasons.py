"""Why a step is stale or behind: said by `list`, `info` and `dryrun` in the same words."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tasks.core import schema
from tasks.core.graph import drawing, dryrun, info
from tasks.core.graph.action_code import ActionCode
from tasks.core.graph.differences import differences
from tasks.core.graph.list import cut
from tasks.core.graph.selection import before, in_order
from tasks.core.graph.step import group, step
from tests.kit.graph import Build

SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True, kw_only=True)
class Source:
    url: str = "https://git.example.org/brew.git"
    revision: str = "1.0"


@dataclass(frozen=True, kw_only=True)
class BrewSpec:
    pipeline: str
    source: Source
    reads: Path
    makes: Path
    lock: Path | None = None


def brew(spec: BrewSpec) -> None:
    spec.makes.write_text("brewed")


def weight(spec: BrewSpec) -> int | None:
    return int(spec.lock.read_text()) if spec.lock and spec.lock.is_file() else None


def kettle(revision: str = "1.0", url: str = Source.url) -> list[dict[str, Any]]:
    source = Source(revision=revision, url=url)
    return [
        group("grind", "first"),
        step("grind:tea", "leaves in small pieces", brew,
             BrewSpec(pipeline="tea", source=source, reads=Path("leaves"), makes=Path("ground")),
             needs=[Path("leaves")], makes=[Path("ground")]),
        group("pour", "second"),
        step("pour:tea", "", brew,
             BrewSpec(pipeline="tea", source=Source(), reads=Path("ground"), makes=Path("cup"),
                      lock=Path("weight")),
             needs=[Path("ground")], makes=[Path("cup")], moves=weight),
        step("taste:tea", "", brew,
             BrewSpec(pipeline="tea", source=Source(), reads=Path("cup"), makes=Path("cup")),
             needs=[Path("cup")], look=True),
        step("cool:tea", "", brew,
             BrewSpec(pipeline="tea", source=Source(), reads=Path("cup"), makes=Path("ice")),
             needs=[Path("cup")], makes=[Path("ice")], asked=True),
    ]


@pytest.fixture(autouse=True)
def code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not read for each of these tests: which code a step runs has tests of its own."""
    monkeypatch.setattr(ActionCode, "digest", lambda *_: "one")


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("leaves").write_text("green")
    build = Build(kettle(), tmp_path / "state.db")
    for name in ("grind:tea", "pour:tea"):
        brew(build.control.tasks[name].actions[0].args[2])
        build.succeed(name)
    return tmp_path


def again(built: Path, *words: str, **names: str) -> Build:
    return Build(kettle(*words, **names), built / "state.db")


def test_a_setting_is_named_with_both_values_and_what_is_behind_names_the_task(
        built: Path) -> None:
    reasons = again(built, "1.1").reasons()
    assert reasons.of("grind:tea") == "source.revision 1.0 → 1.1"
    assert reasons.of("pour:tea") == "grind:tea: source.revision 1.0 → 1.1"
    assert reasons.of("grind") == "grind:tea: source.revision 1.0 → 1.1"
    assert reasons.of("pour") == "grind:tea: source.revision 1.0 → 1.1"
    assert reasons.of("taste:tea") is None
    assert again(built).reasons().of("pour:tea") is None


def test_each_kind_of_change_is_named(built: Path) -> None:
    Path("leaves").write_text("black")
    assert again(built).reasons().of("grind:tea") == "leaves changed"
    Path("leaves").unlink()
    Path("cup").unlink()
    reasons = again(built).reasons()
    assert reasons.of("grind:tea") == "leaves is missing"
    assert reasons.own("pour:tea") == ["cup is missing"]
    Path("leaves").write_text("green")
    build = again(built, "2.0")
    assert build.reasons().of("grind:tea") == "source.revision 1.0 → 2.0"
    Path("ground").unlink()
    assert again(built, "2.0").reasons().of("grind:tea") == (
        "source.revision 1.0 → 2.0; and 1 more")


def test_what_was_never_built_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("leaves").write_text("green")
    reasons = Build(kettle(), tmp_path / "state.db").reasons()
    assert reasons.own("grind:tea") == ["not built yet"]


def test_other_code_is_a_reason(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ActionCode, "digest", lambda *_: "another")
    assert again(built).reasons().own("grind:tea") == ["code of grind changed"]


def test_a_password_in_a_url_is_not_shown(built: Path) -> None:
    said = again(built, url="https://ann:s3cret@git.example.org/brew.git").reasons().of("grind:tea")
    assert said is not None and "s3cret" not in said and "source.url" in said


def test_info_says_what_the_list_says_and_nothing_of_the_graph_s_own_notes(built: Path) -> None:
    build = again(built, "1.1")
    reasons, text = build.reasons(), "\n".join(
        info.lines(build.control.tasks["pour:tea"], build.reasons()))
    assert "behind grind:tea, which is stale:\n  source.revision 1.0 → 1.1\n" in text
    assert "reads:\n  ground\nmakes:\n  cup\ncomes after:\n  grind:tea" in text
    assert "meta" not in text and "look" not in text
    stale = "\n".join(info.lines(build.control.tasks["grind:tea"], reasons))
    assert stale.startswith("grind:tea  leaves in small pieces\nstale:\n  source.revision")


def test_info_says_what_a_task_is_that_is_neither_fresh_nor_stale(built: Path) -> None:
    build = Build([*kettle(), step("stir:tea", "", brew, BrewSpec(
        pipeline="tea", source=Source(), reads=Path("cup"), makes=Path("foam")),
        makes=[Path("foam")], always=True)], built / "state.db")
    said = {name: list(info.lines(build.control.tasks[name], build.reasons()))[1]
            for name in ("taste:tea", "cool:tea", "stir:tea", "grind:tea")}
    assert said == {"taste:tea": "only looks, each time it is asked for",
                    "cool:tea": "made on request; it was not asked for yet",
                    "stir:tea": "runs each time", "grind:tea": "fresh"}


def test_a_group_names_the_member_that_is_stale(built: Path) -> None:
    build = again(built, "1.1")
    assert list(info.lines(build.control.tasks["grind"], build.reasons()))[1:3] == [
        "stale, as grind:tea is:", "  source.revision 1.0 → 1.1"]


def test_files_that_are_read_anew_and_no_more_are_named(built: Path) -> None:
    tasks = kettle()
    tasks[1]["file_dep"] = ["water"]
    Path("water").write_text("hot")
    assert Build(tasks, built / "state.db").reasons().own("grind:tea") == [
        "it reads water now", "it no longer reads leaves"]


def test_what_hangs_on_several_stale_ones_names_the_one_defined_first(built: Path) -> None:
    def tray() -> Build:
        return Build([*kettle("1.1"), step("serve:tea", "", brew, BrewSpec(
            pipeline="tea", source=Source(), reads=Path("cup"), makes=Path("tray")),
            needs=[Path("cup"), Path("ground")], makes=[Path("tray")])], built / "state.db")

    Path("tray").write_text("")
    tray().succeed("serve:tea")
    Path("cup").unlink()
    reasons = tray().reasons()
    assert reasons.states["grind:tea"] == reasons.states["pour:tea"] == "stale"
    assert reasons.root("serve:tea") == "grind:tea"


def test_a_dry_run_is_in_order_with_why_what_and_how_long(built: Path) -> None:
    Path("weight").write_text("2200000")
    build = again(built, "1.1")
    rows = dryrun.planned(in_order(build.control.tasks, ["taste:tea", "cool:tea"]),
                          build.reasons(), build.dependency)
    assert [(row.task, row.does, row.moves) for row in rows] == [
        ("grind:tea", "run", None), ("pour:tea", "maybe", 2200000), ("taste:tea", "look", None),
        ("cool:tea", "run", None)]
    assert rows[-1].reason == "made on request"
    schema.check(json.loads(dryrun.as_json(rows)), "dryrun", where=Path("-"))
    text = dryrun.as_text(rows)
    assert "run    grind:tea  source.revision 1.0 → 1.1\n" in text
    assert ("maybe  pour:tea   grind:tea: source.revision 1.0 → 1.1  "
            "2.2 MB to move as things stand\n") in text
    assert text.endswith("2 would run, 1 more if what stands before them yields other bytes, "
                         "1 only look; 2.2 MB to move as things stand\n")
    assert dryrun.as_text([]) == "all fresh: nothing would run\n"


def test_what_a_lock_doesn_t_say_yet_is_not_known(built: Path) -> None:
    build = again(built, "1.1")
    rows = dryrun.planned(in_order(build.control.tasks, ["pour:tea"]), build.reasons(),
                          build.dependency)
    assert (rows[-1].moves, rows[-1].counted, rows[0].counted) == (None, "not yet", None)
    schema.check(json.loads(dryrun.as_json(rows)), "dryrun", where=Path("-"))
    text = dryrun.as_text(rows)
    assert "grind:tea: source.revision 1.0 → 1.1  to move: not known yet\n" in text
    assert text.endswith("what 1 of them would move is not known yet\n")


def test_all_is_counted_where_nothing_before_is_stale(built: Path) -> None:
    Path("cup").unlink()
    for left, said in (("0", "nothing to move"), ("900", "900 B to move")):
        Path("weight").write_text(left)
        build = again(built)
        rows = dryrun.planned(in_order(build.control.tasks, ["pour:tea"]), build.reasons(),
                              build.dependency)
        assert (rows[-1].moves, rows[-1].counted) == (int(left), "all")
        text = dryrun.as_text(rows)
        assert f"cup is missing  {said}\n" in text and f"; {said}\n" in text
    Path("weight").write_text("x")
    with pytest.raises(ValueError, match="invalid literal"):  # a fault of ours is no "not known"
        dryrun.planned(in_order(build.control.tasks, ["pour:tea"]), build.reasons(),
                       build.dependency)


def test_the_tree_and_the_picture_show_each_task_with_its_state(built: Path) -> None:
    build = again(built, "1.1")
    names = [task.name for task in in_order(build.control.tasks, ["taste:tea"])]
    ahead = {name: before(build.control.tasks, name) for name in names}
    lines = list(drawing.tree(ahead, build.reasons()))
    assert lines == ["-      taste:tea", "behind └─ pour:tea  behind grind:tea",
                     "stale     └─ grind:tea  source.revision 1.0 → 1.1"]
    root = ElementTree.fromstring(drawing.as_svg(ahead, build.reasons()))
    boxes, keys = ["stale", "behind", "look"], ["stale", "behind", "look"]
    assert [node.get("class") for node in root.iter(f"{SVG}rect")] == [*boxes, *keys]
    assert [node.get("class") for node in root.iter(f"{SVG}path")] == ["head", "edge", "edge"]
    assert "behind: may run" in {text.text for text in root.iter(f"{SVG}text")}


@pytest.mark.parametrize(("old", "new", "said"), [
    ({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b 1 → 2"]),
    ({"names": ["x", "y"]}, {"names": ["x", "z"]}, ["names y → z"]),
    ({"names": ["x"]}, {"names": ["x", "z", "q"]}, ["names +z +q"]),
    ({"names": ["x", "y"]}, {"names": ["y", "x"]}, ["names changed"]),
    ({}, {"added": "v"}, ["added unset → v"]), ({"gone": None}, {}, []),
    ({"key": "sha256:" + "ab" * 32}, {"key": "cd" * 32}, ["key abababababab… → cdcdcdcdcdcd…"]),
    ({"long": "x" * 41}, {"long": "y"}, ["long changed"]),
    ({"odd": "a\x1b[31m"}, {"odd": "b"}, ["odd changed"])])
def test_differences(old: Any, new: Any, said: list[str]) -> None:
    assert list(differences(old, new)) == said


VALUES = some.recursive(some.none() | some.booleans() | some.integers() | some.text(),
                        lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner))


@given(VALUES, VALUES)
def test_only_what_differs_has_a_difference(old: Any, new: Any) -> None:
    assert list(differences({"key": old}, {"key": old})) == []
    said = list(differences({"key": old}, {"key": new}))
    assert said or old == new or not _differs(old, new)
    assert all(len(line) < 4000 for line in said)


def _differs(old: Any, new: Any) -> bool:
    """Apart from keys that say nothing on either side, and from True, which equals 1."""
    def bare(value: Any) -> Any:
        return {key: bare(inner) for key, inner in value.items() if inner is not None} if (
            isinstance(value, dict)) else value
    return bool(bare(old) != bare(new))


def test_a_line_is_cut_and_not_wrapped() -> None:
    assert cut("stale  sarek", 8) == "stale  …" and cut("stale", 8) == "stale"
    assert cut("stale", None) == "stale"


def test_output_is_utf_8_text(built: Path) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    stream.writelines(drawing.tree({"grind:tea": []}, again(built, "1.1").reasons()))
