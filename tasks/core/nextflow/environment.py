"""The environment that Nextflow is given, made anew for each start.

What of it comes from the environment that doit was started in is read once, where the graph is
built (docs/decisions/what-a-step-reads.md), so no credential comes along that nobody named.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from tasks.core.frozen import frozen

LOCALE = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
"""The same on every machine, so that nothing that is built hangs on the user's own."""

SHORT_LIVED_JAVA = "-XX:TieredStopAtLevel=1"
"""For a Java that lives for seconds: what its optimising compiler costs never comes back. With it
the config of nf-core's template resolves in half of the time, and Maven brings a Nextflow in two
thirds."""
SHORT_LIVED = {"NXF_OPTS": SHORT_LIVED_JAVA}

OF_A_RUN = ("JAVA_CMD", "JAVA_HOME", "NXF_OPTS", "NXF_WORK", "XDG_STATE_HOME")
"""The variables that a run on the offline host is made with, besides where programs lie, and the
one that says where that host remembers what it has seen."""

RUN_OPTIONS = "-Xms1g -Xmx4g"
"""NXF_OPTS of a run on the offline host whose user sets none."""


@frozen
class Inherited:
    """What a step that starts Nextflow takes of the environment of doit.

    `java_cmd` and `java_home` choose a Java. The others say where programs and scratch space lie
    and how reports show times: no result hangs on them, so doit doesn't compare them.
    """

    java_cmd: str | None = None
    java_home: str | None = None
    path: str = field(default=os.defpath, compare=False)
    scratch: str | None = field(default=None, compare=False)
    timezone: str | None = field(default=None, compare=False)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Inherited:
        """Read it from JAVA_CMD, JAVA_HOME, PATH, TMPDIR and TZ."""
        return cls(java_cmd=environment.get("JAVA_CMD"), java_home=environment.get("JAVA_HOME"),
                   path=environment.get("PATH", os.defpath), scratch=environment.get("TMPDIR"),
                   timezone=environment.get("TZ"))


NOTHING = Inherited()


@frozen
class RunSettings:
    """What a run on the offline host takes of its user's environment: NXF_OPTS and NXF_WORK.

    Where tasks work is no setting of the result.
    """

    options: str = RUN_OPTIONS
    work: str | None = field(default=None, compare=False)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> RunSettings:
        """Read it from the environment, with our own options where the user sets none."""
        return cls(options=environment.get("NXF_OPTS", RUN_OPTIONS),
                   work=environment.get("NXF_WORK") or None)


def of_nextflow(inherited: Inherited, *, java: Path, home: Path) -> dict[str, str]:
    """A clean, offline environment with this Java and NXF_HOME.

    NXF_OFFLINE must be exactly `true`: Nextflow ignores any other value.
    """
    place = os.fspath(home.absolute())
    taken = {"TMPDIR": inherited.scratch, "TZ": inherited.timezone}
    return {"PATH": inherited.path, **LOCALE,
            **{name: value for name, value in taken.items() if value is not None},
            "HOME": place, "NXF_HOME": place, "JAVA_CMD": os.fspath(java), "NXF_OFFLINE": "true",
            "NXF_DISABLE_CHECK_LATEST": "true", "NXF_ANSI_LOG": "false"}
