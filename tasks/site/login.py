"""The registry's login, where none is known: typed unseen, and kept outside of the repository."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tasks.core import ownership
from tasks.core.registry import credentials
from tasks.core.registry.credentials import Login
from tasks.site.answers import Ask


def own_file(name: str) -> Path:
    """Where a site's login is kept that was typed here."""
    return Path(f"~/.config/airlock/{name}/config.json").expanduser()


def known(address: str, authfile: str) -> bool:
    """Whether there is a login for the registry; RegistryError where its file can't be read."""
    return credentials.find(address, Path(authfile).expanduser() if authfile else None) is not None


def typed(address: str, place: Path, ask: Ask, ask_unseen: Callable[[str], str]) -> bool:
    """Ask for a login and keep it in `place`, a Docker config file of this user's alone.

    False where none is given: the registry may let everybody in.
    """
    user = ask(f"A user at {address} (none: just Enter): ").strip()
    if not user:
        return False
    login = Login(user=user, password=ask_unseen("Password: "))
    ownership.private_folder(place.parent)
    credentials.write(place, address, login)
    return True

