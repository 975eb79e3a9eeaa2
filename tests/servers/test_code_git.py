"""Staging from real git repositories, over files and over the web."""

from __future__ import annotations

import base64
import dataclasses
import json
import random
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tasks.code import git, stage
from tasks.core import files, schema
from tasks.core.errors import ConfigError, IntegrityError, SourceError
from tests.kit.git import DATE, SOURCE, Repository, local, spec
from tests.kit.locks import lock_at
from tests.kit.tls import self_signed
from tests.kit.web import Quiet, Server, Web, running


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path)
    (made.tree / "bin").mkdir()
    (made.tree / "bin/tool").write_text("#!/bin/sh\n")
    (made.tree / "bin/tool").chmod(0o755)
    (made.tree / "link.nf").symlink_to("main.nf")
    # What git archive and a checkout would leave out or change.
    (made.tree / ".gitattributes").write_text("* text eol=crlf\nmain.nf export-ignore\n")
    made.commit(**{"main.nf": "workflow {}\n"})
    made.git("tag", "--annotate", "--message", "x", "v1")
    made.push()
    return made


def test_a_tag_is_staged_byte_for_byte(repository: Repository, tmp_path: Path) -> None:
    stage.from_git(local(tmp_path))
    commit = repository.git("rev-parse", "HEAD")
    with tarfile.open(tmp_path / "out/code.tar") as tar:
        about = {member.name: (member.mode, member.mtime, member.linkname) for member in tar}
        main = tar.extractfile("main.nf")
        assert main is not None
        assert main.read() == b"workflow {}\n"
    seconds = 1709287200
    assert about == {".gitattributes": (0o644, seconds, ""), "bin/tool": (0o755, seconds, ""),
                     "link.nf": (0o777, seconds, "main.nf"), "main.nf": (0o644, seconds, "")}
    manifest = schema.read_json(tmp_path / "out/manifest.json", "code-manifest")
    assert (manifest["commit"], manifest["date"], manifest["revision"]) == (commit, DATE, "v1")
    assert schema.read_json(lock_at(tmp_path / "locks", "code").own, "code-lock") == {
        "source": SOURCE, "revision": "v1", "commit": commit,
        "reached_at": f"file://{tmp_path}/served/git/hello.git"}


def test_the_web_gives_the_same_bytes(repository: Repository, tmp_path: Path, web: Web) -> None:
    web.folder = tmp_path / "served"
    stage.from_git(local(tmp_path))
    before = (tmp_path / "out/code.tar").read_bytes()
    stage.from_git(spec(tmp_path, f"{web.url}/git", cache=tmp_path / "other"))
    assert (tmp_path / "out/code.tar").read_bytes() == before
    assert web.asked("/git/hello.git/info/refs") > 0


def test_branch_and_commit_are_revisions_too(repository: Repository, tmp_path: Path) -> None:
    first = repository.git("rev-parse", "HEAD")
    second = repository.commit(**{"main.nf": "workflow { x }\n"})
    repository.push()
    for revision, commit in (("main", second), (first, first), (second[:9], second)):
        stage.from_git(local(tmp_path, revision=revision))
        assert json.loads((lock_at(tmp_path / "locks", "code").own).read_text())["commit"] == commit


@pytest.fixture
def long_ago(repository: Repository) -> str:
    """A repository of 60 commits with 20 kB each that the next one removes; its first commit."""
    first = repository.git("rev-parse", "HEAD")
    for number in range(60):
        (repository.tree / "data.bin").write_bytes(random.Random(number).randbytes(20_000))
        repository.commit(**{"main.nf": f"workflow {{ x{number} }}\n"})
        repository.git("tag", f"old{number}")
    (repository.tree / "data.bin").unlink()
    repository.commit()
    repository.git("tag", "--annotate", "--message", "x", "v2")
    repository.push()
    return first


def size(cache: Path) -> int:
    return sum(path.stat().st_size for path in (cache / "objects").rglob("*") if path.is_file())


