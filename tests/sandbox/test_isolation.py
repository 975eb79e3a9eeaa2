"""A pipeline whose config attacks while it is resolved: held from outside to have got nothing."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files, isolation, nextflow
from tasks.core.errors import SourceError
from tasks.runtime import build as runtimes
from tests.sandbox.project import ROOT

SECRET = "a-secret-that-nobody-may-see"
NOBODY = 65534
CHILD = """['sh', '-c', 'setsid sh -c "while :; do sleep 0.2; done" MARKER >/dev/null 2>&1 &']"""
ATTACKS = {
    "variable": "System.getenv().toString()",
    "home": "new File('HOME/.aws/credentials').text",
    "processes": "['sh', '-c', 'cat /proc/[0-9]*/environ'].execute().text",
    "outside": "new File('OUTSIDE/by-java').text = 'x'",
    "code": "new File('CODE/by-java').text = 'x'",
    "settings": "new File('/etc/shadow').text.size()",
    "socket": "new Socket('127.0.0.1', PORT).toString()",
    "program": "['sh', '-c', 'cat HOME/.aws/credentials; echo x > OUTSIDE/by-sh'].execute().text",
    "mount": """['unshare', '--map-root-user', '--mount', 'sh', '-c',
        'mount -o remount,bind,rw CODE; echo x > CODE/by-mount'].execute().waitFor()""",
    "child": f"{CHILD}.execute().waitFor()"}
HOSTILE = "\n".join(f"try {{ params.{name} = 'GOT ' + ({attack}) }}\n"
                    f"catch (Throwable error) {{ params.{name} = 'REFUSED ' + error }}"
                    for name, attack in ATTACKS.items())
LOOP = f"""
    {CHILD}.execute()
    while (true) {{ Thread.sleep(100) }}
"""


@dataclass(frozen=True, kw_only=True)
class Prey:
    """What the config is after, and where it would leave a trace."""

    home: Path
    outside: Path
    code: Path
    log: Path
    listener: socket.socket
    marker: str

    def config(self, text: str) -> None:
        """Make `text` the pipeline's config, with the places that it attacks."""
        places = {"HOME": self.home, "OUTSIDE": self.outside, "CODE": self.code,
                  "PORT": self.listener.getsockname()[1], "MARKER": self.marker}
        for name, place in places.items():
            text = text.replace(name, str(place))
        files.write_text(self.code / "nextflow.config", text)

    def connected(self) -> bool:
        """Whether anything reached the listener."""
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def traces(self) -> list[Path]:
        """The files that were written where nothing may be."""
        return [*self.outside.iterdir(), self.code / "by-java", self.code / "by-mount"]

    def left(self) -> list[int]:
        """The processes of the config that are still there, after a moment to end in."""
        found: list[int] = []
        for _ in range(30):
            found = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline")
                     if self.marker.encode() in _read(path)]
            if not found:
                break
            time.sleep(0.1)
        return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it ended
        return b""


@pytest.fixture
def prey(tmp_path: Path) -> Iterator[Prey]:
    """A home with credentials, a process with a secret, a server, and folders to write into."""
    files.write_text(tmp_path / "home/.aws/credentials", SECRET)
    (tmp_path / "outside").mkdir()
    holder = subprocess.Popen(["sleep", "600"], env={"AWS_SECRET_ACCESS_KEY": SECRET})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield Prey(home=tmp_path / "home", outside=tmp_path / "outside", code=tmp_path / "code",
                   log=tmp_path / "logs/config.log", listener=listener,
                   marker=f"left-by-{tmp_path.name}-{os.getpid()}")
    holder.kill()
    holder.wait()


@pytest.fixture(scope="module")
def installed(runtime: runtimes.Runtime,
              tmp_path_factory: pytest.TempPathFactory) -> nextflow.Nextflow:
    folder = tmp_path_factory.mktemp("installed")
    return nextflow.install(runtime.archive, folder / "runtime", home=folder / "home")


@pytest.fixture
def confining() -> None:
    if not isolation._means().hides:
        pytest.skip("this system makes no namespaces for us")


def resolve(installed: nextflow.Nextflow, prey: Prey,
            params: dict[str, Any] | None = None) -> dict[str, Any]:
    found = nextflow.config(installed, prey.code, profile="standard", log=prey.log, params=params)
    told: dict[str, Any] = found["params"]
    return told


