"""A carried folder: a store on a disk that people carry, under one signed list of all of it.

    blobs/ releases/ tool/ smoke/      as in any store, so that it may be used as one
    images/<pipeline>/                 archives for engines, where the store holds no images
    README.txt, carry.json             what to type by hand; what is carried, for the next time
    SHA256SUMS, SHA256SUMS.sig         the list, written last, and its signature

Where it is split to a size, volumes (part0001.tar and so on, each with a list of its own beside it)
stand in the place of the store's files, and `whole/` has the list of those with its signature: put
together, they are a carried folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from tasks.core import nofollow
from tasks.core.errors import HostError, IntegrityError
from tasks.core.trust import checksums, signature
from tasks.core.trust.checksums import MAX_LIST
from tasks.core.trust.promotions import Subject, Trust

SUMS, SEAL = "SHA256SUMS", "SHA256SUMS.sig"
README, RECORD = "README.txt", "carry.json"
WHOLE_SUMS, WHOLE_SEAL = f"whole/{SUMS}", f"whole/{SEAL}"
OURS = ("blobs/", "releases/", "tool/", "smoke/", "images/", "whole/")
"""Where a carried folder has files beside those at its top."""
VOLUME = re.compile(r"part([0-9]{4})\.(?:tar|sha256)")
MAX_VOLUMES = 9999

POINTER = re.compile(r"(?:releases/([a-z][a-z0-9_-]*)|tool)/current\.json")


def volume(number: int) -> str:
    """The name of a volume: `cat part*.tar` has them in their order."""
    return f"part{number:04}.tar"


def own_list(name: str) -> str:
    """The name of a volume's own list."""
    return f"{name.removesuffix('.tar')}.sha256"


def number(name: str) -> int:
    """The number of a volume."""
    return int(name[4:8])


def is_ours(path: str) -> bool:
    """Whether a path is one that a carried folder may have."""
    return (path.startswith(OURS) and ".." not in path.split("/")) or path in (
        SUMS, SEAL, README, RECORD) or bool(VOLUME.fullmatch(path))


def subjects(paths: Iterable[str]) -> list[Subject]:
    """Of whom a list names the current release; the tool last."""
    named = [match for path in sorted(paths) if (match := POINTER.fullmatch(path))]
    return [Subject(pipeline=match[1]) for match in named]


def listed(root: Path, name: str, trust: Trust) -> Mapping[str, str]:
    """A list of a carried folder, path to SHA-256, once a trusted key has signed it.

    HostError where there is none: the folder is another, or was not carried to its end.
    """
    try:
        with nofollow.reading(root, name) as stream:
            data = stream.read(MAX_LIST + 1)
        with nofollow.reading(root, f"{name}.sig") as stream:
            seal = stream.read(MAX_LIST + 1)
    except FileNotFoundError as error:
        raise HostError(f"this is no carried folder, or it is not whole: {name} or its signature "
                        "is missing", where=root,
                        todo="name the folder that README.txt lies in; if it is that one, carry it "
                             "again, to its end") from error
    if max(len(data), len(seal)) > MAX_LIST:
        raise nofollow.too_large(MAX_LIST, root / name)
    signature.verify(data, seal, namespace=signature.CARRY, allowed=trust.allowed,
                     signer=trust.identity, where=root / f"{name}.sig")
    paths = checksums.parse_sums(data, where=root / name)
    strange = [path for path in paths if not is_ours(path)]
    if strange:
        raise IntegrityError(f"the list names what no carried folder has: {', '.join(strange[:5])}",
                             where=root / name, todo="ask those who made it")
    return paths
