"""How Maven is confined: its plugins are code of others, too, and need only the network."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.core.net import urls
from tasks.core.nextflow import isolation
from tasks.core.nextflow.environment import SHORT_LIVED_JAVA
from tasks.runtime import maven_settings

SYSTEM = (Path("/etc/maven"), Path("/etc/mavenrc"))
"""Debian's settings of Maven, and what its launcher reads."""
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "JAVA_HOME", "MAVEN_OPTS", "MAVEN_ARGS",
             *(form for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")
               for form in (name, name.lower())))
NAMED = re.compile(r"\$\{env\.([A-Za-z_][A-Za-z0-9_]*)\}")
"""A variable that settings.xml takes, a password often."""
TRUSTED = re.compile(r"-Djavax\.net\.ssl\.trustStore=(\S+)")


def confined(command: Sequence[str], *, folder: Path, repository: Path,
             environment: Mapping[str, str], least: str,
             asked: str = urls.MAVEN_CENTRAL) -> tuple[list[str], dict[str, str]]:
    """The words that start Maven's `command` in `folder`, and its environment.

    It writes there and into `repository`, and reads the user's settings.xml; `asked` is the place
    whose proxy it is told. Of the home folder and of `environment` it sees nothing else. HostError
    as in isolation.confined.
    """
    home = environment.get("HOME")
    settings = (Path(home) if home else Path.home()).absolute() / ".m2/settings.xml"
    security = settings.with_name("settings-security.xml")
    own = [path for path in (settings, security) if path.is_file()]
    text = settings.read_text(errors="replace") if settings in own else ""
    proxy, login = maven_settings.for_proxy(folder, maven=command[0], user=text, asked=asked,
                                            environment=environment)
    words = [*command, *proxy, f"-Dmaven.repo.local={repository}",
             *(["--settings", str(settings)] if settings in own else []),
             *([f"-Dsettings.security={security}"] if security in own else [])]
    kept = {name: environment[name] for name in sorted({*PASSED_ON, *NAMED.findall(text)})
            if name in environment} | login
    kept["MAVEN_OPTS"] = f"{SHORT_LIVED_JAVA} {kept.get('MAVEN_OPTS', '')}".rstrip()  # theirs wins
    homes = [path.resolve().parents[1] for path in map(Path, filter(None, (
        command[0], shutil.which("java", path=kept.get("PATH")), _java(kept))))]
    trusted = [Path(place) for place in TRUSTED.findall(kept["MAVEN_OPTS"])]
    return isolation.confined(
        words, cwd=folder, writes=[folder, repository], network=True, least=least,
        reads=[*own, *(path for path in (*SYSTEM, *homes, *trusted) if path.exists())]), kept


def _java(environment: dict[str, str]) -> str | None:
    return environment.get("JAVA_HOME") and f"{environment['JAVA_HOME']}/bin/java"
