"""URLs: where a site reaches them, and how they are shown without their secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

_SECRET = re.compile(r"token|signature|secret|passw|credential|^sig$", re.IGNORECASE)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_USER = re.compile(r"(?<=://)[^/?#\s]*@")

MAVEN_CENTRAL, PYPI = "https://repo.maven.apache.org/maven2/", "https://pypi.org/simple/"
"""Where Maven and pip look by themselves; hosts.urls of a site may map both."""


def is_url(text: str) -> bool:
    """Whether `text` starts with a scheme and `://`."""
    return _SCHEME.match(text) is not None


def located(place: str) -> str:
    """A URL as it stands, and a path of this machine as a file:// URL."""
    return place if is_url(place) else Path(place).expanduser().absolute().as_uri()


def path(url: str) -> str:
    """The path in a URL, quoted as it stands there; of what can't be parsed, all of it."""
    try:
        return urlsplit(url).path
    except ValueError:  # such as an open bracket in the host
        return url


def mapped(url: str, prefixes: Mapping[str, str]) -> str:
    """`url` with the longest of the `prefixes` that it starts with replaced.

    A login in the URL counts for nothing here, and does not go along to another address.
    """
    longest = prefix_of(url, prefixes)
    if longest is None:
        return url
    return prefixes[longest] + _USER.sub("", url, count=1)[len(longest):]


def pypi(prefixes: Mapping[str, str], environment: Mapping[str, str]) -> str | None:
    """The site's own place for PyPI, where its file names one and the environment doesn't.

    None where pip's own settings say.
    """
    place = mapped(PYPI, prefixes)
    return None if place == PYPI or environment.get("PIP_INDEX_URL") else place


def prefix_of(url: str, prefixes: Mapping[str, str]) -> str | None:
    """The longest of the `prefixes` that `url`, without its login, starts with."""
    public = _USER.sub("", url, count=1)
    return max((prefix for prefix in prefixes if public.startswith(prefix)), key=len, default=None)


def without_login(url: str) -> tuple[str, str | None]:
    """The URL without its login and fragment, and the login, `user[:password]`, in plain."""
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=host, fragment="")), unquote(login) or None


def address(url: str) -> str:
    """The host of a URL, with its port where that is named, and without the login."""
    return urlsplit(url).netloc.rpartition("@")[2]


def shown(url: str) -> str:
    """`url` without user and query, for errors of requests: all of a query may be secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{address(url)}{parts.path}"


def redact(url: str) -> str:
    """`url` without user, password and the values of query parameters that hold secrets.

    This form stands in locks, manifests, logs and errors.
    """
    shown = _USER.sub("", url)
    try:
        parts = urlsplit(shown)
    except ValueError:  # such as an open bracket in the host
        return shown.partition("?")[0]
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    if not any(_SECRET.search(name) for name, _ in pairs):
        return shown
    hidden = [(name, "hidden" if _SECRET.search(name) else value) for name, value in pairs]
    return urlunsplit(parts._replace(query=urlencode(hidden)))


def has_password(url: str) -> bool:
    """Whether the URL holds a password, or a user name where that may be a token."""
    user = _USER.search(url)
    return user is not None and (":" in user[0] or not url.startswith("ssh://"))
