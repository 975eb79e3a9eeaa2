"""The runbooks of a lost and of a leaked key, each of their lines typed, on a site of its own.

The pipeline needs no image and no engine; releases go from a checkout through a folder to two
hosts, which are checkouts too. What somebody with the old key tries besides stands in
tests/servers/test_replaced_keys.py.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tasks.core import files
from tests.kit import docs, project
from tests.kit.git import git
from tests.kit.machine import need
from tests.kit.project import ROOT, Project

LOST, LEAKED = "docs/runbooks/lost-key.md", "docs/runbooks/leaked-key.md"


def lines(page: str) -> list[str]:
    """All that the page shows behind a prompt."""
    return re.findall(r"^\$ (.+)$", "\n".join(docs.blocks(page, "")), re.MULTILINE)


@dataclass(kw_only=True)
class Site:
    """A checkout, its configuration's repository, a store, and hosts that share a trust folder."""

    root: Path
    page: str = ""
    typed: list[str] = field(default_factory=list)

    @property
    def trust(self) -> Path:
        return self.root / "etc"

    @property
    def key(self) -> Path:
        return self.root / "online/home/.ssh/airlock"

    @property
    def config(self) -> Path:
        return self.root / "config"

    def at(self, name: str) -> Project:
        return Project(root=self.root / name / "nf-airlock")

    def make(self, name: str, number: int) -> None:
        """A machine: its user's home, and a checkout."""
        (self.root / name / "home/.ssh").mkdir(parents=True)
        project.copy(self.root / name / "nf-airlock", number=number)

    def on(self, name: str, line: str, given: Mapping[str, str] | None = None, *,
           below: str = "", fails: bool = False) -> str:
        """Type a line of the page on a machine; what was printed.

        `given` says what stands for another word there.
        """
        assert line in lines(self.page), line
        self.typed.append(line)
        return self.sh(name, line, given, below=below, fails=fails)

    def sh(self, name: str, line: str, given: Mapping[str, str] | None = None, *,
           below: str = "", fails: bool = False) -> str:
        for word, meant in {"/etc/airlock": str(self.trust), "hello": "weigh",
                            "./doit": f"{sys.executable} -m doit", **(given or {})}.items():
            line = line.replace(word, meant)
        machine = self.at(name)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line], cwd=machine.root / below, check=False,
            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=600, env=machine.environment({
                "HOME": str(self.root / name / "home"), "AIRLOCK_CONFIG": str(self.config),
                "GIT_CONFIG_GLOBAL": "/dev/null"}))
        assert (done.returncode != 0) == fails, f"{line}\n{done.stdout[-6000:]}"
        assert "Traceback" not in done.stdout
        return done.stdout

    def fetched(self, name: str) -> str:
        """The release in place on a host."""
        current = self.at(name).root / "build/acme/prod/weigh/current.json"
        return str(json.loads(current.read_text())["id"])

    def change(self, code: str) -> None:
        """The next revision, with its locks, committed."""
        (self.config / "code/main.nf").write_text(WEIGH.replace("7", code))
        self.commit()

    def commit(self) -> None:
        git("add", "-A", at=self.config)
        git("commit", "-qm", "as it is now", at=self.config)

    def seen(self, name: str, what: str = "releases/weigh") -> dict[str, object]:
        place = self.root / name / f"home/.local/state/airlock/acme/{what}.json"
        return dict(json.loads(place.read_text()))

    def fingerprint(self) -> str:
        return self.sh("online", "ssh-keygen -lf ~/.ssh/airlock.pub").split()[1]

    def current(self) -> dict[str, object]:
        place = self.root / "carried/releases/weigh/current.json"
        return dict(json.loads(place.read_text()))


