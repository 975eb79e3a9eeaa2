"""Maven runs with the network, and sees of this user its own settings alone."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest

from tasks.core import files, processes
from tasks.core.errors import HostError, IntegrityError, SourceError
from tasks.core.nextflow import isolation
from tasks.runtime import build as runtimes
from tasks.runtime import confinement, maven
from tests.kit import jars, machine
from tests.kit.locks import lock_at
from tests.kit.web import Web

SECRET = "a-secret-that-nobody-may-see"
PROBE = r"""#!/bin/sh
# Stands for Maven, whose plugins are code of others.
cat HOME/.ssh/id HOME/.m2/settings-security.xml HOME/.m2/settings.xml ROOT/config/locks/x \
    ROOT/build/other/code.tar /proc/[0-9]*/environ 2>/dev/null
for place in HOME/by-maven HOME/.m2/settings.xml ROOT/by-maven; do
    echo x 2>/dev/null > $place && echo written $place
done
env
bash -c 'exec 3<>/dev/tcp/127.0.0.1/PORT; printf "GET /seen HTTP/1.0\r\n\r\n" >&3
    timeout 5 cat <&3'
[ -s /etc/resolv.conf ] && echo resolver
case "$*" in *-Dmaven.repo.local=ROOT/build/maven*) echo kept > ROOT/build/maven/kept;; esac
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, web: Web) -> Path:
    """A user with a key, settings with a password's variable, and a Maven that attacks."""
    machine.need_namespaces()
    for place in ("home/.ssh/id", "config/locks/x", "build/other/code.tar"):
        files.write_text(tmp_path / place, SECRET)
    files.write_text(tmp_path / "home/.m2/settings.xml", "its settings ${env.NEXUS_PASSWORD}")
    files.write_text(tmp_path / "home/.m2/settings-security.xml", "its security")
    web.files["/seen"] = b"reached the network"
    text = PROBE
    for name, value in {"HOME": tmp_path / "home", "ROOT": tmp_path,
                        "PORT": web.url.rpartition(":")[2]}.items():
        text = text.replace(name, str(value))
    files.write_text(tmp_path / "tools/maven/bin/mvn", text, mode=0o755)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{tmp_path}/tools/maven/bin:{os.environ['PATH']}")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("NEXUS_PASSWORD", "of-nexus")
    return tmp_path


def resolve(site: Path) -> str:
    with pytest.raises(Exception, match="Maven resolved no jar"):
        maven.resolve(("a:b:1",), site / "scratch/place/lib", log=site / "log",
                      repository=site / "build/maven", environment=os.environ)
    return (site / "log").read_text()


def written(site: Path) -> list[Path]:
    """The files that were written where nothing may be; a place below /tmp is Maven's own there."""
    return [path for path in (site / "home/by-maven", site / "home/.m2/settings.xml",
                              site / "by-maven")
            if path.exists() and path.read_text() == "x\n"]


def test_maven_sees_its_settings_and_the_network_alone(site: Path) -> None:
    output = resolve(site)
    assert SECRET not in output
    assert written(site) == []
    for seen in ("its settings", "its security", "reached the network", "NEXUS_PASSWORD=of-nexus"):
        assert seen in output, output
    if Path("/etc/resolv.conf").exists():
        assert "resolver" in output
    assert (site / "build/maven/kept").exists()


