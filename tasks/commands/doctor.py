"""`doit doctor`: everything that a site needs, on this side or, with role=prod, on an offline host.

One line for each thing, with its cure; nothing that is broken ends the rest.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping

from tasks.core import config_places, files
from tasks.core.config.load import load
from tasks.core.config.settings import is_carried, offline_command
from tasks.core.errors import AirlockError, ConfigError
from tasks.core.findings import FAIL, OK, UNKNOWN, WARN, Finding, counts, failed, in_words, report
from tasks.core.graph.commands import Typed
from tasks.core.schema import check
from tasks.doctor import machine
from tasks.doctor.checks import Check, examine

SIDES = {"online": "doctor_online", "prod": "doctor_offline"}
"""The modules with the checks of a role: an offline host has the second alone."""


def doctor(typed: Typed) -> int:
    """Print what was looked at; 1 where something fails, else 0."""
    role = typed.variables.get("role", "prod" if is_carried() else "online")
    site, checks = _checks(typed.variables, role)
    findings = examine(checks)
    counted = counts(findings)
    if typed.options.get("json"):
        shown = check({"site": site, "role": role,
                       "findings": [finding.as_json for finding in findings]},
                      "site-doctor", where="doit doctor")
        sys.stdout.write(files.json_bytes(shown).decode())
    else:
        report(findings)
        print(f"\n{site or 'no site'}: {in_words(counted, FAIL, WARN, UNKNOWN, OK)}"
              + _next(site, role, bool(counted[FAIL])))
    return 1 if counted[FAIL] else 0


def _checks(variables: Mapping[str, str], role: str) -> tuple[str | None, list[Check]]:
    """The site and what is looked at; of the machine alone where the configuration is broken."""
    try:
        config = load(variables)
        if role not in SIDES:  # load() knows no other
            raise ConfigError(f"there is no role {role!r}")
    except (AirlockError, OSError) as error:
        broken = error if isinstance(error, AirlockError) else AirlockError(
            str(error.strerror), where=error.filename, todo="mend the rights there, or free space")
        return None, [Check(name="config", look=lambda: [_unread(broken)], cure="run it again"),
                      Check(name="python", look=lambda: machine.python(()), cure="run it again")]
    side = importlib.import_module(f"tasks.commands.{SIDES[role]}")
    checks: list[Check] = side.checks(config)
    read = Finding(check="config", status=OK,
                   text=f"{config_places.site(config.site.name)}, for {', '.join(config.names)}")
    hides = [Finding(check="config", status=OK, text=line) for line in config_places.shadows()]
    return config.site.name, [Check(name="config", look=lambda: [read, *hides],
                                    cure="run it again"),
                              *checks]


def _unread(error: AirlockError) -> Finding:
    return failed("config", error, error.todo or "correct the file")


def _next(site: str | None, role: str, is_broken: bool) -> str:
    if is_broken:
        return "; do what the lines above say, then ask again"
    if role == "prod":
        where = "" if is_carried() else f"site={site} "
        return f"; next: {offline_command(f'{where}pipeline=NAME')}"
    return f"; next: ./doit site={site} images:plan, then ./doit site={site}"
