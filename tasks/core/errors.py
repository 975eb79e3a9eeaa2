"""The one tree of errors. Each says what happened, where, and what to do next."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

_STEERING = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*(?:[@-~]|$)"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*(?:[0-~]|$)")
"""What steers a terminal (ECMA-48), in its forms of seven and of eight bits: CSI (colours, moves of
the cursor), strings such as OSC (titles, links), and all other escapes."""


FEW = 3
"""Files that are named where many have one fault."""


def plain(line: str) -> str:
    """Return a line of others' text as a terminal ends up showing it, and nothing that steers one.

    Of a line that was written over (a carriage return) the last is left, and what a backspace takes
    back is gone.
    """
    if line.isprintable():
        return line
    text = _STEERING.sub("", line).rstrip("\r").rpartition("\r")[2]
    kept: list[str] = []
    for character in text:
        if character == "\b":
            del kept[-1:]
        elif character == "\t" or character.isprintable():
            kept.append(character)
        elif character.isspace():  # such as one that breaks no line
            kept.append(" ")
    return "".join(kept)


def plain_lines(written: str | bytes) -> str:
    """Return what a program has written as plain lines: the one way to quote it."""
    text = written if isinstance(written, str) else written.decode(errors="replace")
    return "\n".join(map(plain, text.split("\n")))


def shown(text: str) -> str:
    """Return others' text for a terminal: what would steer it, or can't be written, is escaped."""
    return "".join(character if character.isprintable() or character in "\n\t"
                   else character.encode("unicode_escape").decode() for character in text)


def quoted(lines: Iterable[str]) -> str:
    """Return the lines of a program as they stand below an error of ours."""
    return "\n".join(f"    | {line}" for line in lines)


class AirlockError(Exception):
    """A fault that the user can act on; shown without a traceback.

    `what` is one sentence, `where` a file, address or key, `todo` the next step.
    """

    def __init__(self, what: str, *, where: object = None, todo: str | None = None) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.todo = todo
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.todo:
            lines.append(f"  to do: {self.todo}")
        return shown("\n".join(lines))


def folded(faults: Mapping[str, AirlockError]) -> str:
    """Return the errors by what each is about, those that say the same once, with all of these."""
    alike: dict[tuple[str, str | None], list[str]] = {}
    for about, error in faults.items():
        alike.setdefault((error.what.replace(about, ""), error.todo), []).append(about)
    return "\n".join(str(faults[first]) + (
        f"\n  the same for {len(others)} more: {', '.join(others)}" if others else "")
        for first, *others in alike.values())


def listed(faults: Mapping[str, AirlockError]) -> str:
    """Return a line for each different fault of files, with those that have it, by their paths."""
    alike: dict[str, list[str]] = {}
    for path, error in faults.items():
        alike.setdefault(error.what, []).append(path)
    return "\n".join(f"  {', '.join(paths[:FEW])}" + (
        f" and {len(paths) - FEW} more" if len(paths) > FEW else "") + f": {what}"
        for what, paths in alike.items())


class ConfigError(AirlockError):
    """The site's or pipeline's configuration, a variable, or a file's schema."""


class HostError(AirlockError):
    """This machine lacks a program, a right, a port or space."""


class SourceError(AirlockError):
    """A pipeline's code or data cannot be had, or is not what the lock says."""


class ImageError(AirlockError):
    """An image name cannot be resolved, or an image is not what the lock says."""


class RegistryError(AirlockError):
    """A registry refused, failed or answered what it must not."""


class NetError(SourceError, RegistryError):
    """A server did not answer as it must, whether a source or a registry was asked."""


class StoreError(AirlockError):
    """The store refused, failed, or lacks a key."""


class StoreAwayError(StoreError):
    """Nobody answers where the store is: it says neither yes nor no."""


class AwsError(AirlockError):
    """AWS refused, failed, or holds what must not be there."""


class IntegrityError(AirlockError):
    """Bytes, a digest or a signature are not what was promised."""


class OldToolError(IntegrityError):
    """A release is of a form that only a newer version of this project reads."""


class CommandError(AirlockError):
    """A program that was started ended with an error."""

    def __init__(self, what: str, *, status: int, tail: Sequence[str] = (), where: object = None,
                 todo: str | None = None) -> None:
        self.status = status
        self.tail = [plain(line) for line in tail]
        super().__init__(what, where=where, todo=todo)

    def __str__(self) -> str:
        tail = shown(quoted(self.tail))
        return f"{super().__str__()}\n{tail}" if tail else super().__str__()
