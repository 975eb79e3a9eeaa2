"""A pipeline whose config attacks while it is resolved: held from outside to have got nothing."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files
from tasks.core.engine.address import Engine
from tasks.core.errors import HostError, SourceError
from tasks.core.nextflow import isolation, queries
from tasks.core.nextflow.environment import Inherited
from tasks.core.nextflow.installed import Nextflow, install
from tasks.core.nextflow.machine import this_machine
from tasks.dev import resolved, smoke
from tasks.images import inspect
from tasks.resolve import resolve as resolve_step
from tasks.runtime import build as runtimes
from tests.kit import machine
from tests.kit import releases as staged
from tests.kit.project import ROOT
from tests.kit.web import was_reached

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
def nextflow(runtime: runtimes.Runtime, tmp_path_factory: pytest.TempPathFactory) -> Nextflow:
    folder = tmp_path_factory.mktemp("installed")
    return install(runtime.archive, folder / "runtime", home=folder / "home",
                   inherited=Inherited.of(os.environ))


@pytest.fixture
def confining() -> None:
    machine.need_namespaces()


def resolve(nextflow: Nextflow, prey: Prey,
            params: dict[str, Any] | None = None) -> dict[str, Any]:
    with files.scratch(prey.log.parent, "resolve") as scratch:
        found, = queries.configs(nextflow, prey.code, profile="standard", scratch=scratch,
                                 log=prey.log, params=params)
    values: dict[str, Any] = found["params"]
    return values


@pytest.mark.usefixtures("confining")
@pytest.mark.parametrize("params", [None, {"own": 1}], ids=["config", "as a run would"])
def test_a_hostile_config_gets_nothing(nextflow: Nextflow, prey: Prey,
                                       monkeypatch: pytest.MonkeyPatch,
                                       params: dict[str, Any] | None) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    prey.config(HOSTILE)
    answers = resolve(nextflow, prey, params)
    assert SECRET not in json.dumps(answers)
    assert SECRET not in prey.log.read_text()
    refused = {name for name, answer in answers.items() if str(answer).startswith("REFUSED")}
    assert refused == {"home", "outside", "code", "settings", "socket"}
    assert not was_reached(prey.listener)
    assert [path for path in prey.traces() if path.exists()] == []
    assert answers["child"] == "GOT 0"
    assert prey.left() == []


def test_the_attacks_succeed_where_nothing_holds_them(
        nextflow: Nextflow, prey: Prey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above would show nothing."""
    monkeypatch.setattr(isolation, "confined", lambda command, **kept: command)
    prey.config(HOSTILE)
    answers = resolve(nextflow, prey)
    assert SECRET not in answers["variable"]
    for name in ("home", "processes", "program"):
        assert SECRET in answers[name], name
    assert was_reached(prey.listener)
    assert {path.name for path in prey.traces() if path.exists()} >= {"by-java", "by-sh"}
    left = prey.left()
    assert left
    for process in left:
        os.kill(process, 9)


@pytest.mark.usefixtures("confining")
def test_a_config_without_an_end_is_ended(nextflow: Nextflow, prey: Prey,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "TIMEOUT", 8.0)
    prey.config(LOOP)
    with pytest.raises(SourceError, match="ran for 8 s without an answer, and was ended"):
        resolve(nextflow, prey)
    assert prey.left() == []


