"""Authentication to registries: basic, and bearer tokens that are kept and renewed.

After the distribution project's token specification and RFC 7235.
"""

from __future__ import annotations

import re
import threading
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core import parsing
from tasks.core.errors import NetError, RegistryError
from tasks.core.net import urls, web_page
from tasks.core.net.redirects import origin
from tasks.core.net.request import Transport
from tasks.core.registry import credentials
from tasks.core.registry.credentials import Login
from tasks.core.registry.streams import read_whole

if TYPE_CHECKING:
    import urllib3

PARAMETER = re.compile(r'(?<!\w)(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
LIFETIME = 60.0
"""Seconds that a token lives when its server doesn't say (token specification)."""
MARGIN = 10.0
LARGEST_TOKEN = 1 << 20
LONGEST_REALM = 300
"""Characters of a token server's broken URL that are shown."""
ODD = re.compile(r"[\s\\\x00-\x20\x7f]")
"""What stands in no URL as it is."""
LONGEST = 8192
"""Characters that are read of a WWW-Authenticate header."""


class Refused(RegistryError):
    """A registry that doesn't let us do something, for want of a login or of the right."""


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """What a registry's WWW-Authenticate asks for."""

    scheme: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Token:
    """A bearer token, and the time of time.monotonic() until which it is used."""

    text: str = field(repr=False)
    until: float


def rights(scopes: Sequence[str]) -> frozenset[str]:
    """The single rights of scopes such as `repository:a/b:pull,push`."""
    return frozenset(f"{place}:{action}" for place, _, actions in
                     (scope.rpartition(":") for scope in scopes)
                     for action in actions.split(","))


def challenges(headers: Sequence[str]) -> list[Challenge]:
    """The challenges of WWW-Authenticate headers."""
    offered = []
    for header in headers:
        for match in re.finditer(r"\b(Basic|Bearer)\b(?!\s*=)\s*(.*?)(?=,\s*(?:Basic|Bearer)\s|$)",
                                 header[:LONGEST], re.IGNORECASE):
            offered.append(Challenge(
                scheme=match[1].lower(),
                parameters={name.lower(): quoted or plain
                            for name, quoted, plain in PARAMETER.findall(match[2])}))
    return offered


class Authenticator:
    """The Authorization of requests to one registry."""

    def __init__(self, base: str, authfile: Path | None, transport: Transport) -> None:
        self._base, self._authfile, self._transport = base, authfile, transport
        self._host = urllib.parse.urlsplit(base).netloc
        self._challenge: Challenge | None = None
        self._tokens: dict[frozenset[str], Token] = {}
        self._fetching: dict[frozenset[str], threading.Lock] = {}
        self._lock = threading.RLock()
        self._login: Login | None = None
        self._login_read = self._has_let_in = False

    def header(self, scopes: Sequence[str]) -> dict[str, str]:
        """The Authorization for these scopes; nothing before the registry has asked for it."""
        challenge = self._challenge
        if challenge is None:
            return {}
        if challenge.scheme == "basic":
            login = self.login
            return {"Authorization": login.basic} if login else {}
        return {"Authorization": f"Bearer {self._token(challenge, scopes)}"}

    def learn(self, headers: Sequence[str], scopes: Sequence[str], sent: str | None) -> bool:
        """Take the challenge of a 401 to a request with the Authorization `sent`.

        False where another attempt is of no use, since the same login has been refused.
        """
        offered = {challenge.scheme: challenge for challenge in challenges(headers)}
        if not offered:
            raise RegistryError(f"{self._host} asks for a login in a way that isn't known",
                                where=self._host,
                                todo="in Nexus, activate the Docker Bearer Token Realm or allow "
                                     "basic authentication on the connector")
        with self._lock:
            self._challenge = offered.get("bearer") or offered["basic"]
            if self._challenge.scheme == "basic":
                return sent is None and self.login is not None
            self._tokens = {rights: token for rights, token in self._tokens.items()
                            if sent != f"Bearer {token.text}"}
            return True

    @property
    def login(self) -> Login | None:
        """The login for this registry, read once."""
        with self._lock:
            if not self._login_read:
                self._login = credentials.find(self._host, self._authfile)
                self._login_read = True
            return self._login

    def let_in(self, permit: Mapping[str, str]) -> None:
        """Take note that a request was let in, with the login if that was sent."""
        self._has_let_in = self._has_let_in or (bool(permit) and self._login is not None)

    def refused(self, what: str, words: str = "") -> Refused:
        """The error for a registry that will not let us do `what`, and perhaps says why."""
        file = self._authfile or credentials.default_file()
        its_words = f" (it says: {words})" if words else ""
        if self.login is None:
            return Refused(
                f"{self._host} refuses {what} without a login, and none is known{its_words}",
                where=file,
                todo=f"check the name, or log in with `docker login {self._host}`, and set "
                     "registry.authfile to the file that it writes")
        why = ("it has taken this login before, so that has expired or was changed meanwhile, or "
               "has no right to it" if self._has_let_in else
               "wrong user or password, or no right to it")
        return Refused(
            f"{self._host} refuses {what}: {why}{its_words}", where=file,
            todo=f"correct the login there with `docker login {self._host}`, or ask the "
                 "registry's administrator for the right")

    def _token(self, challenge: Challenge, scopes: Sequence[str]) -> str:
        """A token that has these rights: one that is there, else a new one.

        Threads wait for each other only where they want the same rights.
        """
        wanted = rights(scopes)
        with self._lock:
            fetching = self._fetching.setdefault(wanted, threading.Lock())
        with fetching:
            held = self._held(wanted)
            if held is None:
                text, lifetime = self._fetch(challenge, sorted(scopes))
                held = Token(text=text, until=time.monotonic() + max(lifetime - MARGIN, 1.0))
                with self._lock:
                    self._tokens[wanted] = held
            return held.text

    def _held(self, wanted: frozenset[str]) -> Token | None:
        now = time.monotonic()
        with self._lock:
            return next((token for held, token in self._tokens.items()
                         if wanted <= held and now < token.until), None)

    def _fetch(self, challenge: Challenge, scopes: Sequence[str]) -> tuple[str, float]:
        realm = self._token_server(challenge)
        fields = [(name, challenge.parameters[name]) for name in ("service",)
                  if name in challenge.parameters] + [("scope", scope) for scope in scopes]
        login = self.login
        if login and login.is_token:
            form = [*fields, ("grant_type", "refresh_token"), ("client_id", "nf-airlock"),
                    ("refresh_token", login.password)]
            response, body = self._whole(
                "POST", realm, {"Content-Type": "application/x-www-form-urlencoded"},
                urllib.parse.urlencode(form).encode())
        else:
            joint = "&" if "?" in realm else "?"
            response, body = self._whole(
                "GET", f"{realm}{joint}{urllib.parse.urlencode(fields)}",
                {"Authorization": login.basic} if login else {})
        if response.status in (401, 403):
            raise self.refused("a token")
        try:
            answer = parsing.from_json(body)
            token = str(answer.get("token") or answer["access_token"])
            return token, float(answer.get("expires_in") or LIFETIME)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            page = ", but with a web page" if web_page.is_page(body) else ""
            raise RegistryError(f"the token server of {self._host} answered {response.status} "
                                f"without a token{page}", where=realm.partition("?")[0],
                                todo="try again later, or ask its administrator") from None

    def _token_server(self, challenge: Challenge) -> str:
        """The URL that tokens are had at; RegistryError with the registry's own word for it."""
        realm = challenge.parameters.get("realm", "")
        fault = _realm_fault(realm, is_plain=self._base.startswith("http:"))
        if fault:
            raise RegistryError(f"{self._host} names {urls.redact(realm)[:LONGEST_REALM]!r} as its "
                                f"token server, which can't be used: {fault}",
                                where=f"{self._base}/v2/",
                                todo="set the registry's external address to its https URL (in "
                                     "Nexus: base URL, and the Docker Bearer Token Realm; in a "
                                     "proxy before it: X-Forwarded-Proto, -Host and -Port)")
        return realm

    def _whole(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None,
               ) -> tuple[urllib3.BaseHTTPResponse, bytes]:
        """The token server's answer, asked for again where the connection breaks."""
        try:
            return read_whole(lambda: self._transport.send(method, url, headers, body),
                              lambda attempt: self._transport.rest(url, attempt),
                              f"a token for {self._host}", LARGEST_TOKEN)
        except NetError as error:
            raise RegistryError(f"the token server that {self._host} names gives no token: "
                                f"{error.what}", where=urls.shown(url), todo=error.todo) from error


def _realm_fault(realm: str, *, is_plain: bool) -> str | None:
    """What is wrong with the URL of a token server; a registry without TLS may name a plain one."""
    try:
        parts = urllib.parse.urlsplit(realm)
        origin(realm)
    except ValueError:
        return "it is no URL; its host or port is broken"
    faults = (
        (not realm, "it is empty"),
        (not parts.scheme or not parts.netloc, "it is no whole URL"),
        (parts.scheme not in ("https", "http"), f"{parts.scheme}:// is not asked"),
        (parts.scheme == "http" and not is_plain, "it has no TLS, and would be sent the login"),
        ("@" in parts.netloc, "it holds a user; a login comes from registry.authfile alone"),
        (not parts.hostname or ODD.search(realm), "it is no URL; its host or port is broken"))
    return next((fault for is_so, fault in faults if is_so), None)
