"""Readers of pipelines' code, archives, sheets and settings."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import io
import lzma
import os
import stat
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tasks.code import git
from tasks.core import files
from tasks.core.archives import limits, unpacking
from tasks.core.config import load
from tasks.core.inputs import cells, sheets, staged_data
from tasks.core.schema import check
from tasks.core.source import custom_configs
from tasks.data import params
from tasks.images import inspect, scan
from tasks.offline_host.run import own_params
from tasks.plugins.manifest import MANIFEST, read_manifest
from tasks.reach import scan as reach_scan
from tasks.reach.reach import summary
from tasks.reach.staged import Staged
from tests.fuzzing.inputs import NAMES, json_files, mixed, torn
from tests.fuzzing.reader import ROOT, Reader

Member = tuple[str, bytes, str, bytes]
"""A member of a tar: its name, kind, link, and content."""

TAR_NAMES = st.sampled_from([name for name in NAMES if "\0" not in name] + ["d/x", "d", "link/x"])
MEMBERS = st.lists(st.tuples(
    TAR_NAMES, st.sampled_from([tarfile.REGTYPE] * 4 + [
        tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE,
        tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE, b"Z"]), TAR_NAMES,
    st.sampled_from([b"", b"x", b"x" * 2000])), max_size=6)


def _tar(members: list[Member], form: int) -> bytes:
    out = io.BytesIO()
    comment = {"comment": "0" * 40} if form == tarfile.PAX_FORMAT else None
    with tarfile.open(fileobj=out, mode="w", format=form, pax_headers=comment) as tar:
        for name, kind, link, data in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            info.size = len(data) if kind in (tarfile.REGTYPE, tarfile.CONTTYPE, b"Z") else 0
            with contextlib.suppress(ValueError, UnicodeError):  # what this form can't say
                tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _zip(members: list[Member], _: int = 0) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as opened:
        for name, kind, link, data in members:
            info = zipfile.ZipInfo(name or "x")
            mode = {tarfile.SYMTYPE: stat.S_IFLNK, tarfile.DIRTYPE: stat.S_IFDIR,
                    tarfile.FIFOTYPE: stat.S_IFIFO}.get(kind, stat.S_IFREG)
            info.external_attr = (mode | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED if len(data) > 9 else zipfile.ZIP_STORED
            with contextlib.suppress(ValueError, UnicodeError), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of names that come twice
                opened.writestr(info, link if kind == tarfile.SYMTYPE else data)
        opened.comment = b"0" * 40
    return out.getvalue()


PACKED: list[Callable[[bytes], bytes]] = [
    bytes, bytes, lambda data: gzip.compress(data, mtime=0), bz2.compress, lzma.compress]


@st.composite
def packed(draw: st.DrawFn) -> bytes:
    """A tar or zip of hostile members, compressed or not, whole or torn at any layer."""
    members = draw(MEMBERS)
    form = draw(st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT, -1]))
    data = _zip(members) if form < 0 else _tar(members, form)
    if draw(st.booleans()):
        data = draw(torn([data], [b"00000000000", b"77777777777", b"ustar\0" + b"00", b"\x80" * 8,
                                  b"12 path=../x\n", b"30 GNU.sparse.realsize=999999\n",
                                  b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"\xff" * 4]))
    if form >= 0:
        data = draw(st.sampled_from(PACKED))(data)
    return draw(st.just(data) | st.just(data) | torn([data]))


def unpacked(data: bytes, folder: Path) -> None:
    """What comes out are files, folders, and links that stay within; else nothing is left."""
    (folder / "archive").write_bytes(data)
    try:
        unpacking.unpack(folder / "archive", folder / "tree")
    finally:
        left = sorted(path.name for path in folder.iterdir())
        assert left in (["archive"], ["archive", "tree"]), left
    _judge_tree(folder / "tree")


def _judge_tree(root: Path) -> None:
    for path in [root, *root.rglob("*")]:
        if path.is_symlink():
            to = Path(os.path.normpath(path.parent / path.readlink()))
            assert to.is_relative_to(root), f"{path} leads to {path.readlink()}"
        else:
            assert path.is_file() or path.is_dir()


def carried(data: bytes, folder: Path) -> None:
    """Our own archives, as the offline host unpacks them."""
    (folder / "archive").write_bytes(data)
    unpacking.unpack_tar(folder / "archive", folder / "tree", allowed=limits.CODE)
    _judge_tree(folder / "tree")


LINKS = ["../../x", "x", "", "a\0b", "x" * 5000]
ENTRIES = st.lists(st.tuples(
    st.sampled_from([b"100644", b"100755", b"120000", b"040000", b"40000", b"160000", b"0", b"x",
                     b"100664"]),
    st.sampled_from([name.encode(errors="surrogatepass") for name in NAMES if "\0" not in name]
                    + [b".git", b".GIT", b"\xff", b"d", b".gitmodules"]),
    st.sampled_from(["file", "tree", "none", *LINKS])), max_size=4)


def committed(value: tuple[list[tuple[bytes, bytes, str]], bytes], folder: Path) -> None:
    """What a commit made by hand becomes is a tree that stays within itself."""
    entries, more = value
    cache = folder / "cache"
    for name in ("objects", "refs"):
        (cache / name).mkdir(parents=True)
    (cache / "HEAD").write_text("ref: refs/heads/main\n")
    known = {"file": _object(cache, b"blob", b"x"), "none": "1" * 40,
             **{link: _object(cache, b"blob", link.encode()) for link in LINKS}}
    known["tree"] = _object(cache, b"tree", _entry(b"100644", b"x", known["file"]))
    top = _object(cache, b"tree", b"".join(
        _entry(mode, name, known[what]) for mode, name, what in entries) + more)
    commit = _object(cache, b"commit", f"tree {top}\nauthor a <a> 0 +0000\n"
                     f"committer a <a> 0 +0000\n\nx\n".encode())
    (folder / "tree").mkdir()
    git.write_tree(cache, commit, folder / "tree")
    for path in (folder / "tree").rglob("*"):
        assert path.is_symlink() or path.is_file() or path.is_dir()


def _entry(mode: bytes, name: bytes, digest: str) -> bytes:
    return mode + b" " + name + b"\0" + bytes.fromhex(digest)


def _object(cache: Path, kind: bytes, data: bytes) -> str:
    """Write a loose object; its digest."""
    whole = kind + b" " + str(len(data)).encode() + b"\0" + data
    digest = hashlib.sha1(whole).hexdigest()  # noqa: S324 - git's own
    path = cache / "objects" / digest[:2] / digest[2:]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(zlib.compress(whole, 1))
    return digest


CSV = b"sample,fastq_1,fastq_2\na,https://x.org/1.fq,\"b\"\"\n,c\"\n"
SHEETS = [CSV, CSV.replace(b",", b"\t"), b'[{"sample": "a", "n": 1}]',
          b"- sample: a\n  n: [1, 2]\n", b"a\nb\nhttps://x.org/1,2\n"]
TREES = [b"a: &a [x]\nb: *a\n", b"!!binary aGk=", b"2001-01-01", b"? [a]\n: b\n", b"[" * 5000,
         b"!!set {a}", b"1:30:30", b"!!python/object:x.Y {}", b"{a: .nan, b: .inf}", b"!!float x",
         b"!!timestamp x", b"2001-13-41", b"- " * 3000, b"a: !!omap [b: 1]", b"<<: 7"]
SHEET_NAMES = st.sampled_from(["x.csv", "x.tsv", "x.json", "x.yml", "x.txt"])


def sheet(value: tuple[str, bytes], _: Path) -> None:
    """What is read is the same once it is written, and each of its forms can be made."""
    name, data = value
    for is_lines in (None, True, False):
        read = sheets.parse(data, name=name, has_header=lambda row: "sample" in row,
                            is_lines=is_lines)
        text = read.text()
        again = sheets.parse(text.encode(), name=name, has_header=lambda row: "sample" in row,
                             is_lines=is_lines)
        assert repr(again.tree) == repr(read.tree)
        assert again.rows == read.rows or name == "x.txt"
        read.as_csv().encode()
        for place, cell, column in read.cells():
            assert f"{place}{cell}{column}" is not None
            assert "".join(cells.parts(cell)) == cell
        read.records()
        staged_data.render_sheet(data, name, lambda path: None, is_lines=bool(is_lines))


def given(value: tuple[bytes, bool], folder: Path) -> None:
    """A user's params become a mapping that can be written as JSON."""
    data, is_json = value
    path = folder / ("p.json" if is_json else "p.yml")
    path.write_bytes(data)
    values = own_params(None, str(path), release=folder, folder=folder)
    assert isinstance(values, dict)
    files.write_json(folder / "out.json", values)


