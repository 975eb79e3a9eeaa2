"""What a SIF says of its image: read by a real shell, whatever the values are."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.sif import environment
from tasks.core.sif.tree import FILE, LINK, Node, Tree

VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
                 min_size=1, max_size=30)


def script(config: dict[str, Any]) -> str:
    return environment.extra_files({"config": config}, "sha256:0")[environment.ENVIRONMENT][
        0].decode()


def variable(text: str, name: str, **own: str) -> str:
    """What a shell has of a variable once it has read the script."""
    done = subprocess.run(["/bin/sh", "-c", f'eval "$1"; printf %s "${{{name}}}"', "sh", text],
                          env=own, capture_output=True, check=True)
    return done.stdout.decode()


@given(VALUES)
def test_a_value_comes_as_it_is_and_gives_way_to_the_callers(value: str) -> None:
    text = script({"Env": [f"A={value}"]})
    assert variable(text, "A") == value
    assert variable(text, "A", A="theirs") == "theirs"
    assert variable(text, "A", A="") == value


def test_the_images_path_wins() -> None:
    text = script({"Env": ["PATH=/opt/bin:/bin"]})
    assert variable(text, "PATH", PATH="/usr/bin:/bin") == "/opt/bin:/bin"


@pytest.mark.parametrize("entry", ["BASH_FUNC_x%%=() { :; }", "1A=x", "a b=c", "=x", "", "A;B=c"])
def test_what_is_no_variable_is_left_out(entry: str) -> None:
    assert script({"Env": [entry]}) == "#!/bin/sh\n"


@pytest.mark.parametrize(("config", "given", "said"), [
    ({"Entrypoint": ["echo", "a  b"], "Cmd": ["$HOME"]}, [], "a  b $HOME\n"),
    ({"Entrypoint": ["echo"], "Cmd": ["x"]}, ["it's"], "it's\n"),
    ({"Cmd": ["echo", "x;y"]}, [], "x;y\n"),
    ({}, ["echo", "z"], "z\n"),
])
def test_the_runscript_starts_what_the_image_does(config: dict[str, Any], given: list[str],
                                                  said: str) -> None:
    text = environment.extra_files({"config": config}, "sha256:0")[
        ".singularity.d/runscript"][0].decode()
    done = subprocess.run(["/bin/sh", "-c", text, "sh", *given], capture_output=True, text=True,
                          check=True)
    assert done.stdout == said


def test_what_is_mounted_over_is_there_and_nothing_of_the_image_is_lost() -> None:
    tree = Tree()
    tree.put(b"etc/hosts", Node(FILE, 0o600, 0))
    tree.put(b"home", Node(LINK, 0o777, 0, target=b"var/home"))
    missing = environment.add_mounts(tree)
    assert sorted(missing) == ["etc/group", "etc/localtime", "etc/passwd", "etc/resolv.conf"]
    assert all(tree.at(name.encode()) is not None for name in environment.MOUNTS)
    held = tree.at(b"etc/hosts")
    assert held is not None
    assert held.mode == 0o600
