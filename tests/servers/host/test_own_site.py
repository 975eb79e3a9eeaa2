"""docs/start.md's section "Your own site", done as it is written: from `./doit site` to results.

The registry, the engines, the offline host and what stands for the internet are those of a local
site, which is up; all else is the own site's.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.store.store import open_store
from tasks.local_site import host
from tasks.local_site.plan import State
from tests.kit import buckets, machine
from tests.kit.project import ROOT, Project, copy

pytestmark = pytest.mark.skipif(bool(machine.no_host()), reason=machine.no_host())

PORT = 15322
CREDENTIALS = {"AWS_ACCESS_KEY_ID": buckets.ACCESS, "AWS_SECRET_ACCESS_KEY": buckets.SECRET,
               "AWS_EC2_METADATA_DISABLED": "true"}


def typed(page: str, heading: str) -> list[str]:
    """The commands that a section of a page shows, lines that go on being joined."""
    section = (ROOT / page).read_text().partition(f"\n## {heading}\n")[2]
    section = section.partition("\n## ")[0].partition("\n### ")[0]
    shown = "".join(re.findall(r"^```\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))
    return shown.replace("\\\n", " ").splitlines()


@dataclass(frozen=True, kw_only=True)
class Own:
    """A project with a local site that is up, and the guide's own site `acme` beside it."""

    project: Project
    at: StoreAt
    answers: Mapping[str, str]

    @property
    def sandbox(self) -> Path:
        return self.project.root / "build/local/sandbox"

    @property
    def home(self) -> Path:
        """The user's, beside the project: no secret goes into that."""
        return self.project.root.with_name(f"{self.project.root.name}-home")

    @property
    def environment(self) -> dict[str, str]:
        none = str(self.project.root / "none")
        return {**CREDENTIALS, "HOME": str(self.home), "AWS_CONFIG_FILE": none,
                "AWS_SHARED_CREDENTIALS_FILE": none}

    def type(self, line: str, **more: str) -> str:
        """Type a line of the guide, with this machine's places for those of the example."""
        words = [word for word in shlex.split(line) if word.partition("=")[0] not in self.answers]
        if words[:2] == ["docker", "login"]:
            return ""  # the local site's own login stands where that would write it
        given = [f"{name}={value}" for name, value in self.answers.items() if value]
        words = words[1:] + (given if words[1:2] == ["site"] else [])
        return self.project.doit(*words, env={**self.environment, **more}).stdout

    def inside(self, script: str, cwd: Path = host.HOME / "acme") -> str:
        """What a script prints on the offline host, typed into an empty folder there."""
        state = State.read(self.sandbox)
        with pytest.MonkeyPatch.context() as here:
            here.chdir(self.project.root)
            return host.run_inside("local", ["sh", "-ec", script], cwd=cwd, env={
                "PATH": host.path_with(Path(state.python_prefix))})


def local_site(project: Project) -> dict[str, object]:
    """What the own site needs of what stands for the internet and for an engine."""
    raw = project.site()
    return {"hosts": raw["hosts"], "engine": raw["engine"]}


def install(own: Own) -> None:
    """What INSTALL.txt says, by hand; the folder that the offline host sees is the sandbox's."""
    folder, trust = own.project.root / "build/acme/trust", own.sandbox / "host/trust"
    for path in trust.iterdir():
        path.unlink()
    text = (folder / "INSTALL.txt").read_text()
    login = json.loads((own.sandbox / "auth/config.json").read_text())["auths"]
    user, password = files_login(next(iter(login.values()))["auth"])
    lines = re.findall(r"^    ((?:install|sh|chown) .*)$", text, re.MULTILINE)
    assert len(lines) == 6
    for line in lines:
        command = (line.replace("/etc/airlock", str(trust)).replace("USER", "root")
                   .replace("/etc/docker", str(own.project.root / "etc-docker")))
        subprocess.run(["sh", "-ec", command], cwd=folder, check=True, text=True,
                       input=f"{user}\n{password}\n", capture_output=True)
    assert {path.name: path.stat().st_mode & 0o777 for path in trust.iterdir()} == {
        "allowed_signers": 0o644, "ca.crt": 0o644, "config.json": 0o600}


def files_login(encoded: str) -> tuple[str, str]:
    import base64
    user, _, password = base64.b64decode(encoded).decode().partition(":")
    return user, password


