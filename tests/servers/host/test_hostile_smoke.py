"""A pipeline whose smoke run attacks: from its own Groovy, by Docker's client, by bytes of its own
at the engine's socket, and from within its tasks' containers. The real engine and Nextflow.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files
from tasks.core.engine import address, gate
from tasks.core.nextflow import isolation
from tasks.dev.smoke import SmokeSpec, smoke
from tasks.runtime import build as runtimes
from tests.kit import machine
from tests.kit import registries as servers
from tests.kit import releases as staged
from tests.kit.engines import Engine, docker, for_tasks
from tests.kit.web import was_reached

SECRET = "a-secret-that-nobody-may-see"
APPLETS = ("awk", "cat", "chmod", "chown", "cp", "cut", "date", "env", "grep", "head", "id", "ln",
           "ls", "mkdir", "mkfifo", "mknod", "mount", "mv", "ps", "rm", "sed", "sh", "sleep",
           "stat", "tail", "tee", "touch", "tr", "uname", "wc")
CONFIG = """
process.container = 'IMAGE'
docker { enabled = true; runOptions = '-u $(id -u):$(id -g)' }
profiles { offline {} }
report.overwrite = true
trace.overwrite = true
dag.overwrite = true
"""
MAIN = r"""
import java.nio.channels.SocketChannel
import java.nio.file.Files
import java.nio.file.Path

def tried(Closure attack) {
    try { return 'GOT ' + attack() } catch (Throwable error) { return 'REFUSED ' + error }
}
def raw(String request) {
    def place = System.getenv('DOCKER_HOST').replace('unix://', '')
    def channel = SocketChannel.open(java.net.StandardProtocolFamily.UNIX)
    channel.connect(java.net.UnixDomainSocketAddress.of(place))
    channel.write(java.nio.ByteBuffer.wrap(request.bytes))
    def output = new ByteArrayOutputStream()
    def block = java.nio.ByteBuffer.allocate(65536)
    while (channel.read(block) >= 0) {
        output.write(block.array(), 0, block.position())
        block.clear()
    }
    return output.toString().readLines().first()
}
def ran(List words) {
    def process = words.execute()
    def output = new StringBuffer()
    process.waitForProcessOutput(output, output)
    return output.toString()
}

process TASK {
    debug true
    stub:
    '''
    {
    cat HOME/.ssh/id ROOT/build/here/other/code.tar ROOT/config/locks/x BLOBS/*/reads_1.fq
    echo x > ROOT/outside/by-task
    echo x > STAGED && echo changed-data
    echo x > ROOT/build/here/hostile/launch/code/by-task && echo changed-code
    chmod u+w STAGED && echo changed-mode
    ln -s / link && cat link/HOME/.ssh/id
    mknod disk b 254 0 && echo made-a-device
    mount -t tmpfs none /tmp && echo mounted
    chown 1:1 . && echo changed-owner
    echo x > /dev/tcp/127.0.0.1/PORT && echo connected
    } 2>/dev/null || :
    grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status
    echo task-ended
    '''
}

workflow {
    def asked = new groovy.json.JsonSlurper().parse(new File("${projectDir}/attacks.json"))
    def answers = [:]
    asked.files.each { name, place -> answers[name] = tried { new File(place).text } }
    asked.writes.each { name, place -> answers[name] = tried { new File(place).text = 'x' } }
    answers.listener = tried { new Socket('127.0.0.1', asked.port).toString() }
    answers.engine = tried { SocketChannel.open(java.net.StandardProtocolFamily.UNIX)
        .connect(java.net.UnixDomainSocketAddress.of(asked.engine)) }
    tried { Files.createSymbolicLink(Path.of(asked.link), Path.of('/')) }
    asked.raw.each { name, request -> answers['raw ' + name] = tried { raw(request) } }
    asked.cli.each { name, words -> answers['cli ' + name] = tried { ran(words) } }
    println 'ANSWERS ' + groovy.json.JsonOutput.toJson(answers)
    TASK()
}
"""


@dataclass(frozen=True, kw_only=True)
class Site:
    """A site with a hostile pipeline below `root`, the current folder, and what it is after."""

    root: Path
    spec: SmokeSpec
    engine: Engine
    image: str
    listener: socket.socket

    def attack(self, *, raw: bool) -> tuple[dict[str, str], str]:
        """Run the smoke: the answers to the workflow's attacks, and all that was printed."""
        launch = self.root / "build/here/hostile/launch"
        link, home = f"{launch}/writable/link", self.root / "home"
        here = {"IMAGE": self.image, "HOME": str(home), "ROOT": str(self.root),
                "BLOBS": str(self.root / "build/here/blobs/sha256"),
                "STAGED": str(next((self.root / "build/here/blobs").rglob("reads_1.fq"))).replace(
                    f"{self.root}/build/here/blobs/sha256", f"{launch}/staged/data"),
                "PORT": str(self.listener.getsockname()[1])}
        attacks = {
            "files": {"key": f"{home}/.ssh/id", "lock": f"{self.root}/config/locks/x",
                      "other": f"{self.root}/build/here/other/code.tar"},
            "writes": {"outside": f"{self.root}/outside/by-groovy", "data": here["STAGED"],
                       "code": f"{launch}/code/by-groovy"},
            "port": self.listener.getsockname()[1], "engine": self.engine.command[-1][7:],
            "link": link, "cli": cli(self.image, str(home / ".ssh/id"), link, here["PORT"]),
            "raw": requests(self.image) if raw else {}}
        text = re.sub("|".join(here), lambda found: here[found[0]], MAIN)
        files.write_tar(self.spec.code, Path(), [], extra={
            "main.nf": text.encode(), "nextflow.config": b"profiles { test {} }\n",
            "attacks.json": json.dumps(attacks).encode()})
        smoke(self.spec)
        said = (self.spec.output / "smoke.log").read_text()
        line = next(line for line in said.splitlines() if line.startswith("ANSWERS "))
        return json.loads(line.removeprefix("ANSWERS ")), said