def test_the_attacks_succeed_where_nothing_holds_them(
        site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above would show nothing."""
    monkeypatch.setattr(isolation, "confined", lambda command, **kept: command)
    output = resolve(site)
    assert SECRET in output
    assert len(written(site)) == 3


def test_what_the_user_tells_java_counts_last_and_a_truststore_is_seen(
        site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_text(site / "trust/store.jks", "trusted")
    own = f"-XX:+UseSerialGC -Djavax.net.ssl.trustStore={site}/trust/store.jks"
    monkeypatch.setenv("MAVEN_OPTS", own)
    (site / "build/maven").mkdir()
    words, environment = confinement.confined(["cat"], folder=site / "build", repository=site
                                       / "build/maven", environment=os.environ,
                                       least=isolation.FULL)
    command = [*words[:words.index("cat")], "cat", str(site / "trust/store.jks")]
    assert processes.run(command, env=environment) == "trusted"
    assert environment["MAVEN_OPTS"] == f"-XX:TieredStopAtLevel=1 {own}"


def test_maven_is_not_started_where_it_cannot_be_confined(
        site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "_means", lambda: isolation.Means(words=(), hides=False))
    with pytest.raises(HostError, match="it was not run"):
        maven.resolve(("a:b:1",), site / "scratch/place/lib", log=site / "log",
                      repository=site / "build/maven", environment=os.environ)


LISTS = r"""#!/bin/sh
# Stands for Maven: brings one jar, and lists it; its pom lies in its repository by then.
for word; do case "$word" in
    -DoutputDirectory=*) lib=${word#*=};; -Dmdep.outputFile=*) listed=${word#*=};;
    -Dmaven.repo.local=*) repository=${word#*=};; *proxy-settings.xml) cp "$word" "$PWD/seen";;
esac; done
mkdir -p "$lib" "$repository/a/b/1" && cp JAR "$lib/b-1.jar"
echo '<project><licenses><license><name>MIT</name></license></licenses></project>' \
    > "$repository/a/b/1/b-1.pom"
LIST
"""


def made(site: Path, monkeypatch: pytest.MonkeyPatch, listing: str) -> runtimes.Runtime:
    """A runtime that this Maven brings, by a proxy."""
    monkeypatch.setenv("HTTPS_PROXY", "http://user:word@proxy.example.org:3128")
    files.write_bytes(site / "tools/maven/b.jar", jars.nextflow("25.10.4"))
    files.write_text(site / "tools/maven/bin/mvn", LISTS.replace(
        "JAR", str(site / "tools/maven/b.jar")).replace("LIST", listing), mode=0o755)
    (site / "out").mkdir()
    spec = runtimes.Runtime(
        pipeline="p", version="25.10.4", coordinates=("a:b:1",), archive=site / "out/runtime.tar",
        sums=site / "out/sums", jars=site / "out/jars.json",
        lock=lock_at(site / "locks", "runtime"), log=site / "log", relock=False,
        repository=site / "build/maven", environment=os.environ)
    runtimes.build(spec)
    return spec


def test_the_archive_holds_nothing_that_was_written_for_maven(
        site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as the place of the proxy, which is no business of an offline host's."""
    spec = made(site, monkeypatch, '[ -f "$PWD/seen" ] && echo "@/a/b/1/b-1.jar" > "$listed"')
    with tarfile.open(spec.archive) as opened:
        assert sorted(member.name for member in opened if member.isfile()) == [
            "nextflow-25.10.4/lib/b-1.jar", "nextflow-25.10.4/nextflow"]
    jar, = json.loads(spec.jars.read_text())["jars"]
    assert (jar["group"], jar["licences"], jar["licences_of"]) == ("a", ["MIT"], "a:b:1")


@pytest.mark.parametrize("listing", [":", r"printf '\377' > $listed", 'mkdir "$listed"'],
                         ids=["none", "no text", "no file"])
def test_a_maven_that_lists_nothing_is_named(
        site: Path, monkeypatch: pytest.MonkeyPatch, listing: str) -> None:
    with pytest.raises((SourceError, IntegrityError)) as caught:
        made(site, monkeypatch, listing)
    assert str(site / "log") in str(caught.value) or "no regular file" in str(caught.value)
    assert not (site / "out/runtime.tar").exists()


def test_a_link_among_the_jars_is_refused(site: Path) -> None:
    files.write_text(site / "tools/maven/bin/mvn", "#!/bin/sh\nmkdir lib\n"
                     f"ln -s {site}/home/.ssh/id lib/a.jar\n", mode=0o755)
    with pytest.raises(IntegrityError, match=r"a\.jar"):
        maven.resolve(("a:b:1",), site / "scratch/place/lib", log=site / "log",
                      repository=site / "build/maven", environment=os.environ)
