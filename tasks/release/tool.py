"""`tool`: this project and its Python wheels, as the offline host gets them.

One archive, which one signature covers, and wheels beside it, which the archive names by digest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import config_places, files
from tasks.core.bill.documents import documents
from tasks.core.bill.parts import Whole
from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.settings import Signing
from tasks.core.machine_names import MACHINES
from tasks.core.net import pip
from tasks.core.paths import SitePaths
from tasks.core.schema import check, read_json
from tasks.core.store import lease
from tasks.core.store.interface import Store
from tasks.core.store.send import Upload, send
from tasks.core.store.store import open_store
from tasks.core.tool_version import RELEASE_FORMAT, TOOL_VERSION
from tasks.core.trust import checksums
from tasks.core.trust.promotions import Subject
from tasks.release import tool_contents, tool_wheels
from tasks.release.places import top
from tasks.release.promote import Wanted, opened, promote
from tasks.release.proof import Tried
from tasks.release.push import write_receipt

MANYLINUX = ("2_28", "2_27", "2_26", "2_24", "2_17", "2_12", "2_5", "2014", "2010", "1")
"""glibc versions up to Debian 12's that wheels may ask for (PEP 600 and its forerunners)."""

MARKER = re.compile(r" *;[^\\\n]*")
"""An environment marker of a pinned requirement, before the hashes that follow its line."""


@dataclass(frozen=True, kw_only=True)
class ToolSpec:
    """What the tool's archive is made from. `config` is the site's file for the offline host.

    `index` is the site's own place for PyPI; without it, pip's own settings say.
    """

    layout: SitePaths
    platform: str
    python: tuple[str, ...]
    carry: str
    config: Mapping[str, Any]
    index: str | None = None


@dataclass(frozen=True, kw_only=True)
class PushToolSpec:
    """Where the tool goes, and what its promotion is signed with.

    `after` is the promotion that it may follow unseen.
    """

    layout: SitePaths
    store: StoreAt
    signing: Signing
    after: int | str | None = None


def make(spec: ToolSpec) -> str:
    """Write airlock.tar, wheels/, and tool.json, which is in the archive too."""
    folder = spec.layout.tool
    folder.mkdir(parents=True, exist_ok=True)
    paths = tool_contents.code(spec.carry, folder / ".code.json")
    requirements = tool_contents.requirements(paths, Path("requirements.txt").read_text())
    files.atomic_folder(folder / "wheels", lambda place: _download(spec, requirements, place))
    wheels = sorted((folder / "wheels").iterdir())
    members = {path.as_posix(): path.read_bytes() for path in (*top(), *paths)}
    members |= {**tool_contents.packages(paths), "requirements.txt": requirements.encode(),
                f"{config_places.BUNDLED}/sites/{spec.layout.site}.yml": site_file(spec.config)}
    whole = Whole(kind="tool", name="nf-airlock", version=TOOL_VERSION)
    members |= documents(whole, list(tool_wheels.parts(wheels)))
    members["CONTENTS.txt"] = tool_contents.contents(members, wheels)
    tool, listed = describe(spec.layout.site, members, wheels)
    files.write_bytes(folder / "tool.json", tool)
    files.write_tar(folder / "airlock.tar", Path(), [Path("doit")],  # which is executable
                    extra={**members, "tool.json": tool, "SHA256SUMS": listed})
    size = sum(path.stat().st_size for path in (folder / "airlock.tar", *wheels))
    return (f"{json.loads(tool)['id']}: {len(wheels)} wheels for Python {', '.join(spec.python)}; "
            f"{files.human_size(size)}")


def describe(site: str, members: Mapping[str, bytes],
             wheels: Sequence[Path]) -> tuple[bytes, bytes]:
    """tool.json, and the list of all other files of the archive and of the wheels.

    The list's digest is the tool's id, so equal content has equal ids, whoever makes it.
    """
    listed_wheels = [{"name": path.name, "sha256": files.sha256(path), "size": path.stat().st_size}
             for path in wheels]
    listed = checksums.format_sums(
        {**{name: files.sha256_bytes(data) for name, data in members.items()},
         **{f"wheels/{wheel['name']}": str(wheel["sha256"]) for wheel in listed_wheels}})
    tool = {"kind": "tool", "id": files.sha256_bytes(listed)[:12], "site": site,
            "version": TOOL_VERSION, "reads": RELEASE_FORMAT, "wheels": listed_wheels}
    return files.json_bytes(check(tool, "tool", where="tool.json")), listed


def site_file(config: Mapping[str, Any]) -> bytes:
    """The site's file for the offline host; JSON is YAML too."""
    return (b"# The site as its offline hosts need it. What the online side alone reads is left "
            b"out.\n" + json.dumps(config, indent=2, sort_keys=True).encode() + b"\n")


def _download(spec: ToolSpec, pinned: str, place: Path) -> None:
    """Wheels of every requirement, for each Python version of the site: those that were published.

    pip evaluates environment markers for the Python that runs it, not for the one asked for, so
    they are taken off: a wheel that only an older version needs comes along for all.
    """
    machine = MACHINES[spec.platform]
    platforms = [word for version in MANYLINUX
                 for word in ("--platform", f"manylinux{'' if version.isdecimal() else '_'}"
                                            f"{version}_{machine}")]
    for version in spec.python:
        pip.fetch(["download", "--implementation", "cp", "--python-version", version, *platforms,
                   "-d", place], MARKER.sub(" ", pinned), index=spec.index,
                  what=f"the wheels for Python {version}", where="requirements.txt")


def push(spec: PushToolSpec) -> str:
    """Bring the tool into the store, below tool/<id>/, promote it, and write the receipt.

    An older checkout doesn't make an older tool the current one: that has not been looked at there.
    """
    folder = spec.layout.tool
    tool = read_json(folder / "tool.json", "tool")
    name = tool["id"]
    paths = [folder / "airlock.tar", folder / "airlock.tar.sig",
             *(folder / "wheels" / wheel["name"] for wheel in tool["wheels"])]
    uploads = [Upload.of(f"tool/{name}/{path.relative_to(folder).as_posix()}", path)
               for path in paths]
    store = open_store(spec.store)
    with lease.pushing(store):
        return _push(spec, store, name, uploads)


def _push(spec: PushToolSpec, store: Store, name: str, uploads: Sequence[Upload]) -> str:
    folder, at = spec.layout.tool, spec.layout
    stored = send(store, uploads, title="push:tool")
    wanted = Wanted(name=name, folder=folder, after=spec.after,
                    tried=Tried(validate=None, smoke=None, no_smoke="it is the tool"))
    with opened(Subject(pipeline=None), spec.store, spec.signing, at.tool_promoted,
                at.trusted, spec.after) as here:
        done = promote(here, wanted)
        write_receipt(at.tool_receipt, "tool", spec.store, [*stored, *done.held(here)])
    return (f"{len(uploads)} files in {spec.store.url}: tool/{name}/, nf-airlock {TOOL_VERSION}, "
            f"which reads releases up to format {RELEASE_FORMAT}\n{done.line}")