def cli(image: str, secret: str, link: str, port: str) -> dict[str, list[str]]:
    """What a pipeline asks by Docker's client; each would print the secret, or `reached`."""
    def run(*words: str, script: str = f"cat /host{secret}") -> list[str]:
        return ["docker", "run", *words, image, "/bin/sh", "-c", script]

    return {
        "root": run("-v", "/:/host"), "mount": run("--mount", "type=bind,src=/,dst=/host"),
        "link": run("-v", f"{link}:{link}", script=f"cat {link}{secret}"),
        "below the link": run("-v", f"{link}{secret}:{link}{secret}",
                              script=f"cat {link}{secret}"),
        "out": run("-v", f"{link}/../../../../../../..{secret}:/host{secret}"),
        "volumes": run("--volumes-from", "victim", script="cat /held/secret"),
        "privileged": run("--privileged", script="mount -t tmpfs x /mnt && echo reached"),
        "network": run("--network", "host", script=f"bash -c 'echo > /dev/tcp/127.0.0.1/{port}' "
                                                   "&& echo reached"),
        "processes": run("--pid", "host", script="ps | grep -q dockerd && echo reached"),
        "exec": ["docker", "exec", "victim", "cat", "/held/secret"],
        "copy": ["docker", "cp", "victim:/held/secret", "-"],
        "list": ["docker", "ps", "--format", "reached"],
        "stop": ["docker", "stop", "-t", "0", "victim"]}


