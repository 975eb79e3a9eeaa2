"""`doit site`: what it takes, what it asks, what it writes, and what it never does."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tasks.commands.site import site
from tasks.core.config.load import load
from tasks.core.errors import ConfigError
from tasks.core.graph.commands import Typed
from tasks.core.trust import approvals, signature
from tasks.site import questions, site_file
from tasks.site.answers import Incomplete, from_words
from tests.kit.project import ROOT

GIVEN = {"registry": "nexus.example.org:8443/lab", "store": "/srv/carried", "key": "~/.ssh/airlock",
         "makekey": "1"}


@pytest.fixture(autouse=True)
def home(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own; nobody is at a terminal."""
    place = project.with_name(f"{project.name}-home")
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return place


def type_site(name: str = "acme", **given: str) -> int:
    return site(Typed(words=(name,), variables=given))


def test_a_site_is_written_by_its_schema_with_comments(
        home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert type_site(**GIVEN) == 0
    text = Path("config/sites/acme.yml").read_text()
    made = load({"site": "acme"}).site
    assert (made.own_registry.host, made.own_registry.port, made.own_registry.prefix) == (
        "nexus.example.org", 8443, "lab")
    assert made.offline.store.url == made.store.url == "/srv/carried"
    assert made.signing.key == home / ".ssh/airlock"
    assert made.pipelines == ("demo",)
    assert text.count("# ") > 15
    assert made.signing.key.stat().st_mode & 0o777 == 0o600
    printed = capsys.readouterr().out
    for step in ("docker login nexus.example.org:8443", "./doit doctor site=acme", "INSTALL.txt",
                 "./doit site=acme images:plan"):
        assert step in printed


def test_the_folder_for_the_administrator_holds_what_prod_expects(home: Path) -> None:
    Path("ca.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert type_site(**GIVEN, ca="ca.pem", trust="/opt/trust") == 0
    folder = Path("build/acme/trust")
    public = (home / ".ssh/airlock.pub").read_text().split()
    assert {path.name for path in folder.iterdir()} == {
        "allowed_signers", "ca.crt", "config.json.template", "login.sh", "INSTALL.txt"}
    assert " ".join(public[:2]) in (folder / "allowed_signers").read_text()
    text = (folder / "INSTALL.txt").read_text()
    assert "SHA256:" in text
    assert "install -m 0644 allowed_signers /opt/trust/allowed_signers" in text
    assert "/etc/docker/certs.d/nexus.example.org:8443/ca.crt" in text
    held = b"".join(path.read_bytes() for path in folder.iterdir())
    assert b"PRIVATE KEY" not in held


def test_hosts_with_podman_are_asked_for_ids_and_for_nothing_of_docker_s(home: Path) -> None:
    Path("ca.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert type_site(**GIVEN, ca="ca.pem") == 0
    path = Path("config/sites/acme.yml")
    raw = yaml.safe_load(path.read_text())
    raw["offline"]["engine"] = "podman"
    path.write_text(yaml.safe_dump(raw))
    assert type_site() == 0
    text = Path("build/acme/trust/INSTALL.txt").read_text()
    assert "install -m 0644 ca.crt /etc/airlock/ca.crt" in text
    assert "/etc/docker" not in text
    assert "--add-subuids" in text and "enable-linger USER" in text


def test_colleagues_and_who_approves_stand_in_the_folder_too(home: Path) -> None:
    assert type_site(**GIVEN) == 0
    public = {}
    for name in ("ann", "bert"):
        signature.ready(home / name, create=True, identity=name)
        public[name] = signature.public_key(home / name)
    path = Path("config/sites/acme.yml")
    raw = yaml.safe_load(path.read_text())
    raw["signing"] |= {"colleagues": {"ann": f"{public['ann']} ann@example.org"},
                       "approvers": {"bert": public["bert"]}}
    path.write_text(yaml.safe_dump(raw))
    assert type_site() == 0
    folder = Path("build/acme/trust")
    lines = (folder / "allowed_signers").read_text().splitlines()
    assert lines[1:] == [f'airlock,airlock/* namespaces="airlock-*" {public["ann"]}',
                         f'bert,bert/* namespaces="airlock-approval" {public["bert"]}']
    assert approvals.needed(folder) == ("bert",)
    text = (folder / "INSTALL.txt").read_text()
    assert "install -m 0644 minimum.json /etc/airlock/minimum.json" in text
    for name in ("ann", "bert"):
        assert f"{signature.fingerprint(public[name])} {name}" in text


def test_the_login_is_typed_where_it_is_needed_and_no_argument_holds_it(tmp_path: Path) -> None:
    """Two registries, and a password with all that a shell could take for its own."""
    type_site(**GIVEN)
    template = {"auths": {address: {"auth": f"@LOGIN {address}@"} for address in ("a:1", "b")}}
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "config.json.template").write_text(json.dumps(template, indent=2))
    script = (ROOT / "tasks/site/login.sh").read_text()
    (folder / "login.sh").write_text(script)
    password = r"""p$a`s\"s'%s *@LOGIN"""
    typed = f"carrier\n{password}\nother\nplain\n"
    subprocess.run(["sh", folder / "login.sh", folder / "config.json"], input=typed, text=True,
                   check=True, capture_output=True, cwd="/")
    from tasks.core.registry import credentials
    found = credentials.find("a:1", folder / "config.json")
    assert found is not None
    assert (found.user, found.password) == ("carrier", password)
    assert (folder / "config.json").stat().st_mode & 0o777 == 0o600


def test_all_that_is_missing_is_named_at_once_without_a_terminal(
        capsys: pytest.CaptureFixture[str]) -> None:
    assert type_site(trust="/etc/airlock") == 2
    said = capsys.readouterr().err
    assert re.findall(r"^  (\w+)=…", said, re.MULTILINE) == ["registry", "store", "key"]
    assert not Path("config/sites/acme.yml").exists()
    assert not Path("build/acme").exists()


@pytest.mark.parametrize(("name", "value", "fault"), [
    ("registry", "https://nexus.example.org", "without https://"),
    ("registry", "nexus.example.org:99999", "99999"),
    ("registry", "nexus.example.org/UPPER", "UPPER"),
    ("store", "gs://bucket", "s3://bucket/prefix"), ("store", "s3://", "name the bucket"),
    ("ca", "gone.pem", "No such file"), ("ca", "schemas/site.schema.json", "no certificate"),
    ("authfile", "gone.json", "docker login"),
    ("authfile", "schemas/site.schema.json", "in this repository"),
    ("key", "config/key", "in this repository"),
    ("endpoint", "https://s3.example.org", "the store is a folder"),
    ("trust", "relative", "absolute"), ("carry", "disk", "registry, store"),
    ("pipelines", "nosuch", "there is no config/pipelines/nosuch.yml"),
    ("python", "2.7", "2.7"), ("platform", "windows", "linux/amd64"),
    ("identity", "a b", "a b"), ("makekey", "0", "nothing can be signed")])
def test_what_can_t_be_taken_says_why(name: str, value: str, fault: str) -> None:
    with pytest.raises(Incomplete) as caught:
        from_words({**GIVEN, name: value})
    assert f"{name}=" in str(caught.value)
    assert fault in str(caught.value)


def test_a_bucket_at_aws_needs_a_region_and_another_server_an_address() -> None:
    bucket = {**GIVEN, "store": "s3://carried/lab"}
    with pytest.raises(Incomplete, match="region"):
        from_words(bucket)
    at_aws = site_file.values(from_words({**bucket, "region": "eu-central-1"}))
    assert at_aws["store"] == {"url": "s3://carried/lab", "region": "eu-central-1"}
    elsewhere = site_file.values(from_words({**bucket, "endpoint": "https://s3.example.org"}))
    assert elsewhere["store"] == {"url": "s3://carried/lab", "endpoint": "https://s3.example.org"}


def test_nothing_is_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    type_site(**GIVEN)
    path, key = Path("config/sites/acme.yml"), Path("~/.ssh/airlock").expanduser()
    before = path.read_bytes(), key.read_bytes()
    with pytest.raises(ConfigError, match="never overwritten"):
        type_site(**{**GIVEN, "store": "/elsewhere"})
    capsys.readouterr()
    (Path("build/acme/trust") / "allowed_signers").unlink()
    assert type_site() == 0
    assert "stays as it is" in capsys.readouterr().out
    assert Path("build/acme/trust/allowed_signers").is_file()
    assert (path.read_bytes(), key.read_bytes()) == before
    with pytest.raises(ConfigError, match="never overwritten"):
        site_file.write("acme", "other")


def test_a_key_that_is_there_is_used_and_never_made_anew() -> None:
    key = Path("~/.ssh/airlock").expanduser()
    key.parent.mkdir(parents=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    before = key.read_bytes()
    assert type_site(**GIVEN) == 0
    assert key.read_bytes() == before


@pytest.mark.parametrize("name", ["", "Acme", "a/b", "../x", "1st"])
def test_a_name_that_can_be_no_file_s_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="needs a name"):
        type_site(name, **GIVEN)


@pytest.mark.parametrize("value", ['/srv/a "quoted" #folder', "/srv/ünïcode", "/srv/a: b",
                                   "/srv/{x}", "/srv/%41"])
def test_odd_places_are_written_as_they_are(value: str) -> None:
    type_site(**{**GIVEN, "store": value})
    assert yaml.safe_load(Path("config/sites/acme.yml").read_text())["store"]["url"] == value


def test_an_engine_that_runs_image_files_needs_no_registry(
        home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = {**GIVEN, "engine": "singularity"}
    with pytest.raises(Incomplete, match="no registry is asked"):
        from_words(given)
    del given["registry"]
    assert type_site(**given) == 0
    made = load({"site": "acme"}).site
    assert (made.offline.engine, made.images.carry, made.registry) == ("singularity", "files", None)
    assert {path.name for path in Path("build/acme/trust").iterdir()} == {
        "allowed_signers", "INSTALL.txt"}
    assert "docker login" not in capsys.readouterr().out


def at_terminal(answers: list[tuple[str, str]], home: Path) -> str:
    """What `doit site acme` shows at a terminal, where each question is answered in turn."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(HOME=str(home), PYTHONPATH=str(ROOT))
        os.execv(sys.executable, [  # noqa: S606
            sys.executable, "-c", "from tasks.commands.site import site\n"
            "from tasks.core.graph.commands import Typed\n"
            "raise SystemExit(site(Typed(words=('acme',))))"])
    shown = ""
    for question, answer in answers:
        while question not in shown.rpartition("\n> ")[2]:
            shown += os.read(terminal, 1000).decode()
        shown += "\n> "
        os.write(terminal, f"{answer}\n".encode())
    try:
        while block := os.read(terminal, 1000):
            shown += block.decode()
    except OSError:  # the terminal's end
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, shown
    return shown


def test_a_terminal_is_asked_and_a_password_is_never_shown(home: Path) -> None:
    shown = at_terminal([
        ("container engine", "doker"), ("container engine", ""), ("registry", "https://wrong"),
        ("HOST:PORT", "nexus.example.org:8443"), ("PEM", ""),
        ("carries all else", "/srv/carried"), ("signs releases", "~/.ssh/new"),
        ("1 makes it", "1"), ("both sides", ""), ("where that differs", ""),
        ("fills by hand", ""), ("none is named", "hello"), ("A user at", "carrier"),
        ("Password", "s3cret-word")], home)
    assert "without https://" in shown
    assert "it is one of: docker, podman" in shown
    assert "s3cret-word" not in shown
    raw = yaml.safe_load(Path("config/sites/acme.yml").read_text())
    place = home / ".config/airlock/acme/config.json"
    assert raw["registry"]["authfile"] == str(place)
    assert raw["pipelines"] == ["hello"]
    assert place.stat().st_mode & 0o777 == 0o600
    assert (home / ".ssh/new").is_file()
    assert b"s3cret-word" not in b"".join(
        path.read_bytes() for path in Path().rglob("*") if path.is_file())


@pytest.mark.parametrize(("typed", "keys"), [
    ("nexus.example.org", {"host": "nexus.example.org"}),
    ("nexus.example.org/lab", {"host": "nexus.example.org", "prefix": "lab"}),
    ("nexus.example.org:443", {"host": "nexus.example.org", "port": 443})])
def test_a_registrys_port_stays_as_it_was_typed(typed: str, keys: dict[str, object]) -> None:
    """Images are named host/repository where none was, as Docker has it."""
    assert questions.registry(typed) == keys