GROOVY = ["process A {", "container", "include", "{ X }", "from './x'", "if", "else",
          "(params.x)", "{", "}", "(", ")", "[", "]", "?", ":", "?:", "=", "'a/b:1'",
          "\"a/${params.v}:1\"", "def n", "\n", "return", "script:", "!", "&&", ".",
          "withName: 'A'", "withLabel: '.*'", "!", "+", "includeConfig", "process", "params",
          "task.ext.y", "->", ",", "{ 'a/c:1' }", "()", "-", "workflow {", "take:", "main:", "A(",
          "| A", "new URL(", "'https://x.org/\\uD800'", "'''", "\"\"\"", "/*", "*/", "//", "\\",
          "\\u0000", "$", "${", "/", "$/", "\0", "\ufeff", "é", "9" * 5000, "0x1",
          "'s3://a/${x}'", "profiles { test {", "plugins { id 'a@1'", "withName: '(a+)+$'",
          "wget https://x.org/a", "params.a.b.c = 1", "env.X = ", "docker.registry = ", "||",
          "1 +", "publishDir", "switch (x) { case 'a':", "try {", "a ? b : ", "x = x + x\n",
          "'a' + ", "*"]
TEXTS = [(ROOT / path).read_bytes() for path in (
    "examples/hello/main.nf", "examples/hello/nextflow.config", "config/offline.config")]
