"""What the internet's file server offers: test data and git repositories."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from pathlib import Path

from tasks.core import files, processes
from tasks.core.config.settings import ROOT
from tasks.local_site import packages
from tasks.local_site.daemons import Daemon
from tasks.local_site.fileserver import SERVER
from tasks.local_site.plan import Plan

HELLO = ROOT / "examples/hello"
READS = ("reads_1.fq.gz", "reads_2.fq.gz")
GIT_ENVIRONMENT = {
    "GIT_AUTHOR_NAME": "nf-airlock", "GIT_AUTHOR_EMAIL": "hello@example.org",
    "GIT_COMMITTER_NAME": "nf-airlock", "GIT_COMMITTER_EMAIL": "hello@example.org",
    "GIT_AUTHOR_DATE": "2025-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2025-01-01T00:00:00Z",
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
}
"""The same sources give the same commit, on each machine."""
TAG = "1.0.0"


def server(plan: Plan) -> Daemon:
    """The file server on loopback: /data, /plugins and /git."""
    def ready() -> bool:
        import http.client
        connection = http.client.HTTPConnection("127.0.0.1", plan.files_port, timeout=2)
        try:
            connection.request("HEAD", "/")
            return str(connection.getresponse().getheader("Server", "")).startswith(SERVER)
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return Daemon(
        name="internet files", folder=plan.folder("internet/server"), ready=ready,
        listens=("127.0.0.1", plan.files_port),
        command=(sys.executable, "-u", str(Path(__file__).with_name("fileserver.py")),
                 str(plan.files_port), str(plan.files)))


def fill(plan: Plan) -> None:
    """Lay out what the server offers, as far as it is missing or has changed."""
    data = plan.files / "data/hello"
    reads = packages.carried(plan.folder("packages"), "seqkit-examples").parent
    for source in (HELLO / "assets/samplesheet.csv", *(reads / name for name in READS)):
        target = data / source.name
        if not target.is_file() or files.sha256(target) != files.sha256(source):
            files.copy(source, target)
    _empty_index(plan.files / "plugins/plugins.json")
    _repository(plan, HELLO)


def _empty_index(path: Path) -> None:
    """Offer no plugin until `sandbox:plugin` has put hello's there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError), path.open("x") as stream:
        stream.write("[]\n")


def _repository(plan: Plan, source: Path) -> None:
    """A bare repository of a folder, for git's plain HTTP: one commit, one tag."""
    bare = plan.files / "git" / f"{source.name}.git"
    stamp = plan.folder("internet") / f"{source.name}.git.sha256"
    sources = files.tree(source)
    digest = files.sha256_bytes("\n".join(
        f"{path.relative_to(source)} {files.sha256(path)}" for path in sources).encode())
    if bare.is_dir() and stamp.is_file() and stamp.read_text() == digest:
        return
    with tempfile.TemporaryDirectory(dir=plan.folder("internet")) as scratch:
        work = Path(scratch) / source.name
        shutil.copytree(source, work, ignore=shutil.ignore_patterns(".git"))
        _git("init", "--quiet", "--initial-branch=main", work)
        _git("-C", work, "add", "--all", "--force")
        _git("-C", work, "commit", "--quiet", "--message", f"{source.name} {TAG}")
        _git("-C", work, "tag", TAG)
        fresh = Path(scratch) / "bare"
        _git("clone", "--quiet", "--bare", work, fresh)
        _git("-C", fresh, "update-server-info")
        if bare.exists():
            shutil.rmtree(bare)
        bare.parent.mkdir(parents=True, exist_ok=True)
        fresh.rename(bare)
    files.write_text(stamp, digest)


def _git(*words: str | Path) -> None:
    import os
    processes.run(["git", *words], env={"PATH": os.environ.get("PATH", os.defpath),
                                        **GIT_ENVIRONMENT})
