"""Podman as an offline host's engine: the program on the PATH, as this host's user has it.

It needs no socket: each call is a program of this user's, rootful or rootless, which reads their
settings and images. The registry's CA and login come from the trust folder, so nothing of /etc has
to be changed.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tasks.core import processes
from tasks.core.engine import podman_needs, refusals
from tasks.core.engine.address import Podman
from tasks.core.engine.held import Held
from tasks.core.errors import AirlockError, CommandError, HostError, RegistryError
from tasks.core.findings import FAIL, WARN, Finding

PATIENCE = 60.0
"""Seconds in which it answers what it knows by itself; the first call of a boot looks through its
whole store."""
NOTICE = re.compile(r'time="[^"]*" level=(?:warning|info|debug) ')
"""A line that says nothing of why it failed."""
INSTALL = ("install it (Debian, Ubuntu: podman, uidmap, slirp4netns; Red Hat: podman), or name "
           "another engine in the site's `offline.engine`")


class PodmanEngine:
    """As pulling.PullingEngine says."""

    def __init__(self, podman: Podman) -> None:
        self._podman = podman

    def see(self) -> None:
        faults = [finding for finding in self.findings() if finding.status == FAIL]
        if faults:
            raise HostError("\n".join(fault.text for fault in faults), where="podman",
                            todo="; ".join(fault.cure for fault in faults if fault.cure))

    def findings(self) -> list[Finding]:
        """Return what Podman lacks here, or could have better, after a line on what it is."""
        try:
            version = self.version()
        except AirlockError as error:
            return [Finding(status=FAIL, text=reason(error), cure=error.todo)]
        if too_old := podman_needs.too_old(version):
            return [too_old]
        try:
            info = self.info()
        except AirlockError as error:
            return [podman_needs.no_answer(reason(error))]
        try:
            return podman_needs.of_host(version, info)
        except (LookupError, TypeError, AttributeError) as error:  # a version that no test has run
            return [Finding(status=WARN, text=f"podman {version} tells of this host otherwise than "
                                              f"is known here: {error!r}",
                            cure="look at `podman info` yourself")]

    def missing(self, references: Iterable[str]) -> list[str]:
        wanted = list(references)
        if not wanted:
            return []
        listed: Any = json.loads(self._ask("images", "--format", "json") or "[]") or []
        held = {name for image in listed for name in image.get("RepoDigests") or ()}
        return [reference for reference in wanted
                if reference not in held and not self._holds(reference)]

    def pull(self, references: Iterable[str], trust: Path) -> int:
        """Pull by the CA and login of `trust`, where they are there: else those of this user."""
        ca, authfile = trust / "ca.crt", trust / "config.json"
        given = [*(["--cert-dir", str(trust)] if ca.is_file() else []),
                 *(["--authfile", str(authfile)] if authfile.is_file() else [])]
        pulled = 0
        for reference in self.missing(references):
            try:
                self._say("pull", "--quiet", *given, reference, timeout=None)
            except CommandError as error:
                raise self._cannot_pull(reference, reason(error), trust) from error
            if not self._holds(reference):
                raise RegistryError(f"podman has pulled {reference}, and doesn't hold it by that "
                                    "digest", todo="look at `podman images --digests`")
            pulled += 1
        return pulled

    def store(self) -> Path:
        """Return where images lie; HostError where it can't be asked."""
        return Path(self.info()["store"]["graphRoot"])

    def version(self) -> str:
        """Return the version as `podman --version` says it, which needs no store."""
        printed = self._ask("--version")
        version = re.search(r"\d+\.\d+[^ \n]*", printed)
        if version is None:
            raise HostError(f"podman tells no version: {printed.strip()[:200]}", where="podman")
        return version[0]

    def images(self, references: Iterable[str]) -> Mapping[str, Held]:
        return {reference: self._held(reference) for reference in sorted(set(references))}

    def remove(self, references: Iterable[str]) -> Mapping[str, str]:
        left = {}
        for reference in references:
            try:
                self._say("image", "rm", reference)
            except CommandError as error:  # a container of this user's uses it
                left[reference] = reason(error)
        return left

    def info(self) -> Mapping[str, Any]:
        """Return what `podman info` tells of this host; HostError where it fails."""
        info: Mapping[str, Any] = json.loads(self._ask("info", "--format", "json"))
        return info

    def _ask(self, *words: str) -> str:
        """Return the answer of `podman WORDS`; HostError where there is none."""
        try:
            return self._say(*words)
        except CommandError as error:
            raise HostError(f"podman doesn't answer: {reason(error)}", where="podman",
                            todo=f"`podman {' '.join(words)}` says more") from error

    def _say(self, *words: str | Path, timeout: float | None = PATIENCE) -> str:
        """Run `podman WORDS`; CommandError where it fails, HostError where it isn't here."""
        program = processes.find("podman", todo=INSTALL, path=self._podman.path)
        environment = {"PATH": self._podman.path, "LANG": "C.UTF-8", **dict(self._podman.pulls),
                       **self._podman.environment}
        try:
            return processes.run([program, *words], env=environment, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise HostError(f"podman {words[0]} said nothing for {timeout:.0f} s", where=program,
                            todo="end what holds its store (`podman ps`), then run the same "
                                 "command again") from error

    def _holds(self, reference: str) -> bool:
        """Whether it holds an image: `podman image exists` ends with 1 where it doesn't."""
        try:
            self._say("image", "exists", reference)
        except CommandError as error:
            if error.status == 1:
                return False
            raise HostError(f"podman doesn't answer: {reason(error)}", where="podman",
                            todo="`podman info` says more") from error
        return True

    def _held(self, reference: str) -> Held:
        try:
            image, = json.loads(self._say("image", "inspect", "--format", "json", reference))
            return Held(id=f"sha256:{image['Id'].removeprefix('sha256:')}",
                        digests=tuple(sorted(image.get("RepoDigests") or ())))
        except (CommandError, HostError) as error:
            return Held(id=None, digests=(), why_not=reason(error))

    def _cannot_pull(self, reference: str, answer: str, trust: Path) -> RegistryError:
        host = reference.partition("/")[0]
        return RegistryError(f"podman cannot pull {reference}: {answer}", todo=refusals.remedy(
            answer, host, ca=f"{trust}/ca.crt", login=f"{trust}/config.json",
            store=self._store_in_words()))

    def _store_in_words(self) -> str:
        try:
            return f"at {self.store()}, where this user's images lie"
        except (AirlockError, LookupError, ValueError):
            return "where `podman info` says that images lie (graphRoot)"


def reason(error: AirlockError) -> str:
    """Return what podman itself gave as the reason."""
    if not isinstance(error, CommandError):
        return error.what
    lines = [line for line in error.tail if not NOTICE.match(line)] or list(error.tail)
    last = next((line for line in reversed(lines) if line.startswith("Error: ")),
                lines[-1] if lines else error.what)
    return last.removeprefix("Error: ")
