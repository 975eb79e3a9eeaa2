"""Two sites that ask different places for code and data; images have a test of their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tasks.code import stage
from tasks.core import files
from tasks.core.errors import SourceError
from tasks.core.lock_files import LockFiles
from tasks.core.net.network import Network
from tasks.core.schema import read_json
from tasks.data.mirror import Mirror, mirror
from tasks.runtime.maven import own_repository
from tests.kit.data import data_spec, sha256
from tests.kit.git import Repository, git, local
from tests.kit.web import Web, serving


def at_site(site: str, root: Path, kind: str) -> LockFiles:
    return LockFiles(site=site, pipeline="p", kind=kind, root=root / "locks")


def data(root: Path, site: str, web: Web, prefixes: Mapping[str, str]) -> Mirror:
    """The data of a site in its own folder."""
    made = data_spec(root / site, web)
    source = dataclasses.replace(
        made.source, reach=dataclasses.replace(
            made.source.reach, prefixes=prefixes, network=Network().naming(web.url)),
        code=root / "code.tar", resolved=root / "resolved.json",
        lock=at_site(site, root, "data"))
    return dataclasses.replace(made, source=source)


def relocked(spec: Mirror) -> Mirror:
    return dataclasses.replace(spec, source=dataclasses.replace(spec.source, relock=True))


def urls(path: Path) -> dict[str, str]:
    return {entry["url"]: entry["sha256"] for entry in read_json(path, "data-lock")["files"]}


def test_a_mirror_with_other_bytes_is_the_site_s_own_and_leaves_what_all_share(
        tmp_path: Path, web: Web, params: dict[str, Any]) -> None:
    """Here the public server is the test's own, and the mirror another one."""
    public = f"{web.url}/"
    params |= {"fasta": f"{public}a.fa", "gtf": f"{public}same/a.gtf"}
    web.files = {"/a.fa": b"published", "/same/a.gtf": b"the same"}
    with serving() as proxy:
        proxy.files = {"/a.fa": b"rewritten", "/same/a.gtf": b"the same"}
        behind = data(tmp_path, "behind", web, {public: f"{proxy.url}/"})
        open_site = data(tmp_path, "open", web, {})
        mirror(open_site)
        shared, own = behind.source.lock.paths
        before = shared.read_bytes()
        with pytest.raises(SourceError) as caught:
            mirror(behind)
        assert f"where: {shared}" in str(caught.value)
        assert "./doit site=behind relock=1 mirror:data:p" in str(caught.value)
        mirror(relocked(behind))
        assert shared.read_bytes() == before
        assert urls(own) == {f"{public}a.fa": sha256(b"rewritten")}
        entry, = read_json(own, "data-lock")["files"]
        assert entry["reached_at"] == f"{proxy.url}/a.fa"
        for spec in (open_site, behind):
            mirror(spec)
        assert (shared.read_bytes(), urls(own)) == (before, {
            f"{public}a.fa": sha256(b"rewritten")})


def test_a_locked_file_that_a_mirror_lacks_names_its_lock(
        tmp_path: Path, web: Web, params: dict[str, Any]) -> None:
    public = f"{web.url}/"
    params |= {"fasta": f"{public}a.fa"}
    web.files = {"/a.fa": b"published"}
    mirror(data(tmp_path, "open", web, {}))
    with serving() as proxy, pytest.raises(SourceError) as caught:
        mirror(data(tmp_path, "behind", web, {public: f"{proxy.url}/"}))
    said = str(caught.value)
    assert f"locked in {tmp_path}/locks/p/data.json: sha256 {sha256(b'published')}" in said
    assert "asked at " in said
    assert "./doit site=behind relock=1 mirror:data:p" in said


def test_a_git_mirror_that_lags_is_the_site_s_own(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    first = repository.commit(**{"main.nf": "workflow {}\n"})
    repository.push()
    lagging = tmp_path / "lagging/git/hello.git"
    git("clone", "--quiet", "--bare", str(repository.bare), str(lagging), at=tmp_path)
    second = repository.commit(**{"main.nf": "workflow { }\n"})
    repository.push()
    public = f"file://{repository.bare}"
    open_site = local(tmp_path / "one", source=public, urls={}, revision="main",
                      lock=at_site("open", tmp_path, "code"))
    behind = local(tmp_path / "two", source=public, urls={public: f"file://{lagging}"},
                   revision="main", lock=at_site("behind", tmp_path, "code"))
    stage.from_git(open_site)
    with pytest.raises(SourceError) as caught:
        stage.from_git(behind)
    assert all(part in str(caught.value) for part in (
        first, second, "./doit site=behind relock=1 stage:p"))
    stage.from_git(dataclasses.replace(behind, relock=True))
    stage.from_git(behind)
    shared, own = behind.lock.paths
    assert read_json(shared, "code-lock")["commit"] == second
    assert read_json(own, "code-lock") == {
        "source": public, "revision": "main", "commit": first, "reached_at": f"file://{lagging}"}
    git("branch", "-m", "main", "gone", at=lagging)
    with pytest.raises(SourceError, match=f"locked: commit {first}, in {own}"):
        stage.from_git(behind)


def test_maven_says_which_mirror_gave_the_jars(tmp_path: Path) -> None:
    coordinates = ("io.nextflow:nextflow:24.10.5", "io.nextflow:nf-commons:24.10.5")
    assert own_repository(coordinates, tmp_path) is None
    note = tmp_path / "io/nextflow/nf-commons/24.10.5/_remote.repositories"
    said = "#NOTE: internal\nnf-commons-24.10.5.pom>nexus=\nnf-commons-24.10.5.jar>{}=\n"
    for name, place in (("central", None), ("", None),
                        ("nexus", "the mirror nexus of Maven's settings.xml")):
        files.write_text(note, said.format(name))
        assert own_repository(coordinates, tmp_path) == place
