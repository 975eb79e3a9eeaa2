"""A site whose signing key makes way for another, its offline hosts, and who has the old key."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files
from tasks.core.config.settings import Signing
from tasks.core.errors import AirlockError
from tasks.core.in_place import InPlace
from tasks.core.offline_paths import OfflinePaths
from tasks.core.paths import PipelinePaths
from tasks.core.trust import signature
from tasks.offline_host import fetch, freshness
from tasks.release import back, release
from tests.kit.releases import Staged, change_code, stage

HELLO = Path("store/releases/hello")
OLD, NEW = Path("keys/old"), Path("keys/new")


@dataclasses.dataclass(kw_only=True)
class Site:
    """A site whose old key has signed two releases, and its offline hosts."""

    staged: Staged
    ids: list[str]

    def by(self, key: Path, *, colleagues: Mapping[str, str] | None = None,
           approvers: Mapping[str, str] | None = None) -> Staged:
        """The online side with this key, and with others' in its site's file."""
        return dataclasses.replace(self.staged, signing=Signing(
            key=key, identity="airlock", create=True, colleagues=colleagues or {},
            approvers=approvers or {}))

    def hosts_trust(self, *keys: Path) -> None:
        """What the administrator installs."""
        files.write_text(self.staged.trust / "allowed_signers", "".join(
            signature.allowed_line("airlock", public(key)) for key in keys))

    def host(self, name: str) -> freshness.Host:
        return dataclasses.replace(self.staged.host, seen=Path(f"seen/{name}"))

    def fetch(self, host: str = "one", name: str | None = None, *,
              hold: bool | None = None) -> str:
        """Let one of several hosts fetch; the id of what is in place then."""
        prod = OfflinePaths(site=host, pipeline="hello")
        fetch.fetch(dataclasses.replace(
            dataclasses.replace(self.staged, prod=prod).fetch_spec(name), hold=hold,
            place=InPlace(prod), host=self.host(host)))
        return str(json.loads(prod.current.read_text())["id"])

    def refused(self, host: str = "one", name: str | None = None) -> str:
        """What a fetch says that fails; what is in place stays as it was."""
        pointer = OfflinePaths(site=host, pipeline="hello").current
        before = pointer.read_bytes() if pointer.exists() else None
        with pytest.raises(AirlockError) as caught:
            self.fetch(host, name)
        assert (pointer.read_bytes() if pointer.exists() else None) == before
        return str(caught.value)

    def steal(self, code: bytes = b"workflow { evil }\n", *, key: Path = OLD) -> str:
        """Who has the old key and may write into the store makes a release of theirs current."""
        layout = PipelinePaths(site="thief", pipeline="hello")
        shutil.rmtree(layout.root, ignore_errors=True)
        shutil.copytree(self.staged.layout.root, layout.root)
        shutil.copytree("build/here/blobs", "build/thief/blobs", dirs_exist_ok=True)
        thief = dataclasses.replace(self.by(key, colleagues={"them": public(NEW)}), layout=layout)
        change_code(thief, code)
        release.make(thief.release_spec())
        return thief.push(after=current()["number"])


def public(key: Path) -> str:
    """The public half, of a key that was lost too; a key is made where there never was one."""
    if not key.with_name(f"{key.name}.pub").exists():
        signature.ready(key, create=True, identity="airlock")
    return signature.public_key(key)


def name_of(key: Path) -> str:
    return signature.fingerprint(public(key))


def current() -> dict[str, Any]:
    """The promotion that the store's pointer leads to."""
    number = json.loads((HELLO / "current.json").read_text())["number"]
    return dict(json.loads((HELLO / f"promotions/{number:08}.json").read_text()))


def digest(number: int, place: Path = HELLO) -> str:
    return files.sha256(place / f"promotions/{number:08}.json")


def two_releases() -> Site:
    """Two releases, the second the current one, and a host that has it in place."""
    made = Site(staged=stage(), ids=[])
    made.hosts_trust(OLD)
    for number in (1, 2):
        change_code(made.staged, b"workflow { %d }\n" % number)
        made.ids.append(made.by(OLD).publish())
    assert made.fetch() == made.ids[1]
    return made


def said_of(key: Path, text: str) -> bool:
    """Whether it names the key by its fingerprint, and the list that lacks it."""
    return f"by the key {name_of(key)}, which trust/allowed_signers does not name for" in text


def go_back(ours: Staged, to: str | None = None) -> str:
    return back.go_back(back.BackSpec(
        pipeline="hello", layout=ours.layout, store=ours.store, signing=ours.signing, to=to,
        reason="it loses reads", after=None))
