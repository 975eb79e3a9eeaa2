"""A pipeline that means harm ends in a clear error, or is carried safely across the whole way.

What its config's own code may do while it is resolved stands in test_core_isolation.py.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import os
import resource
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tasks.core import files, launch, signature
from tasks.prod import bootstrap
from tasks.runtime import maven
from tests.sandbox.hostile import FOLDER, PUBLIC, SECRET, VERSION, Hostile, holding, make
from tests.sandbox.web import Web

READS = b"@r\nACGT\n+\nIIII\n"


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, web: Web, runtime: maven.Runtime,
            capfd: pytest.CaptureFixture[str]) -> Iterator[Hostile]:
    """The pipeline; after each test no credential may have got anywhere."""
    home = tmp_path / "home"
    for name in (".aws/credentials", ".netrc", ".docker/config.json", ".git-credentials"):
        files.write_text(home / name, SECRET)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "NXF_TOKEN"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    made = make(tmp_path, web.url, runtime.archive)
    yield made
    own = [made.secret, *files.tree(home)]
    assert holding(tmp_path, SECRET, apart_from=own) == []
    told = capfd.readouterr()
    assert SECRET not in told.out + told.err
    assert not [seen for seen in web.seen if SECRET in str(seen)]


def table(rows: Sequence[Sequence[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


def arrived(hostile: Hostile) -> tuple[Path, launch.Launch]:
    """The release on the offline host, fetched, checked and unpacked for a launch."""
    hostile.run("release", "push:code", "push:data", "push:plugins", "push:runtime",
                "push:release")
    trusted = signature.public_key(Path("keys/id_ed25519"))
    files.write_text(Path("trust/allowed_signers"), f"airlock {trusted}\n")
    hostile.run("prod:fetch", role="prod")
    folder = hostile.prod.release(json.loads(hostile.prod.current.read_text())["id"])
    return folder.absolute(), launch.prepare(bootstrap.carried(folder, VERSION),
                                             hostile.prod.launch)


def test_what_is_odd_but_harmless_arrives_as_it_was(hostile: Hostile, web: Web) -> None:
    odd = "it's \"a\" bäd; $(touch ran) `touch ran` näme.fq"
    hostile.write(f"assets/{odd}", READS)
    hostile.write("assets/-rf", "x")
    (hostile.code / "assets/link.fq").symlink_to(odd)
    served = {"/a%20b%27%22.fq.gz": READS * 2, "/..%2F..%2Fetc%2Fpasswd": b"root\n",
              "/%C3%BC/r.fq": READS * 3, "/%E2%80%A6/r.fq": READS * 4, "/..;/-rf": READS * 5}
    web.files |= served
    untouched = ["../secret.txt", "../../secret.txt", str(hostile.secret), "~/.aws/credentials",
                 "/etc/passwd", "two\nlines", "\"quoted\", with 'all'", "$(touch ran)", "=1+1",
                 "Zoë\t\u202egnp.exe", "data/" + "0" * 64 + "/..", "data/" + "0" * 64 + "/x",
                 "sheets/../../x", "assets/../../secret.txt", "..", "x" * 100_000, "file:/etc/passwd",
                 "jar:file:///etc/passwd!/x", "\\\\host\\share", "C:\\x", "-rf", "\x7f\x1b[2J"]
    urls = [f"{PUBLIC.rstrip('/')}{path}" for path in served]
    local = [f"assets/{odd}", "assets/link.fq", "assets/-rf"]
    rows = [["sample", "cell"], *([f"s{number}", cell] for number, cell
                                  in enumerate([*untouched, *urls, *local]))]
    web.files["/sheet.csv"] = table(rows)
    hostile.params(input=f"{PUBLIC}sheet.csv")
    hostile.run("stage", "mirror:data", "plugins:cache")
    folder, ready = arrived(hostile)
    for name, content in ((odd, READS), ("link.fq", READS), ("-rf", b"x")):
        assert (ready.code / "assets" / name).read_bytes() == content
    sheet = Path(json.loads(ready.params.read_bytes())["input"])
    assert sheet.is_relative_to(ready.folder)
    with sheet.open(newline="") as stream:
        cells = [row[1] for row in csv.reader(stream)][1:]
    assert cells[:len(untouched)] == untouched
    contents = [*served.values(), READS, READS, b"x"]
    for cell, content in zip(cells[len(untouched):], contents, strict=True):
        assert Path(cell).resolve().is_relative_to(hostile.root.resolve() / "build/here/prod")
        assert Path(cell).is_relative_to(folder)
        assert Path(cell).read_bytes() == content
        assert not set(Path(cell).name) & set(" '\"$`;\\") and Path(cell).name[0] not in ".-"
    signed = hostile.root / "store/releases/hostile" / folder.name / "SHA256SUMS"
    done = subprocess.run(["sha256sum", "--check", "--strict", "--quiet", signed], cwd=folder,
                          check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(hostile.root.rglob("ran"))
