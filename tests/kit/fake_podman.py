"""A program called podman, as far as an offline host asks one: what it holds lies in a file.

    podman --version | info | images | pull | image exists | image inspect | image rm
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.core.engine.address import Podman

INFO: dict[str, Any] = {
    "host": {"arch": "amd64", "cgroupVersion": "v2",
             "cgroupControllers": ["cpu", "memory", "pids"],
             "idMappings": {kind: [{"size": 1}, {"size": 65536}] for kind in ("uidmap", "gidmap")},
             "ociRuntime": {"name": "crun"}, "security": {"rootless": True},
             "slirp4netns": {"executable": "/usr/bin/slirp4netns"}},
    "store": {"graphDriverName": "overlay", "graphOptions": {}, "graphRoot": "/srv/store",
              "runRoot": "/run/user-1000/containers"}}
"""What it says of a host that lacks nothing."""

PROGRAM = '''\
#!{python} -I
import json, os, sys
place = {place!r}
state = json.load(open(place))
words = sys.argv[1:]
state["calls"].append([words, dict(os.environ)])
def end(status, said="", error=""):
    json.dump(state, open(place, "w"))
    print(said)
    print(error, file=sys.stderr)
    sys.exit(status)
def image(name):
    return {{"Id": "5" * 64, "RepoDigests": [name]}}
if words == ["--version"]:
    end(0, "podman version " + state["version"])
if state["dead"]:
    end(125, error="time=\\"2026\\" level=warning msg=\\"odd\\"\\nError: " + state["dead"])
if words[0] == "info":
    end(0, json.dumps(state["info"]))
if words[0] == "images":
    end(0, json.dumps([image(name) for name in state["held"]]))
name = words[-1]
if words[0] == "pull":
    if state["faults"]:
        end(125, error="Trying to pull " + name + "...\\nError: " + state["faults"].pop())
    state["held"].append(name)
    end(0, "5" * 64)
if words[:2] == ["image", "exists"]:
    end(0 if name in state["held"] else 1)
if name not in state["held"]:
    end(125, "[]", "Error: " + name + ": image not known")
if words[:2] == ["image", "inspect"]:
    end(0, json.dumps([image(name)]))
if name in state["used"]:
    end(2, error="Error: image is in use by a container")
state["held"].remove(name)
end(0)
'''


@dataclass
class FakePodman:
    """It lies in `folder`; the user's own variables are `variables`."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> dict[str, Any]:
        """What it holds and does; `set` changes it."""
        told: dict[str, Any] = json.loads((self.folder / "state.json").read_text())
        return told

    def set(self, **changed: Any) -> None:
        (self.folder / "state.json").write_text(json.dumps({**self.state, **changed}))

    @property
    def engine(self) -> Podman:
        return Podman.of({"HOME": str(self.folder / "home"), **self.variables,
                          "PATH": f"{self.folder}:{os.environ['PATH']}"})

    def calls(self, verb: str) -> list[tuple[list[str], dict[str, str]]]:
        """The words and the environment of each call of `podman VERB`."""
        return [(words, given) for words, given in self.state["calls"] if words[0] == verb]


def podman(folder: Path) -> FakePodman:
    """Make one that holds nothing."""
    folder.mkdir(parents=True)
    (folder / "state.json").write_text(json.dumps(
        {"version": "4.3.1", "info": INFO, "dead": "", "held": [], "used": [], "faults": [],
         "calls": []}))
    program = folder / "podman"
    python = shutil.which("python3", path="/usr/bin") or sys.executable
    program.write_text(PROGRAM.format(python=python, place=str(folder / "state.json")))
    program.chmod(0o755)
    return FakePodman(folder=folder)
