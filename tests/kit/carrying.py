"""A carried folder of a small release, laid and signed as `doit carry:NAME to=DIR` does."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tasks.carry.lay import LaySpec, lay
from tasks.carry.seal import SealSpec, seal
from tasks.core import files
from tasks.core.config.fields import bytes_of
from tasks.core.paths import SitePaths
from tasks.core.process_shared import Shared
from tasks.offline_host import freshness
from tasks.release import sign, tool
from tests.kit.releases import Staged

MEMBERS = {"doit": b"#!/bin/sh\necho \"the tool got: $*\"\n", "dodo.py": b"# the graph\n"}
WHEEL = b"a wheel\n"


def push_tool(staged: Staged, word: bytes = b"the first",
              after: int | str | None = None) -> str:
    """A tool of two files and a wheel in the store, as the current one; its id."""
    layout = SitePaths(site="here")
    files.write_bytes(layout.tool / "wheels/a-1-py3-none-any.whl", WHEEL)
    (Path("made") / "doit").parent.mkdir(exist_ok=True)
    files.write_bytes(Path("made/doit"), MEMBERS["doit"], mode=0o755)
    about, listed = tool.describe("here", {**MEMBERS, "word": word},
                                  [layout.tool / "wheels/a-1-py3-none-any.whl"])
    files.write_bytes(layout.tool / "tool.json", about)
    files.write_tar(layout.tool / "airlock.tar", Path("made"), [Path("made/doit")], extra={
        "dodo.py": MEMBERS["dodo.py"], "word": word, "tool.json": about, "SHA256SUMS": listed})
    sign.sign_tool(sign.SignToolSpec(layout=layout, signing=staged.signing))
    tool.push(tool.PushToolSpec(layout=layout, store=staged.store, signing=staged.signing,
                                after=after))
    return files.sha256_bytes(listed)[:12]


def lay_spec(staged: Staged, to: Path | str, *, part: str | None = None, remove: bool = False,
             archives: Path | None = None, shared: Shared | None = None) -> LaySpec:
    return LaySpec(
        pipeline=staged.layout.pipeline, layout=staged.layout.of_site, store=staged.store,
        archives=archives, to=str(to), part=bytes_of(part) if part else None, remove=remove,
        key=staged.signing.key,
        trust=staged.trust.absolute(), identity=staged.signing.identity,
        shared=shared or Shared())


def carry(staged: Staged, to: Path | str, *, part: str | None = None, remove: bool = False,
          archives: Path | None = None) -> str:
    """Lay and sign; what the first of the two said."""
    spec = lay_spec(staged, to, part=part, remove=remove, archives=archives)
    said = lay(spec)
    seal(SealSpec(pipeline=spec.pipeline, layout=spec.layout, to=spec.to, signing=staged.signing,
                  shared=spec.shared))
    return said


def host(staged: Staged, name: str = "seen") -> freshness.Host:
    """An offline host with a memory of its own."""
    return freshness.Host(trust=staged.trust, identity=staged.signing.identity, seen=Path(name))


def tree(root: Path) -> dict[str, bytes]:
    """All files of a folder, by their paths."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files.tree(root)}


def verified(place: Path, trust: Path) -> list[str]:
    """What a folder's list names, once ssh-keygen and sha256sum have said that it is right."""
    for words in (["ssh-keygen", "-Y", "verify", "-f", f"{trust.absolute()}/allowed_signers", "-I",
                   "airlock", "-n", "airlock-carry", "-s", "SHA256SUMS.sig"],
                  ["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"]):
        with (place / "SHA256SUMS").open() as listed:
            subprocess.run(words, cwd=place, check=True, stdin=listed, capture_output=True)
    return [line[66:] for line in (place / "SHA256SUMS").read_text().splitlines()]