WEIGH = "process WEIGH {\n  output: path 'w'\n  script: 'echo 7 > w'\n}\nworkflow { WEIGH() }\n"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """One release, which both hosts have in place."""
    need("mvn")
    made = Site(root=tmp_path)
    for number, name in enumerate(("online", "one", "taken"), 48):
        made.make(name, number)
    for name in ("sites", "pipelines", "code"):
        (made.config / name).mkdir(parents=True)
    (made.root / "carried").mkdir()
    raw = {"pipelines": ["weigh"], "platform": "linux/amd64", "python": ["3.11"],
           "plugins": {"index": "https://plugins.invalid/plugins.json"},
           "store": {"url": str(made.root / "carried")}, "smoke": "none", "isolation": "none",
           "signing": {"key": "~/.ssh/airlock", "identity": "airlock"},
           "offline": {"engine": "apptainer", "trust": str(made.trust)}}
    (made.config / "sites/acme.yml").write_text(yaml.safe_dump(raw))
    (made.config / "pipelines/weigh.yml").write_text(yaml.safe_dump({
        "source": "code", "profile": "test", "data": {"rows": 0}, "images": {"WEIGH": "none"},
        "nextflow": yaml.safe_load((ROOT / "config/pipelines/hello.yml").read_text())["nextflow"]}))
    (made.config / "code/main.nf").write_text(WEIGH)
    (made.config / "code/nextflow.config").write_text(
        "params.outdir = 'results'\nprofiles { test { process.cpus = 1 } }\n")
    git("init", "-q", "-b", "main", at=made.config)
    made.sh("online", "ssh-keygen -q -t ed25519 -N '' -C airlock -f ~/.ssh/airlock")
    made.sh("online", "./doit site acme && ./doit stage:weigh images:lock:weigh")
    made.commit()
    made.sh("online", "./doit")
    made.commit()
    shutil.copytree(made.at("online").root / "build/acme/trust", made.trust)
    for name in ("one", "taken"):
        made.sh(name, "./doit role=prod prod:fetch:weigh")
    return made


def test_both_runbooks_as_they_are_typed(site: Site) -> None:
    first = site.fetched("one")
    lost(site, first)
    assert set(site.typed) == set(lines(LOST))
    site.typed.clear()
    leaked(site, first)
    assert set(site.typed) == set(lines(LEAKED))


def lost(site: Site, first: str) -> None:
    site.page = LOST
    old = site.fingerprint()
    for path in (site.key, site.key.with_name("airlock.pub")):
        path.unlink()
    assert "the signing key is missing" in site.on("online", "./doit", fails=True)
    public = site.on("one", "cut -d' ' -f3- /etc/airlock/allowed_signers").strip()
    name_in_site(site, {"lost-in-2026": public})
    site.commit()
    site.on("online", "ssh-keygen -q -t ed25519 -N '' -C airlock -f ~/.ssh/airlock")
    assert "allowed_signers" in site.on("online", "./doit site acme")
    site.on("one", "install -m 0644 allowed_signers /etc/airlock/allowed_signers",
            below="../../online/nf-airlock/build/acme/trust")
    shown = site.on("one", "ssh-keygen -lf <(cut -d' ' -f3- /etc/airlock/allowed_signers)")
    installed = (site.at("online").root / "build/acme/trust/INSTALL.txt").read_text()
    for name in (old, site.fingerprint()):
        assert name in shown
        assert name in installed
    assert "is the current release in" in site.on("online", "./doit")
    assert site.current()["number"] == 1
    site.change("8")
    site.sh("online", "./doit")
    for name in ("one", "taken"):
        site.sh(name, "./doit role=prod prod:fetch:weigh")
        assert site.fetched(name) == site.current()["id"] != first


def name_in_site(site: Site, colleagues: Mapping[str, str]) -> None:
    path = site.config / "sites/acme.yml"
    raw = yaml.safe_load(path.read_text())
    raw["signing"]["colleagues"] = dict(colleagues)
    path.write_text(yaml.safe_dump(raw))