@pytest.mark.usefixtures("confining")
def test_a_config_that_writes_without_an_end_is_ended(nextflow: Nextflow,
                                                      prey: Prey) -> None:
    prey.config("def line = 'x' * 1000000\nwhile (true) { println line }\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SourceError, match=r"wrote more than 67\.1 MB, and was ended"):
        resolve(nextflow, prey)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 2**28
    assert prey.left() == []


NO_NAMESPACES = """
echo 0 > /proc/sys/user/max_user_namespaces
exec setpriv --bounding-set=-all --inh-caps=-all -- "$@"
"""
"""In a user namespace whose own limit is 0, without capabilities: as in many containers."""
UNCONFINED = """
import sys
from pathlib import Path
from tasks.core import processes
from tasks.core.nextflow import isolation
here, secret, least = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
print(processes.run(isolation.confined(["cat", secret], cwd=here, least=least), cwd=here))
"""


@pytest.mark.parametrize("least", [isolation.FULL, isolation.NONE])
@pytest.mark.parametrize("network", [False, True])
def test_without_namespaces_nothing_is_started(monkeypatch: pytest.MonkeyPatch, network: bool,
                                               least: str, tmp_path: Path,
                                               caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(isolation, "_means", lambda: isolation.Means(
        words=("unshare", "--net"), hides=False, why_not="Operation not permitted"))
    if least == isolation.FULL:
        with pytest.raises(HostError, match="Operation not permitted") as caught:
            isolation.confined(["true"], cwd=tmp_path, network=network)
        for word in ("root", "unprivileged_userns_clone", "max_user_namespaces", "seccomp",
                     "apparmor_restrict_unprivileged_userns", "isolation: none"):
            assert word in str(caught.value)
        return
    words = isolation.confined(["true"], cwd=tmp_path, network=network, least=least)
    assert words == (["true"] if network else ["unshare", "--net", "true"])
    assert caplog.messages[0].startswith("NOT ISOLATED: ")


@pytest.mark.usefixtures("confining")
def test_a_system_that_makes_no_namespaces_stops_the_step(prey: Prey) -> None:
    """It ends with an error, unless the site allows it; then a notice says so."""
    def without_namespaces(least: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["unshare", "--user", "--map-root-user", "sh", "-euc", NO_NAMESPACES, "sh",
             sys.executable, "-c", UNCONFINED, prey.home, prey.home / ".aws/credentials", least],
            cwd=ROOT, text=True, capture_output=True, check=False, timeout=60)

    stopped = without_namespaces(isolation.FULL)
    assert stopped.returncode != 0
    assert "HostError: this system makes no namespaces for us" in stopped.stderr
    assert SECRET not in stopped.stdout + stopped.stderr
    allowed = without_namespaces(isolation.NONE)
    assert allowed.returncode == 0, allowed.stderr
    assert allowed.stderr.startswith("NOT ISOLATED: ")
    assert SECRET in allowed.stdout


@pytest.mark.parametrize("step", ["resolve", "inspect", "validate", "smoke", "runtime"])
def test_each_step_that_runs_a_pipelines_code_stops(
        step: str, prey: Prey, runtime: runtimes.Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by its own spec, whose `isolation` is what the site says."""
    monkeypatch.setattr(isolation, "_means", lambda: isolation.Means(words=(), hides=False))
    monkeypatch.chdir(prey.outside)
    at = staged.stage().layout
    given: dict[str, Any] = {"pipeline": "hello", "profile": "test", "code": at.code,
                             "runtime": runtime.archive}
    more: dict[str, Any] = {"plugins": at.plugins, "data_manifest": at.data_manifest}
    files.copy(runtime.archive, at.runtime(runtime.version))
    starts: dict[str, Callable[[], object]] = {
        "resolve": lambda: resolve_step.resolve(resolve_step.ResolveSpec(
            **given, given={}, output=at.resolved, log=prey.log)),
        "inspect": lambda: inspect.ask(inspect.InspectSpec(
            **given, **more, blobs=at.of_site.blobs, scan=at.images_scan, log=prey.log)),
        "validate": lambda: resolved.resolve(at, runtime.version, profile="test",
                                             machine=this_machine()),
        "smoke": lambda: smoke.smoke(smoke.SmokeSpec(
            **given, **more, site="here", engine=Engine(url="unix:///nowhere"), authfile=None,
            config=at.offline_config, receipt=at.images_receipt, output=at.smoke)),
        "runtime": lambda: runtimes.build(dataclasses.replace(
            runtime, archive=prey.outside / "again/nextflow.tar"))}
    with pytest.raises(HostError, match="it was not run"):
        starts[step]()


@pytest.mark.usefixtures("confining")
def test_what_is_below_a_writable_folder_stays_as_it_says(tmp_path: Path) -> None:
    """Data are hard links to the site's own; a folder that can be written holds no device."""
    files.write_text(tmp_path / "blob", "data")
    (tmp_path / "room/staged").mkdir(parents=True)
    os.link(tmp_path / "blob", tmp_path / "room/staged/data")
    script = """
        for try in 'echo x > staged/data' 'chmod 777 staged/data' 'rm staged/data' \
            'ln staged/data other' 'mv staged away' 'mount -o remount,rw staged'; do
            ! sh -c "$try" 2>/dev/null || echo "$try"
        done
        grep ' /.*/room ' /proc/mounts
    """
    done = subprocess.run(isolation.confined(
        ["sh", "-c", script], cwd=tmp_path / "room", writes=[tmp_path / "room"],
        reads=[tmp_path / "room/staged"]), check=True, capture_output=True, text=True)
    assert len(done.stdout.splitlines()) == 1, done.stdout
    assert {"nosuid", "nodev", "rw"} <= set(done.stdout.split()[3].split(","))
    assert (tmp_path / "blob").read_text() == "data"
    assert oct((tmp_path / "blob").stat().st_mode) != oct(0o100777)


def test_an_ordinary_user_is_isolated_as_well() -> None:
    """Namespaces of their own, where the system lets users make them."""
    with tempfile.TemporaryDirectory(prefix="airlock-isolation-") as made:
        top = Path(made)
        for name in ("tasks/core/__init__.py", "tasks/core/errors.py",
                     "tasks/core/nextflow/__init__.py", "tasks/core/nextflow/isolation.py"):
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
            pytest.skip("no namespaces: this system makes none for ordinary users")
        assert done.stdout.splitlines() == ["wrote", "no credentials", "no processes", "no network"]
        assert (top / "scratch/here").read_text() == "wrote\n"
        assert not (top / "home/there").exists()


PROBE = r"""
import subprocess
from pathlib import Path
from tasks.core.nextflow import isolation
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