@pytest.mark.parametrize("revision", ["v2", "main", "the commit", "an early commit"])
def test_one_revision_is_fetched_and_not_its_history(
        repository: Repository, tmp_path: Path, long_ago: str, revision: str) -> None:
    """1.2 MB of history, of which some hundred bytes are of use."""
    named = {"the commit": repository.git("rev-parse", "HEAD"),
             "an early commit": long_ago}.get(revision, revision)
    stage.from_git(local(tmp_path, revision=named))
    assert size(tmp_path / "out/cache") < 5000
    assert repository.git("for-each-ref", "--format=%(refname)", at=tmp_path / "out/cache") == (
        "refs/airlock/revision")
    commit = json.loads((lock_at(tmp_path / "locks", "code").own).read_text())["commit"]
    assert commit == repository.git("rev-parse", f"{named}^{{commit}}")
    # What is left of that is in nobody's way, nor are digits that only a history can tell.
    stage.from_git(local(tmp_path, revision=long_ago[:8], relock=True))
    assert size(tmp_path / "out/cache") > 1_000_000
    stage.from_git(local(tmp_path, revision="old7", relock=True))


@pytest.mark.parametrize("served", ["as files", "an old protocol, and no commit by name"])
@pytest.mark.parametrize("revision", ["v2", "main", "the commit"])
def test_where_a_server_cannot_do_that_history_comes_along(
        repository: Repository, tmp_path: Path, web: Web, long_ago: str, served: str,
        revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    named = long_ago if revision == "the commit" else revision
    base = f"file://{tmp_path}/served/git"
    if served == "as files":
        web.folder = tmp_path / "served"
        base = f"{web.url}/git"
    else:
        for number, (key, value) in enumerate((("protocol.version", "0"),
                                               ("uploadpack.allowAnySHA1InWant", "false"))):
            monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", key)
            monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)
        monkeypatch.setenv("GIT_CONFIG_COUNT", "2")
    stage.from_git(spec(tmp_path, base, revision=named))
    commit = json.loads((lock_at(tmp_path / "locks", "code").own).read_text())["commit"]
    assert commit == repository.git("rev-parse", f"{named}^{{commit}}")


def test_a_tag_comes_before_a_branch_of_the_same_name(repository: Repository,
                                                      tmp_path: Path) -> None:
    tagged = repository.git("rev-parse", "HEAD")
    repository.commit(**{"main.nf": "workflow { y }\n"})
    repository.git("tag", "both", tagged)
    repository.push()
    repository.git("push", "--quiet", str(repository.bare), "HEAD:refs/heads/both",
                   "HEAD:refs/heads/deep/refs/tags/v9")
    stage.from_git(local(tmp_path, revision="both"))
    assert json.loads((lock_at(tmp_path / "locks", "code").own).read_text())["commit"] == tagged
    with pytest.raises(SourceError, match="no tag, branch or commit 'v9'"):
        stage.from_git(local(tmp_path, revision="v9"))


def test_a_moved_tag_is_refused_with_both_commits_until_relock(repository: Repository,
                                                               tmp_path: Path) -> None:
    stage.from_git(local(tmp_path))
    first = repository.git("rev-parse", "HEAD")
    before = (tmp_path / "out/code.tar").read_bytes()
    second = repository.commit(**{"main.nf": "workflow { evil }\n"})
    repository.git("tag", "--force", "v1")
    repository.push()
    with pytest.raises(SourceError) as caught:
        stage.from_git(local(tmp_path))
    assert all(part in str(caught.value) for part in (first, second, "relock=1"))
    assert (tmp_path / "out/code.tar").read_bytes() == before
    stage.from_git(local(tmp_path, relock=True))
    assert json.loads((lock_at(tmp_path / "locks", "code").own).read_text())["commit"] == second


def test_a_submodule_is_refused(repository: Repository, tmp_path: Path) -> None:
    repository.git("update-index", "--add", "--cacheinfo",
                   f"160000,{repository.git('rev-parse', 'HEAD')},modules/other")
    repository.git("commit", "--quiet", "--message", "x")
    repository.push()
    with pytest.raises(SourceError, match="submodules: modules/other"):
        stage.from_git(local(tmp_path, revision="main"))