TORN = torn(TEXTS, [word.encode() for word in GROOVY])
SOURCES = st.tuples(*[mixed(GROOVY).map(lambda text: text.encode()) | TORN] * 3)


def _code(value: tuple[bytes, bytes, bytes], folder: Path) -> Path:
    main, module, settings = value
    code = folder / "code"
    for name, data in {"main.nf": main, "x.nf": module, "nextflow.config": settings,
                       "lib/X.groovy": module, "bin/tool": main,
                       "nextflow_schema.json": module}.items():
        files.write_bytes(code / name, data)
    return code


def scanned(value: tuple[bytes, bytes, bytes], folder: Path) -> None:
    """The list of images fits its schema, and can be written."""
    found = scan.scan(_code(value, folder), {})
    assert found.images == sorted(set(found.images))
    files.write_json(folder / "scan.json", check(found.as_json(), "images-scan", where="scan"))


def reached(value: tuple[bytes, bytes, bytes], folder: Path) -> None:
    """The report fits its schema, and can be written."""
    code = _code(value, folder)
    custom_configs.includes(code)
    found = reach_scan.scan(code, {"params": {"x": "s3://a/b"}}, Staged(
        params={}, plugins={}, toggles={}), "test")
    report = {"pipeline": "x", "profile": "test", **found.as_json()}
    files.write_json(folder / "reach.json", check(report, "reach", where="reach"))
    summary(found).encode()


SCHEMA = {"$defs": {"a": {"properties": {"input": {"format": "file-path", "exists": True}}}},
          "properties": {"x": {"format": "directory-path"}}}


def wanted(value: tuple[bytes, dict[str, Any]], folder: Path) -> None:
    """Which params are data, by a pipeline's own schema."""
    data, resolved = value
    (folder / "nextflow_schema.json").write_bytes(data)
    found = params.choose(resolved, folder)
    assert {*found.sources, *found.folders, *found.none} <= set(resolved)