def steal(site: Site) -> str:
    """Somebody with the key, a checkout and the way into the store makes a release current."""
    shutil.copytree(site.root / "online", site.root / "thief", symlinks=True)
    (site.config / "code/main.nf").write_text(WEIGH.replace("7", "evil"))
    site.sh("thief", "./doit")
    git("checkout", "-q", ".", at=site.config)
    return str(site.current()["id"])


def leaked(site: Site, first: str) -> None:
    site.page = LEAKED
    old, good = site.fingerprint(), site.current()
    public = (site.key.with_name("airlock.pub")).read_text().split()[1]
    evil = steal(site)
    site.sh("taken", "./doit role=prod prod:fetch:weigh")
    assert site.fetched("taken") == evil

    # At once, on the hosts.
    look = "ssh-keygen -lf <(cut -d' ' -f3- /etc/airlock/allowed_signers)"
    assert old in site.on("one", look)
    site.on("one", r"sed -i.before '\#KEY#d' /etc/airlock/allowed_signers", {"KEY": public})
    assert old not in site.sh("one", look)
    for name in ("one", "taken"):
        said = site.on(name, "./doit role=prod pipeline=hello", fails=True)
        assert f"the signature is by the key {old}, which" in said
    seen = json.loads(site.on("one", "cat ~/.local/state/airlock/acme/releases/hello.json"))
    assert seen["number"] == good["number"]
    assert site.seen("taken")["number"] != seen["number"]

    # On the online side.
    site.on("online", "mv ~/.ssh/airlock.pub ~/.ssh/leaked.pub && rm ~/.ssh/airlock")
    site.on("online", "ssh-keygen -q -t ed25519 -N '' -C airlock -f ~/.ssh/airlock")
    site.on("online", "./doit site acme")
    said = site.on("online", "./doit release:list:hello", fails=True)
    assert f"NOT VERIFIED: the signature is by the key {old}" in said
    said = site.on("online", "./doit", fails=True)
    offered = re.search(r"after=([0-9a-f]{64}) goes on from number", said)
    assert offered
    assert offered[1] == seen["sha256"], "as a host shows it too"
    assert site.current()["id"] == evil
    said = site.on("online", "./doit release:promote:hello after=SHA256", {"SHA256": offered[1]})
    assert f"{good['id']} is the current release" in said
    tool = json.loads((site.root / "carried/tool/current.json").read_text())["number"]
    site.on("online", "./doit push:tool after=SHA256", {"SHA256": files.sha256(
        site.root / f"carried/tool/promotions/{tool:08}.json")})

    # On the hosts, again.
    site.on("one", "install -m 0644 allowed_signers /etc/airlock/allowed_signers",
            below="../../online/nf-airlock/build/acme/trust")
    assert site.fingerprint() in site.on("one", look)
    site.on("one", "./doit role=prod prod:fetch:hello")
    assert site.fetched("one") == good["id"]
    said = site.on("taken", "./doit role=prod prod:fetch:hello", fails=True)
    assert "than this host has seen" in said
    site.on("taken", "./doit role=prod runs")
    (site.at("taken").root / "tool.json").write_text('{"id": "0123456789ab"}\n')
    assert "0123456789ab" in site.on("taken", """grep '"id"' tool.json""")
    (site.at("taken").root / "tool.json").unlink()
    site.sh("taken", "rm ~/.local/state/airlock/acme/releases/hello*.json")
    site.sh("taken", "./doit role=prod prod:fetch:weigh")
    assert site.fetched("taken") == good["id"]

    # Older releases.
    wanted = {"ID": first, "COMMIT": "HEAD~2"}
    assert "NOT VERIFIED" in site.sh("online", "./doit release:list:weigh")
    site.on("online", "git checkout COMMIT", wanted, below="../../config")
    site.on("online", "./doit push:release:hello")
    site.on("online", "git checkout main", below="../../config")
    site.on("online", './doit release:back:hello to=ID reason="it loses reads"', wanted)
    site.sh("one", "./doit role=prod prod:fetch:weigh")
    assert site.fetched("one") == first
