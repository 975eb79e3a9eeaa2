"""The reader of runs that come back from an offline host: packed, torn, and with forged records."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tasks.core import files
from tasks.core.trust import checksums
from tasks.offline_host import take_back
from tasks.offline_host.verify import verify
from tests.fuzzing.inputs import NAMES, torn
from tests.fuzzing.reader import Reader

RUN = "20260102T030405Z-mine"
CONTENT = b"basalt\n"
RECORD: dict[str, Any] = {
    "kind": "run", "name": RUN, "pipeline": "weigh", "run": "own", "profile": "offline",
    "site": "here", "tool": None, "release": {"id": "1.0-0123456789ab", "promotion": None},
    "inputs": {"sheet": None, "params": None}, "params": "0" * 64, "command": {}, "configs": [],
    "images": [], "tasks": [], "versions": {"nextflow": "24.10.5", "java": None, "docker": None},
    "host": {"name": "node7", "system": "Linux", "cpus": 1, "memory": 1},
    "user": {"name": "mira", "id": 7}, "started": "2026-01-02T03:04:05.000Z",
    "ended": "2026-01-02T03:04:06.000Z", "process": {"pid": 1, "started": 1, "boot": "b"},
    "session": None, "continues": None, "work": "/w", "outdir": None,
    "outcome": {"state": "success", "status": 0, "process": None}, "unlisted": []}


def packed(rows: list[tuple[str, bytes]], form: int, kind: bytes = tarfile.REGTYPE,
           changed: Mapping[str, Any] | None = None) -> bytes:
    """A run with these results, whose list names what its record says."""
    results = [{"path": path, "sha256": files.sha256_bytes(data), "size": len(data)}
               for path, data in rows]
    record = files.json_bytes({**RECORD, "results": results, **(changed or {})})
    lines = {"run.json": files.sha256_bytes(record),
             **{f"results/{row['path']}": row["sha256"] for row in results}}
    listed = "".join(f"{digest}  {path}\n" for path, digest in sorted(lines.items())).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in [("SHA256SUMS", listed), ("run.json", record),
                           *((f"results/{path}", data) for path, data in rows)]:
            about = tarfile.TarInfo(f"{RUN}/{name}")
            about.size = len(data)
            if name.startswith("results/"):
                about.type = kind
            archive.addfile(about, io.BytesIO(data))
    return out.getvalue()


def taken(data: bytes, folder: Path) -> None:
    """What passes is in place whole, and is what its record says; of what doesn't nothing is left.
    """
    (folder / "run.tar").write_bytes(data)
    try:
        run = take_back.take(folder / "run.tar", folder / "back", signers=None,
                             is_known=lambda *_: True)
    except Exception:
        assert not [path for path in (folder / "back").rglob("*") if not path.is_dir()]
        raise
    assert verify(run.folder, None).differences == ()
    assert run.folder.path == folder / "back/weigh" / RUN
    checksums.parse_sums(run.folder.sums.read_bytes(), where="here")


PLAIN = [name for name in NAMES if "\0" not in name and name.isprintable()]
FORMS = st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
ROWS = st.lists(st.tuples(st.sampled_from([*PLAIN, "a", "a/b", "a/b/c", "deep/x.txt"]),
                          st.sampled_from([b"", CONTENT, CONTENT * 200])), max_size=4)
KINDS = st.sampled_from([tarfile.REGTYPE] * 6 + [tarfile.SYMTYPE, tarfile.LNKTYPE,
                                                tarfile.DIRTYPE, tarfile.CHRTYPE])
CHANGED = st.sampled_from([{}] * 6 + [{"pipeline": ".."}, {"name": "20260102T030405Z-.."},
                                      {"results": None}, {"kind": "other"}])
WHOLE = packed([("a", CONTENT), ("deep/x.txt", b"")], tarfile.GNU_FORMAT)

READERS = [Reader(name="run", read=taken, inputs=st.builds(
    packed, ROWS, FORMS, KINDS, CHANGED) | torn([WHOLE], [
        b"00000000000", b"77777777777", b"\x80" * 8, RUN.encode(), b"../", b'"size": 7']))]
