"""What layers leave of each other, by the OCI image specification's rules."""

from __future__ import annotations

import pytest

from tasks.core.errors import ImageError
from tasks.core.sif.tree import FILE, FOLDER, LINK, Node, Tree, walk


def tree(*entries: tuple[int, str, str]) -> Tree:
    """A tree of entries, each with its layer, its kind (or what it does), and its path."""
    made = Tree()
    for layer, kind, path in entries:
        if kind == "hide":
            made.hide(path.encode(), layer)
        elif kind == "hide all":
            made.hide_all(path.encode(), layer)
        elif " -> " in path:
            name, _, target = path.partition(" -> ")
            if kind == "hard":
                made.link(name.encode(), target.encode(), layer)
            else:
                made.put(name.encode(), Node(LINK, 0o777, layer, target=target.encode()))
        else:
            made.put(path.encode(), Node(FOLDER if kind == "folder" else FILE, 0o755, layer))
    return made


def paths(made: Tree) -> list[str]:
    return [path.decode() for path, node in walk(made.root) if node.kind != FOLDER]


def test_a_whiteout_hides_what_is_below_it_alone() -> None:
    lower = [(0, "file", "d/a"), (0, "file", "d/b"), (0, "file", "e")]
    assert paths(tree(*lower, (1, "hide", "d/a"))) == ["d/b", "e"]
    assert paths(tree(*lower, (1, "hide", "d"), (1, "file", "d/c"))) == ["d/c", "e"]
    assert paths(tree(*lower, (1, "file", "d/c"), (1, "hide", "d"))) == ["d/c", "e"]
    assert paths(tree(*lower, (1, "file", "d/c"), (1, "hide all", "d"))) == ["d/c", "e"]
    assert paths(tree(*lower, (1, "hide", "none"), (1, "hide all", "no/such"))) == [
        "d/a", "d/b", "e"]


def test_an_opaque_folder_hides_what_is_deeper_too() -> None:
    made = tree((0, "file", "d/e/a"), (0, "file", "d/f"), (1, "file", "d/e/b"),
                (1, "hide all", "d"))
    assert paths(made) == ["d/e/b"]


def test_a_folder_over_a_folder_keeps_what_it_holds_and_over_all_else_does_not() -> None:
    assert paths(tree((0, "file", "d/a"), (1, "folder", "d"))) == ["d/a"]
    assert paths(tree((0, "file", "d"), (1, "folder", "d"), (1, "file", "d/a"))) == ["d/a"]
    assert paths(tree((0, "file", "d/a"), (1, "file", "d"))) == ["d"]
    assert paths(tree((0, "file", "x/a"), (0, "link", "d -> x"), (1, "folder", "d"),
                      (1, "file", "d/b"))) == ["d/b", "x/a"]


@pytest.mark.parametrize("target", ["usr/lib", "/usr/lib", "/../usr/./lib", "new"])
def test_parents_that_are_links_are_followed_within_the_image(target: str) -> None:
    made = tree((0, "file", "usr/lib/a"), (0, "link", f"lib -> {target}"), (1, "file", "lib/b"))
    assert f"{'new' if target == 'new' else 'usr/lib'}/b" in paths(made)
    assert made.at(b"lib/b") is made.at(b"new/b" if target == "new" else b"usr/lib/b")


def test_a_hard_link_keeps_the_file_that_a_later_layer_replaces() -> None:
    made = tree((0, "file", "a"), (0, "hard", "b -> a"), (1, "file", "a"))
    assert made.at(b"b") is not made.at(b"a")
    held = made.at(b"b")
    assert held is not None
    assert held.layer == 0


@pytest.mark.parametrize(("entries", "said"), [
    ([(0, "file", "../x")], "leads out of it"),
    ([(0, "file", "a/../../x")], "leads out of it"),
    ([(0, "file", "a"), (0, "file", "a/b")], "through what is no folder"),
    ([(0, "hard", "b -> a")], "a hard link leads to what is no file: a"),
    ([(0, "folder", "a"), (0, "hard", "b -> a")], "a hard link leads to what is no file"),
    ([(0, "link", "a -> b"), (0, "link", "b -> a"), (1, "file", "a/x")], "too many links"),
    ([(0, "file", "x" * 256)], "more than 255 bytes"),
    ([(0, "file", "x/" * 300 + "y")], "more than 200 deep"),
])
def test_what_no_engine_would_unpack_is_refused(entries: list[tuple[int, str, str]],
                                                said: str) -> None:
    with pytest.raises(ImageError, match=said):
        tree(*entries)


def test_a_link_that_leads_up_stays_in_the_image() -> None:
    made = tree((0, "link", "d -> ../../../../etc"), (1, "file", "d/passwd"))
    assert paths(made) == ["d", "etc/passwd"]