def follow(own: Own) -> str:
    """Steps 1 to 4, with the site's file edited as the guide says it may be."""
    said = []
    for line in typed("docs/start.md", "Your own site"):
        said.append(own.type(line))
        if " site " in line:
            path = own.project.root / "config/sites/acme.yml"
            raw = yaml.safe_load(path.read_text())
            path.write_text(yaml.safe_dump({**raw, **local_site(own.project)}))
            install(own)
    return "".join(said)


def own_answers(project: Project, store: str, offline_store: str, **more: str) -> dict[str, str]:
    sandbox = project.root / "build/local/sandbox"
    raw = project.site()
    return {"registry": f"{raw['registry']['host']}:{raw['registry']['port']}/pipelines",
            "ca": str(sandbox / "trust/ca.crt"), "authfile": str(sandbox / "auth/config.json"),
            "store": store, "offline_store": offline_store, "key": "~/.ssh/airlock",
            "makekey": "1", "pipelines": "hello", "plugins": raw["plugins"]["index"],
            "python": ",".join(raw["python"]), **more}


@pytest.fixture(scope="module")
def by_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    """The own site's store is the folder that the offline host has mounted."""
    project = copy(tmp_path_factory.mktemp("own-site"), number=31)
    store = project.root / "build/local/store"
    try:
        project.doit("sandbox:up", "sandbox:plugin")
        yield Own(project=project, at=StoreAt(url=str(store)),
                  answers=own_answers(project, str(store), "/srv/airlock/store"))
    finally:
        project.doit("sandbox:down", check=False)


@pytest.fixture(scope="module")
def by_bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    """It is a bucket on an S3 server that both sides reach."""
    buckets.program()
    project = copy(tmp_path_factory.mktemp("own-site-s3"), number=32)
    raw = project.site()
    endpoint = f"http://{raw['registry']['host']}:{PORT}"
    raw["store"] = {"url": "s3://carried/local", "endpoint": endpoint, "region": "us-east-1"}
    raw["offline"]["store"] = {"url": "s3://carried/local"}
    project.write_site(raw)
    with ExitStack() as stack:
        stack.callback(project.doit, "sandbox:down", check=False)
        project.doit("sandbox:up", "sandbox:plugin")
        served = stack.enter_context(buckets.gateway(
            tmp_path_factory.mktemp("s3"), host=raw["registry"]["host"], port=PORT))
        (served.root / "carried").mkdir()
        at = StoreAt(url="s3://carried/acme", endpoint=endpoint, region="us-east-1")
        yield Own(project=project, at=at, answers=own_answers(
            project, at.url, "", endpoint=endpoint, region="us-east-1"))


def cross(own: Own, copied: str) -> str:
    """Step 5: what the doctor and the run say on the offline host. `copied` copies the tool."""
    tool = json.loads((own.project.root / "build/acme/tool/tool.json").read_text())["id"]
    lines = [line.replace("ID", tool).replace("=demo", "=hello")
             for line in typed("docs/offline-hosts.md", "On the offline host")]
    start = next(number for number, line in enumerate(lines) if line.startswith("ssh-keygen"))
    doctor = re.search(r"`(\./doit doctor role=prod) [^`]*`",
                       (ROOT / "docs/offline-hosts.md").read_text())
    assert doctor
    return own.inside("\n".join([copied.replace("ID", tool), *lines[start:-1],
                                 f"{doctor[1]} pipeline=hello", lines[-1]]))


def checked(printed: str) -> dict[str, str]:
    """Status of each check in what the doctor prints."""
    return {match[2]: match[1] for match in re.finditer(
        r"^(ok|warn|fail|not known) +([a-z_ ]+): ", printed, re.MULTILINE)}


def test_the_guide_s_own_site_crosses_by_a_folder(by_folder: Own) -> None:
    printed = follow(by_folder)
    assert "fail  " not in printed
    asked = checked(printed)
    assert asked["push"] == asked["store"] == asked["engine pulls"] == asked["key"] == "ok"
    (by_folder.sandbox / "host/disk/acme").mkdir()
    said = cross(by_folder, "cp -rL /srv/airlock/store/tool/ID/. .")
    there = checked(said)
    assert set(there.values()) <= {"ok", "not known", "warn"}, said
    assert there["trust"] == there["store"] == there["release"] == there["login"] == "ok"
    assert there["engine pulls"] == "ok"
    assert "results in runs/hello/" in said


