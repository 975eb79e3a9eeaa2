"""A pipeline that means harm ends in a clear error, or is carried safely across the whole way.

The fixture `hostile` sees to it that no credential gets anywhere. What a config's own code may do
while it is resolved stands in the tests of its isolation.
"""

from __future__ import annotations

import csv
import io
import json
import stat
import subprocess
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files
from tasks.core.nextflow import launch
from tasks.core.nextflow.machine import this_machine
from tasks.core.trust import signature
from tasks.offline_host import bootstrap
from tests.kit.git import Repository
from tests.kit.hostile import PUBLIC, SECRET, VERSION, Hostile, table
from tests.kit.plugins import MANIFEST, Shop
from tests.kit.web import Web

READS = b"@r\nACGT\n+\nIIII\n"
ABOUT = "Plugin-Id: nf-a\nPlugin-Version: 1.0.0\n"


def arrived(hostile: Hostile) -> tuple[Path, launch.Launch]:
    """The release on the offline host, fetched, checked and unpacked for a launch."""
    hostile.run("release", "release:sign", "push:code", "push:data", "push:plugins", "push:runtime",
                "push:release", "release:promote")
    trusted = signature.public_key(Path("keys/id_ed25519"))
    files.write_text(Path("trust/allowed_signers"), signature.allowed_line("airlock", trusted))
    hostile.run("prod:fetch", role="prod")
    name = json.loads(hostile.prod.current.read_text())["id"]
    folder = hostile.prod.release(name)
    return folder.absolute(), launch.prepare(bootstrap.carried(folder, VERSION),
                                             hostile.prod.launch / name, this_machine())