def inspected(text: bytes, folder: Path) -> None:
    """What `nextflow inspect` answers, or doesn't."""
    for process in inspect._processes(text.decode(errors="replace"), folder / "log"):
        assert isinstance(process["name"], str)


def described(data: bytes, folder: Path) -> None:
    """The main attributes of a plugin's manifest."""
    files.write_bytes(folder / MANIFEST, data)
    assert all(isinstance(value, str) for value in read_manifest(folder).values())


SITE = (ROOT / "config/sites/local.yml").read_bytes()
PIPELINE = (ROOT / "config/pipelines/hello.yml").read_bytes()
DOTENV = b"AIRLOCK_STORE=store\nAIRLOCK_REGISTRY_PORT=5000\nexport X='a b'\nY=\"${X:-z}\"\n"


def configured(value: tuple[bytes, bytes, bytes], folder: Path) -> None:
    """A configuration that can be handed on, or all its faults."""
    site, pipeline, dotenv = value
    files.write_bytes(folder / "config/sites/local.yml", site)
    files.write_bytes(folder / "config/pipelines/hello.yml", pipeline)
    files.write_bytes(folder / ".env", dotenv)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRLOCK_")}
    with mock.patch.dict(os.environ, kept, clear=True):
        found = load.load({"pipeline": "hello"}, folder)
    assert found.names == ("hello",)


def _configs() -> SearchStrategy[tuple[bytes, bytes, bytes]]:
    words = [*(line for line in SITE.splitlines(True) if line.strip()), *TREES]
    site = st.just(SITE) | torn([SITE], words) | torn([yaml.safe_dump(
        yaml.safe_load(SITE)).encode()], words)
    return st.tuples(site, st.just(PIPELINE) | torn([PIPELINE], words), torn(
        [DOTENV], [b"AIRLOCK_OFFLINE_STORE=x\n", b"AIRLOCK_REGISTRY_PORT=" + b"9" * 5000 + b"\n",
                   b"AIRLOCK_REGISTRY_PORT=\xd9\xa3\n", b"AIRLOCK_SITE=../x\n", b"A=\0\n", b"'"]))


READERS = [
    Reader(name="archive", read=unpacked, inputs=packed()),
    Reader(name="own archive", read=carried, inputs=packed()),
    Reader(name="git tree", read=committed, quick=12, inputs=st.tuples(
        ENTRIES, st.just(b"") | st.just(b"") | st.binary(max_size=40))),
    Reader(name="sheet", read=sheet, inputs=st.tuples(SHEET_NAMES, torn([*SHEETS, *TREES], TREES))),
    Reader(name="params", read=given, inputs=st.tuples(
        torn([b"input: x.csv\na: [1, 2]\nb: {c: d}\n", *TREES], TREES)
        | json_files(st.just({"input": "x.csv", "n": 1})), st.booleans())),
    Reader(name="images of code", read=scanned, inputs=SOURCES, quick=40),
    Reader(name="reach of code", read=reached, inputs=SOURCES, quick=20),
    Reader(name="params schema", read=wanted, inputs=st.tuples(
        json_files(st.just(SCHEMA)), st.dictionaries(
            st.sampled_from(["input", "x", "hook_url", "email"]),
            st.sampled_from([*NAMES, "https://[", "https://x.org/a.csv", "x.csv", "a@b", 1, None]),
            max_size=3))),
    Reader(name="inspect", read=inspected, inputs=torn(
        [b'WARN: x\n{"processes": [{"name": "A", "container": "a/b:1"}]}\n'],
        [b"\n{", b"\n{\"processes\": 1}", b"\n[" * 2000])),
    Reader(name="plugin manifest", read=described, inputs=torn(
        [b"Manifest-Version: 1.0\r\nPlugin-Id: nf-a\r\nPlugin-Version: 1.0\r\n .0\r\n\r\nName: x"],
        [b"\r\n ", b": ", b"\n\n"])),
    Reader(name="configuration", read=configured, inputs=_configs(), quick=20),
]