@pytest.mark.usefixtures("confining")
@pytest.mark.parametrize("params", [None, {"own": 1}], ids=["config", "as a run would"])
def test_a_hostile_config_gets_nothing(installed: nextflow.Nextflow, prey: Prey,
                                       monkeypatch: pytest.MonkeyPatch,
                                       params: dict[str, Any] | None) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    prey.config(HOSTILE)
    told = resolve(installed, prey, params)
    assert SECRET not in json.dumps(told)
    assert SECRET not in prey.log.read_text()
    refused = {name for name, answer in told.items() if str(answer).startswith("REFUSED")}
    assert refused == {"home", "outside", "code", "settings", "socket"}
    assert not prey.connected()
    assert [path for path in prey.traces() if path.exists()] == []
    assert told["child"] == "GOT 0"
    assert prey.left() == []


def test_the_attacks_succeed_where_nothing_holds_them(
        installed: nextflow.Nextflow, prey: Prey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above would show nothing."""
    monkeypatch.setattr(isolation, "confined", lambda command, **kept: command)
    prey.config(HOSTILE)
    told = resolve(installed, prey)
    assert SECRET not in told["variable"]
    for name in ("home", "processes", "program"):
        assert SECRET in told[name], name
    assert prey.connected()
    assert {path.name for path in prey.traces() if path.exists()} >= {"by-java", "by-sh"}
    left = prey.left()
    assert left
    for process in left:
        os.kill(process, 9)


@pytest.mark.usefixtures("confining")
def test_a_config_without_an_end_is_ended(installed: nextflow.Nextflow, prey: Prey,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nextflow, "PATIENCE", 8.0)
    prey.config(LOOP)
    with pytest.raises(SourceError, match="ran for 8 s without an answer, and was ended"):
        resolve(installed, prey)
    assert prey.left() == []


@pytest.mark.usefixtures("confining")
def test_a_config_that_writes_without_an_end_is_ended(installed: nextflow.Nextflow,
                                                      prey: Prey) -> None:
    prey.config("def line = 'x' * 1000000\nwhile (true) { println line }\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SourceError, match=r"wrote more than 67\.1 MB, and was ended"):
        resolve(installed, prey)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 2**28
    assert prey.left() == []


def test_an_ordinary_user_is_isolated_as_well() -> None:
    """Namespaces of their own, where the system lets users make them."""
    with tempfile.TemporaryDirectory(prefix="airlock-isolation-") as made:
        top = Path(made)
        for name in ("tasks/core/__init__.py", "tasks/core/isolation.py", "tasks/core/errors.py"):
            files.copy(ROOT / name, top / name)
        for name in ("scratch", "home"):
            (top / name).mkdir()
        files.write_text(top / "home/credentials", SECRET)
        files.write_text(top / "probe.py", PROBE)
        for path in (top, *top.rglob("*")):
            if os.geteuid() == 0:
                os.chown(path, NOBODY, NOBODY)
        drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        done = subprocess.run(
            [*(drop if os.geteuid() == 0 else []), shutil.which("python3", path="/usr/bin")
             or sys.executable, "probe.py"], cwd=top, check=True, text=True, capture_output=True,
            env={"PATH": "/usr/bin:/bin", "SECRET": SECRET}, timeout=60)
        if "makes no namespaces" in done.stdout:
            pytest.skip("this system makes no namespaces for ordinary users")
        assert done.stdout.splitlines() == ["wrote", "no credentials", "no processes", "no network"]
        assert (top / "scratch/here").read_text() == "wrote\n"
        assert not (top / "home/there").exists()


PROBE = r"""
import subprocess
from pathlib import Path
from tasks.core import isolation
top = Path.cwd()
script = f'''
echo wrote > {top}/scratch/here; cat {top}/scratch/here
cat {top}/home/credentials 2>/dev/null || echo no credentials
echo x 2>/dev/null > {top}/home/there
grep -aq SECRET /proc/[0-9]*/environ || echo no processes
[ "$(ls /sys/class/net 2>/dev/null)" ] || [ "$(grep -c : /proc/net/dev)" -gt 1 ] || echo no network
'''
try:
    command = isolation.confined(["sh", "-c", script], cwd=top / "scratch",
                                 writes=[top / "scratch"])
except isolation.HostError as error:
    command = ["echo", str(error)]
print(subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, check=False, text=True,
                     stdout=subprocess.PIPE).stdout, end="", flush=True)
"""