def test_what_is_odd_but_harmless_arrives_as_it_was(hostile: Hostile, web: Web) -> None:
    odd = "it's \"a\" bäd; $(touch ran) `touch ran` näme.fq"
    hostile.write(f"assets/{odd}", READS)
    hostile.write("assets/-rf", "x")
    (hostile.code / "assets/link.fq").symlink_to(odd)
    served = {"/a%20b%27%22.fq.gz": READS * 2, "/..%2F..%2Fetc%2Fpasswd": b"root\n",
              "/%C3%BC/r.fq": READS * 3, "/%E2%80%A6/r.fq": READS * 4, "/..;/-rf": READS * 5}
    web.files |= served
    untouched = [
        "../secret.txt", "../../secret.txt", str(hostile.secret), "~/.aws/credentials", "..",
        "/etc/passwd", "assets/../../secret.txt", "file:/etc/passwd", "jar:file:///etc/passwd!/x",
        f"data/{'0' * 64}/..", f"data/{'0' * 64}/x", "sheets/../../x", "trees/../../x",
        "two\nlines", "\"quoted\", with 'all'", "$(touch ran)", "=1+1", "-rf", "x" * 100_000,
        "\\\\host\\share", "C:\\x", "Zoë\t\u202egnp.exe", "\x7f\x1b[2J"]
    named = [*(f"{PUBLIC.rstrip('/')}{path}" for path in served),
             f"assets/{odd}", "assets/link.fq", "assets/-rf"]
    web.files["/sheet.csv"] = table([["sample", "cell"], *(
        [f"s{number}", cell] for number, cell in enumerate([*untouched, *named]))])
    hostile.params(input=f"{PUBLIC}sheet.csv")
    hostile.run("stage", "resolve", "mirror:data", "plugins:cache")
    folder, ready = arrived(hostile)
    for name, content in ((odd, READS), ("link.fq", READS), ("-rf", b"x")):
        assert (ready.code / "assets" / name).read_bytes() == content
    sheet = Path(json.loads(ready.params.read_bytes())["input"])
    assert sheet.is_relative_to(ready.folder)
    with sheet.open(newline="") as stream:
        cells = [row[1] for row in csv.reader(stream)][1:]
    assert cells[:len(untouched)] == untouched
    contents = [*served.values(), READS, READS, b"x"]
    for cell, content in zip(map(Path, cells[len(untouched):]), contents, strict=True):
        assert cell.resolve().is_relative_to(folder)
        assert cell.read_bytes() == content
        assert not set(cell.name) & set(" '\"$`;\\") and cell.name[0] not in ".-"
    signed = hostile.root / "store/releases/hostile" / folder.name / "SHA256SUMS"
    done = subprocess.run(["sha256sum", "--check", "--strict", "--quiet", signed], cwd=folder,
                          check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(hostile.root.rglob("ran"))


def test_no_link_leads_out_of_the_code(hostile: Hostile, resolved: dict[str, Any],
                                       web: Web) -> None:
    # Each link of the last two stays inside by its text; one through the other does not.
    inner = hostile.code / "assets/deep"
    inner.mkdir(parents=True)
    links = {"direct.txt": "../secret.txt", "absolute.txt": str(hostile.secret),
             "assets/up.txt": "../../secret.txt", "through.txt": "assets/deep/top/../secret.txt"}
    (inner / "top").symlink_to("../..")
    for name, to in links.items():
        (hostile.code / name).symlink_to(to)
    assert (hostile.code / "through.txt").read_text() == SECRET
    said = hostile.refused("stage", *links)
    assert "top:" not in said
    for name in links:
        (hostile.code / name).unlink()
    (hostile.code / "loop.txt").symlink_to("loop.txt")
    web.files["/sheet.csv"] = table([["sample", "file"], *([path, path] for path in (
        "assets/deep/top/../secret.txt", "assets/deep/top/main.nf", "loop.txt"))])
    resolved["params"]["input"] = f"{PUBLIC}sheet.csv"
    hostile.run("stage", "mirror:data")
    cells = [row[1] for row in csv.reader(io.StringIO(hostile.layout.inputs.read_text()))][1:]
    assert [cell.partition("/")[0] for cell in cells] == ["assets", "data", "loop.txt"]


@pytest.mark.parametrize(("entries", "word"), [
    ([("100644", "../evil")], "'../evil'"),
    ([("100644", "/evil")], "'/evil'"),
    ([("100644", "a\nb")], "'a\\nb'"),
    ([("120000", "a"), ("100644", "a/evil")], "the commit names 'a' twice"),
])
def test_a_commit_made_to_deceive_is_refused(hostile: Hostile, web: Web, word: str,
                                             entries: list[tuple[str, str]]) -> None:
    repository = Repository(hostile.root)
    blob = repository.put("blob", b"..")
    tree = repository.put_tree(*((mode, blob, name) for mode, name in entries))
    repository.git("update-ref", "refs/heads/main", repository.git(
        "commit-tree", "-m", "x", tree, at=repository.bare), at=repository.bare)
    repository.git("update-server-info", at=repository.bare)
    web.folder = hostile.root / "served"
    hostile.configure(source=f"{PUBLIC}git/hello.git", revision="main")
    before = hostile.layout.code.read_bytes()
    hostile.refused("stage", word)
    assert hostile.layout.code.read_bytes() == before
    assert not list(hostile.root.rglob("evil"))


def zipped(*members: tuple[str, bytes, int]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that a name comes twice
        for name, content, mode in ((MANIFEST, ABOUT.encode(), 0), *members):
            about = zipfile.ZipInfo(name)
            about.external_attr, about.compress_type = mode << 16, zipfile.ZIP_DEFLATED
            archive.writestr(about, content)
    return out.getvalue()


ZEROS = 600_000


@pytest.mark.parametrize(("data", "word"), [
    (zipped(("../evil", b"x", 0)), "'../evil'"),
    (zipped(("/evil", b"x", 0)), "'/evil'"),
    (zipped(("a\\..\\evil", b"x", 0)), "backslash"),
    (zipped(("a\nb", b"x", 0)), "'a\\nb'"),
    (zipped(("evil", b"/etc/passwd", stat.S_IFLNK | 0o777)), "neither file nor folder"),
    (zipped(("a", b"x", 0), ("a", b"y", 0)), "comes twice"),
    (zipped(("zeros", bytes(ZEROS), 0)).replace(
        ZEROS.to_bytes(4, "little"), (2**31 - 1).to_bytes(4, "little")), "1.0 GB are allowed"),
    (zipped(("zeros", bytes(ZEROS), 0)).replace(
        ZEROS.to_bytes(4, "little"), (9).to_bytes(4, "little")), "not a whole zip"),
    (b"PK", "not a whole zip"),
])
def test_a_hostile_plugin_is_refused(hostile: Hostile, resolved: dict[str, Any], web: Web,
                                     data: bytes, word: str) -> None:
    resolved["plugins"] = ["nf-a@1.0.0"]
    Shop(web).add("nf-a", "1.0.0", data)
    hostile.run("stage")
    before = hostile.layout.plugins.read_bytes()
    hostile.refused("plugins:cache", word, "nf-a-1.0.0.zip")
    assert hostile.layout.plugins.read_bytes() == before
    assert not list(hostile.root.rglob("evil"))


def test_a_plugin_comes_from_the_web_alone(hostile: Hostile, resolved: dict[str, Any],
                                           web: Web) -> None:
    resolved["plugins"] = ["nf-a@1.0.0"]
    hostile.run("stage")
    shop = Shop(web)
    shop.add("nf-a", "1.0.0", zipped())
    web.redirects["/nf-a-1.0.0.zip"] = f"file://{hostile.secret}"
    hostile.refused("plugins:cache", "redirects from http to file, which is refused")
    shop.add("nf-a", "1.0.0", zipped(), url=f"file://{hostile.secret}")
    hostile.refused("plugins:cache", "a zip that is not on the web")