def requests(image: str) -> dict[str, str]:
    """Bytes that are sent to the engine's socket as they are."""
    def create(**host: Any) -> str:
        body = json.dumps({"Image": image, "HostConfig": host})
        return ("POST /v1.41/containers/create HTTP/1.1\r\nHost: d\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}")

    def plain(line: str, *more: str) -> str:
        return "\r\n".join([f"{line} HTTP/1.1", "Host: d", *more, "", ""])

    hidden = plain("POST /containers/victim/stop")
    return {
        "privileged": create(Privileged=True), "capability": create(CapAdd=["ALL"]),
        "device": create(Devices=[{"PathOnHost": "/dev/vda", "PathInContainer": "/dev/x"}]),
        "unmasked": create(MaskedPaths=[]), "cgroup": create(CgroupParent="/"),
        "pull": plain("POST /images/create?fromImage=alpine&tag=latest"),
        "load": plain("POST /images/load"), "build": plain("POST /build?remote=http://x/y"),
        "commit": plain("POST /commit?container=victim"),
        "volume": plain("POST /volumes/create"), "plugin": plain("POST /plugins/pull?remote=x"),
        "swarm": plain("POST /swarm/init"), "info": plain("GET /info"),
        "events": plain("GET /events"), "dots": plain("GET /containers/%2e%2e/info"),
        "absolute": plain("GET http://d/info"), "prune": plain("POST /containers/prune"),
        "both lengths": plain("POST /containers/create", "Content-Length: 4",
                              "Transfer-Encoding: chunked") + f"0\r\n\r\n{hidden}",
        "two lengths": plain("POST /containers/create", "Content-Length: 0",
                             f"Content-Length: {len(hidden)}") + hidden,
        "pipelined": plain("GET /info") + hidden}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A layout with bash and the programs that Nextflow's tasks use."""
    return for_tasks(tmp_path_factory.mktemp("image"), APPLETS, {"mnt/x": b""})


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: Path,
         runtime: runtimes.Runtime) -> Iterator[Site]:
    servers.need_programs()
    monkeypatch.chdir(tmp_path)
    at = staged.stage("hostile").layout
    for place in ("home/.ssh/id", "build/here/other/code.tar", "config/locks/x", "held/secret"):
        files.write_text(tmp_path / place, SECRET)
    (tmp_path / "outside").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with servers.registry(tmp_path / "registry") as server, docker(tmp_path / "engine") as engine, \
            socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        servers.push(server, "test/tool", "1", image)
        digest = servers.inspect(server, "test/tool:1")["Digest"]
        destination = f"{server.address}/test/tool"
        name = f"{destination}@{digest}"
        files.write_json(at.images_receipt, {"registry": server.address, "images": [{
            "source": "quay.io/test/tool:1", "destination": destination, "digest": digest,
            "platform": "linux/amd64", "size": 1}]})
        files.write_text(at.offline_config, CONFIG.replace("IMAGE", name))
        files.write_tar(at.plugins, Path(), [])
        engine.run("pull", name)
        engine.run("run", "--detach", "--name", "victim", "--network", "none", "--volume",
                   f"{tmp_path}/held:/held", name, "/bin/sleep", "600")
        yield Site(root=tmp_path, engine=engine, image=name, listener=listener, spec=SmokeSpec(
            pipeline="hostile", site="here", profile="test",
            engine=address.Engine(url=engine.command[-1]),
            authfile=None, code=at.code, runtime=runtime.archive, plugins=at.plugins,
            config=at.offline_config, data_manifest=at.data_manifest, receipt=at.images_receipt,
            output=at.smoke))
        engine.run("rm", "--force", "victim", check=False)


def test_a_hostile_smoke_run_gets_nothing(site: Site) -> None:
    machine.need_namespaces()
    blob = next((site.root / "build/here/blobs").rglob("reads_1.fq"))
    before = blob.read_bytes(), blob.stat().st_mode
    answers, said = site.attack(raw=True)
    assert SECRET not in said
    for name in ("key", "lock", "other", "outside", "data", "code", "listener", "engine"):
        assert answers[name].startswith("REFUSED "), (name, answers[name])
    for name, answer in answers.items():
        if name.startswith("raw "):
            assert answer.split()[2] in ("400", "403", "404"), (name, answer)
        if name.startswith("cli "):
            assert "reached" not in answer, (name, answer)
    # Docker's older clients have words of their own for the 404 of `exec`.
    allowed = {name: answer for name, answer in answers.items() if name.startswith("cli ")
               and not re.search("nf-airlock's gate|No such container: victim", answer)}
    assert set(allowed) == {"cli link", "cli below the link"}, allowed  # the container's own files
    assert not was_reached(site.listener)
    assert list((site.root / "outside").iterdir()) == []
    assert (blob.read_bytes(), blob.stat().st_mode) == before
    assert "task-ended" in said
    assert not re.search(r"changed-|made-a-device|mounted|connected", said)
    assert re.findall(r"(?:CapEff|CapBnd):\s+0{16}$|NoNewPrivs:\s+1$", said, re.MULTILINE)[2:]
    state = site.engine.run("ps", "--all", "--format", "{{.Names}} {{.Status}}").stdout
    assert re.fullmatch(r"victim Up .*\n", state), "alone, and at work"


def test_the_attacks_succeed_where_nothing_holds_them(
        site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above would show nothing."""
    @contextmanager
    def straight(connect: Callable[[], socket.socket], rules: object) -> Iterator[Path]:
        yield Path(site.engine.command[-1][7:])

    monkeypatch.setattr(isolation, "confined", lambda command, **kept: command)
    monkeypatch.setattr(gate, "opened", straight)
    answers, _ = site.attack(raw=False)
    for name in ("key", "lock", "other", "cli root", "cli mount", "cli link", "cli below the link",
                 "cli volumes", "cli exec", "cli copy"):
        assert SECRET in answers[name], (name, answers[name])
    for name in ("cli network", "cli processes", "cli list"):  # this machine may lack privileges
        assert "reached" in answers[name], (name, answers[name])
    for name in ("outside", "listener", "engine"):
        assert answers[name].startswith("GOT "), name
    assert was_reached(site.listener)
    state = subprocess.run([*site.engine.command, "ps", "--all", "--filter", "name=victim",
                            "--format", "{{.Status}}"], check=True, capture_output=True).stdout
    assert b"Exited" in state