def test_a_git_lfs_pointer_is_refused(repository: Repository, tmp_path: Path) -> None:
    repository.commit(**{"big.bam": "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"})
    repository.push()
    with pytest.raises(SourceError, match=r"big\.bam: a git-lfs pointer"):
        stage.from_git(local(tmp_path, revision="main"))


def test_what_is_not_there_is_named(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no tag, branch or commit 'v11'; did you mean 'v1'"):
        stage.from_git(local(tmp_path, revision="v11"))
    with pytest.raises(SourceError, match="can't be fetched"):
        stage.from_git(local(tmp_path, source="https://git.example.org/none.git"))
    with pytest.raises(ConfigError, match="needs a revision"):
        stage.from_git(local(tmp_path, revision=None))


@pytest.mark.parametrize("revision", ["--upload-pack=touch evil", "main:main.nf", "HEAD~1", "^"])
def test_a_revision_is_a_name_and_nothing_else(repository: Repository, tmp_path: Path,
                                               revision: str) -> None:
    with pytest.raises(SourceError):
        stage.from_git(local(tmp_path, revision=revision))


@pytest.mark.parametrize("source", ["ext::sh -c touch% evil", "git://127.0.0.1:1/x"])
def test_other_transports_are_refused(tmp_path: Path, source: str) -> None:
    with pytest.raises(SourceError, match="not allowed"):
        stage.from_git(local(tmp_path, source=source))


def test_what_a_killed_fetch_left_is_no_hindrance(repository: Repository, tmp_path: Path) -> None:
    stage.from_git(local(tmp_path))
    (tmp_path / "out/cache/packed-refs.lock").write_text("")
    (tmp_path / "out/cache/refs/heads/main.lock").write_text("")
    repository.commit(**{"main.nf": "workflow { y }\n"})
    repository.push()
    stage.from_git(local(tmp_path, revision="main"))


def test_a_broken_lock_is_named(repository: Repository, tmp_path: Path) -> None:
    stage.from_git(local(tmp_path))
    (lock_at(tmp_path / "locks", "code").own).write_text('{"source": 1, "commit": "x"}')
    with pytest.raises(ConfigError) as caught:
        stage.from_git(local(tmp_path))
    for part in ("code.json", "source", "commit", "revision"):
        assert part in str(caught.value)


def test_git_asks_nothing_and_runs_no_hook(repository: Repository, tmp_path: Path, web: Web,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "ran"
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "reference-transaction").write_text(f"#!/bin/sh\ntouch {mark}\n")
    (hooks / "reference-transaction").chmod(0o755)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.hooksPath")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(hooks))
    stage.from_git(local(tmp_path))
    assert not mark.exists()
    web.statuses["/hello.git/info/refs"] = [401] * 9
    closed = dataclasses.replace(local(tmp_path), urls={"https://git.example.org/": f"{web.url}/"})
    with pytest.raises(SourceError):
        stage.from_git(closed)


def test_ssh_goes_by_the_user_s_own_command(repository: Repository, tmp_path: Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    """A program in ssh's place that runs git's command here, as a forge would there."""
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nshift $(($# - 1))\nexec sh -c "$1"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(ssh))
    stage.from_git(spec(tmp_path, "", source=f"ssh://git@forge.example.org{repository.bare}"))
    assert (tmp_path / "out/code.tar").is_file()


def archived(repository: Repository, web: Web, **changes: Any) -> stage.ArchiveStage:
    folder = repository.tree.parent
    data = repository.tree.parent / "served.tar.gz"
    repository.git("archive", "--format=tar.gz", "--prefix=hello-1/", f"--output={data}", "HEAD")
    web.files = {"/hello.tar.gz": data.read_bytes()}
    values: dict[str, Any] = {
        "pipeline": "p", "source": "https://git.example.org/hello.tar.gz", "revision": "1.0",
        "sha256": files.sha256(data), "urls": {"https://git.example.org/": f"{web.url}/"},
        "archive": folder / "out/code.tar", "manifest": folder / "out/manifest.json",
        "lock": lock_at(folder / "locks", "code"), **changes}
    (folder / "out").mkdir(exist_ok=True)
    return stage.ArchiveStage(**values)


def test_an_archive_is_unwrapped_and_names_its_commit(repository: Repository, web: Web) -> None:
    repository.git("rm", "--quiet", ".gitattributes")
    commit = repository.commit(**{"x.nf": "x\n"})
    made = archived(repository, web)
    assert commit[:12] in stage.from_archive(made)
    with tarfile.open(made.archive) as tar:
        assert {"main.nf", "bin/tool", "link.nf", "x.nf"} <= set(tar.getnames())
    manifest = schema.read_json(made.manifest, "code-manifest")
    assert (manifest["revision"], manifest["commit"]) == ("1.0", commit)
    assert schema.read_json(made.lock.shared, "code-lock")["sha256"] == made.sha256
    with pytest.raises(IntegrityError, match="not the one that was promised") as caught:
        stage.from_archive(dataclasses.replace(made, sha256="0" * 64))
    assert made.sha256 in str(caught.value)


def test_a_submodule_of_an_archive_is_noticed(repository: Repository, web: Web) -> None:
    """A forge's archive has an empty folder there, and git's own not even that."""
    repository.commit(**{".gitmodules": '[submodule "x"]\n\tpath = modules/x\n\turl = y\n'})
    with pytest.raises(SourceError, match=r"modules/x: a submodule \(\.gitmodules\)"):
        stage.from_archive(archived(repository, web))


class Private(Quiet):
    """Git's files for those who bring the token; the rest is sent elsewhere, or refused."""

    def do_GET(self) -> None:
        server: Any = self.server
        server.seen.append(self.headers["Authorization"])
        login = base64.b64encode(f"token:{server.token}".encode()).decode()
        if server.elsewhere:
            self.send_response(302)
            self.send_header("Location", f"{server.elsewhere}{self.path}")
        elif self.headers["Authorization"] != f"Basic {login}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
        else:
            path = server.root / self.path.partition("?")[0].lstrip("/")
            if path.is_file():
                data = path.read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                return
            self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def private(folder: Path, host: str, *, elsewhere: str = "") -> Iterator[Any]:
    """A forge with TLS of its own CA, which is the certificate itself."""
    pair = folder / f"{host}.crt", folder / f"{host}.key"
    if not pair[0].is_file():
        self_signed(folder, host, address=f"DNS:{host}")
    forge: Any = Server(Private, tls=pair)
    forge.token, forge.root, forge.seen = "s3cret-t0ken", folder / "served/git", []
    forge.elsewhere, forge.address = elsewhere, f"https://{host}:{forge.server_port}"
    with running(forge):
        yield forge


def test_a_token_opens_a_private_repository_and_goes_nowhere_else(
        repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Right, wrong and missing; and not to the host that the first one redirects to."""
    with private(tmp_path, "localhost") as forge:
        monkeypatch.setenv("GIT_SSL_CAINFO", str(tmp_path / "localhost.crt"))
        made = spec(tmp_path, forge.address, source=SOURCE)
        with pytest.raises(SourceError, match=git.TOKEN):
            stage.from_git(made)
        monkeypatch.setenv(git.TOKEN, "wrong-t0ken")
        with pytest.raises(SourceError) as caught:
            stage.from_git(made)
        assert "t0ken" not in str(caught.value)
        monkeypatch.setenv(git.TOKEN, forge.token)
        stage.from_git(made)
        assert made.archive.is_file()
        texts = [path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()]
        assert not any(forge.token.encode() in text for text in texts)
        with private(tmp_path, "localhost", elsewhere=forge.address) as first:
            forge.seen.clear()
            with pytest.raises(SourceError):
                stage.from_git(dataclasses.replace(
                    spec(tmp_path, first.address), cache=tmp_path / "out/other"))
            assert not any(first.seen)
            assert not any(forge.seen)
