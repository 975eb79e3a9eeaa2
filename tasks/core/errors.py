"""The one tree of errors. Each says what happened, where, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence


def shown(text: str) -> str:
    """Return others' text for a terminal: what would steer it, or can't be written, is escaped."""
    return "".join(character if character.isprintable() or character in "\n\t"
                   else character.encode("unicode_escape").decode() for character in text)


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


class CommandError(AirlockError):
    """A program that was started ended with an error."""

    def __init__(self, what: str, *, status: int, tail: Sequence[str] = (), where: object = None,
                 todo: str | None = None) -> None:
        self.status = status
        self.tail = list(tail)
        super().__init__(what, where=where, todo=todo)

    def __str__(self) -> str:
        tail = shown("\n".join(f"    | {line}" for line in self.tail))
        return f"{super().__str__()}\n{tail}" if tail else super().__str__()
