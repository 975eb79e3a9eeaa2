"""What engines say where they can't pull an image, and what to do about it."""

from __future__ import annotations

import re

NO_ROOM = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
UNTRUSTED = re.compile(r"x509|certificate|tls: ", re.IGNORECASE)
NO_LOGIN = re.compile(r"unauthorized|authentication required|no basic auth|forbidden"
                      r"|(?<!permission )denied", re.IGNORECASE)
"""Not `permission denied`, which is about files of the engine's machine."""
ABSENT = re.compile(r"not found|no such image|manifest unknown|name unknown|\b404\b",
                    re.IGNORECASE)


def remedy(answer: str, host: str, *, ca: str, login: str, store: str) -> str:
    """Return what to do where a pull from the registry `host` ended with these words.

    `ca` and `login` are where this kind of engine looks for them, `store` is where its images lie.
    """
    if NO_ROOM.search(answer):
        return f"free space {store}, then run the same command again"
    if UNTRUSTED.search(answer):
        return f"put the registry's CA at {ca}"
    if NO_LOGIN.search(answer):
        return f"mend the login for {host} in {login}"
    if ABSENT.search(answer):
        return (f"{host} answers, and holds no such image: mirror it again on the online side "
                "(images:mirror, images:verify), or see that this login may read it")
    return f"see that {host} can be reached, and that the mirror holds the image"