def test_a_second_look_at_the_offline_host_knows_more(by_folder: Own) -> None:
    """After the run: which Java is needed, and what this host has seen."""
    there = host.HOME / "acme/airlock"
    done = json.loads(by_folder.inside("./doit doctor role=prod pipeline=hello --json", cwd=there))
    lines = {line["check"]: line["text"] for line in done["findings"]}
    assert "runs Nextflow 24.10.5 (hello)" in lines["java"]
    assert "releases/hello 1" in lines["memory"]


def test_the_next_release_is_compared_made_taken_back_and_cleaned_up(by_folder: Own) -> None:
    """Steps 6 to 8 of docs/start.md, with a line of the pipeline changed for a newer revision."""
    main = by_folder.project.root / "examples/hello/main.nf"
    main.write_text(f"{main.read_text()}// one line more\n")
    told = {}
    for shown in typed("docs/start.md", "The next release"):
        line = shown.replace(":demo", ":hello")
        told[line.split()[1]] = by_folder.type(line, AIRLOCK_SITE="acme")
        if "release:diff" in line:
            told["push"] = by_folder.type("./doit", AIRLOCK_SITE="acme")
    assert "main.nf" in told["release:diff:hello"]
    assert (by_folder.project.root / "build/acme/hello/release.diff.html").is_file()
    assert "promotion 2" in told["push"]
    assert "2 releases in " in told["release:list:hello"]
    assert "is the current release again" in told["release:back:hello"]
    assert told.keys() >= {"release:prune", "release:prune:apply"}
    assert "0 releases and 0 tools to go" in told["release:prune"]


def test_what_is_missing_in_the_trust_folder_is_told_there(by_folder: Own) -> None:
    trust = by_folder.sandbox / "host/trust"
    held = {path: path.read_bytes() for path in trust.iterdir()}
    there = host.HOME / "acme/airlock"
    ask = "./doit doctor role=prod pipeline=hello --json || :"
    cures = {"allowed_signers": ("trust", "INSTALL.txt"), "ca.crt": ("registry", "registry.ca"),
             "config.json": ("login", "/etc/airlock/config.json")}
    try:
        for name, (check, cure) in cures.items():
            (trust / name).unlink()
            told = json.loads(by_folder.inside(ask, cwd=there))["findings"]
            assert [line for line in told if line["status"] == "fail" and line["check"] == check
                    and cure in line["cure"]], told
            files.write_bytes(trust / name, held[trust / name])
    finally:
        for path, data in held.items():
            files.write_bytes(path, data, mode=0o600 if path.name == "config.json" else 0o644)


def test_the_guide_s_own_site_crosses_by_a_bucket(by_bucket: Own) -> None:
    own = by_bucket
    printed = follow(own)
    assert "fail  " not in printed
    assert checked(printed)["store"] == "ok"
    disk = own.sandbox / "host/disk"
    files.write_text(disk / ".aws/credentials",
                     f"[default]\naws_access_key_id = {buckets.ACCESS}\n"
                     f"aws_secret_access_key = {buckets.SECRET}\n", mode=0o600)
    (disk / "acme").mkdir()
    with pytest.MonkeyPatch.context() as here:  # in place of `aws s3 cp --recursive`
        for name, value in own.environment.items():
            here.setenv(name, value)
        store = open_store(own.at)
        tool = json.loads((own.project.root / "build/acme/tool/tool.json").read_text())["id"]
        for key in store.list(f"tool/{tool}/"):
            store.get(key, disk / "acme" / key.removeprefix(f"tool/{tool}/"), most=1 << 30)
    said = cross(own, ":")
    assert "fail" not in checked(said).values(), said
    assert "results in runs/hello/" in said


def test_no_secret_stands_in_the_repository(by_folder: Own) -> None:
    root = by_folder.project.root
    login = json.loads((by_folder.sandbox / "auth/config.json").read_text())["auths"]
    password = files_login(next(iter(login.values()))["auth"])[1]
    held = [path for place in ("config", "build/acme/trust") for path in (root / place).rglob("*")
            if path.is_file() and password.encode() in path.read_bytes()]
    assert held == []
    assert os.stat(by_folder.home / ".ssh/airlock").st_mode & 0o777 == 0o600  # noqa: PTH116
