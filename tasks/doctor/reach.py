"""One request to an address, and in words what is wrong where none is answered.

The order of a request decides what is looked at: the name, the proxy, the connection, TLS, HTTP.
Verification is not switched off for this either: where a certificate's time is wrong, all else of
it is verified, to learn whose clock is at fault.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tasks.core import parsing
from tasks.core.errors import NetError
from tasks.core.findings import FAIL, OK, WARN, Finding
from tasks.core.frozen import frozen
from tasks.core.net import bounds, certificates, urls
from tasks.core.net.pools import Pools, proxy_for
from tasks.core.net.request import HEADERS, reason

CONNECT, READ = 5.0, 8.0
"""Seconds for a connection, and for an answer's first byte."""
SHOWN = 2000
"""Bytes that are read of an answer."""
SKEW, MUCH_SKEW = 30.0, 240.0
"""Seconds by which clocks may differ; S3 refuses requests from 15 minutes on, tokens sooner."""
DAYS_LEFT = 30
NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL: all is verified but the times (X509_VERIFY_PARAM(3))."""
TOO_EARLY, TOO_LATE = 9, 10
OTHER_NAME = (62, 64)
"""OpenSSL's codes: not yet valid, expired, another host's name or address."""
TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")
SET_CLOCK = "set this machine's clock (timedatectl set-ntp true)"


@frozen
class Address:
    """What is asked, the key of the configuration that names it, and which key names its CA.

    `starts` is the command that starts what should answer, where this project has one.
    """

    url: str
    setting: str
    trust: str
    ca: Path | None = None
    starts: str | None = None

    @property
    def place(self) -> str:
        """host[:port] for messages."""
        return urls.address(self.url)


@frozen
class Answer:
    """What came back: `text` is the beginning of its body, `ends` the certificate's last moment."""

    status: int
    headers: Mapping[str, str]
    text: str
    ends: datetime | None


def ask(at: Address) -> Answer:
    """GET the address once. NetError says what is wrong, and the cure."""
    import urllib3
    try:
        return _get(at, _context(at))
    except urllib3.exceptions.SSLError as error:
        raise _untrusted(at, error) from None
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _unanswered(at, error) from None


def clock(at: Address, answer: Answer) -> Finding | None:
    """This machine's clock beside the server's, where that tells its time."""
    skew = _skew(answer)
    if skew is None:
        return None
    text = f"this clock and that of {at.place} differ by {abs(skew):.0f} seconds"
    status = OK if abs(skew) <= SKEW else WARN if abs(skew) <= MUCH_SKEW else FAIL
    return Finding(check="clock", status=status, text=text, cure=None if status == OK else
                   f"{SET_CLOCK}, or have that server's set: this one is "
                   f"{'behind' if skew > 0 else 'ahead'}")


def certificate(at: Address, answer: Answer) -> Finding:
    """By which CAs the server's certificate is trusted, and for how long."""
    by = f"by {at.trust} ({at.ca})" if at.ca else "by this system's CAs"
    if answer.ends is None:
        return Finding(check="certificate", status=WARN, text=f"{at.place} is asked without TLS",
                       cure="name an address with https, so that nobody between can read logins")
    days = (answer.ends - datetime.now(timezone.utc)).days
    soon = days < DAYS_LEFT
    return Finding(check="certificate", status=WARN if soon else OK,
                   text=f"{at.place} is trusted {by}; it ends on {answer.ends:%Y-%m-%d}",
                   cure=f"have it made anew: {days} days are left" if soon else None)


def _context(at: Address, flags: int = 0) -> ssl.SSLContext:
    """This system's CAs with the file beside them; NetError where that can't be read."""
    context = ssl.create_default_context()
    try:
        if at.ca is not None:
            context.load_verify_locations(cadata=certificates.read(at.ca))
    except FileNotFoundError as error:
        raise NetError(f"the CA's file is missing that {at.trust} names", where=at.ca,
                       todo=f"put its certificate (PEM) there, or correct {at.trust}") from error
    except (OSError, ValueError) as error:
        raise NetError(f"what {at.trust} names is no certificate in PEM form", where=at.ca,
                       todo="have it hold the CA's certificate: -----BEGIN CERTIFICATE-----"
                       ) from error
    context.verify_flags |= ssl.VerifyFlags(flags)
    return context


def _get(at: Address, context: ssl.SSLContext) -> Answer:
    import urllib3
    response = Pools(None, context).at(at.url).request(
        "GET", at.url, headers=HEADERS, redirect=False, retries=False, preload_content=False,
        decode_content=False, timeout=urllib3.Timeout(connect=CONNECT, read=READ))
    try:
        proxied = proxy_for(at.url)
        if response.status == 407 and proxied:
            raise _proxy_refuses(at, proxied, 407)
        return Answer(status=response.status, headers=response.headers, ends=_ends(response),
                      text=response.read(SHOWN).decode(errors="replace"))
    finally:
        bounds.dismiss(response)


def _ends(response: Any) -> datetime | None:
    connection = getattr(response.connection, "sock", None)
    if not isinstance(connection, ssl.SSLSocket):
        return None
    shown = connection.getpeercert() or {}
    return _utc(ssl.cert_time_to_seconds(str(shown["notAfter"]))) if "notAfter" in shown else None


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def _skew(answer: Answer) -> float | None:
    """Seconds by which the server's clock is ahead of ours."""
    try:
        return parsedate_to_datetime(answer.headers.get("Date", "")).timestamp() - time.time()
    except (TypeError, ValueError):
        return None


def _untrusted(at: Address, error: Exception) -> NetError:
    cause = error.args[0] if error.args else None
    if not isinstance(cause, ssl.SSLCertVerificationError):
        return NetError(f"{at.place} speaks no TLS that is understood here: {reason(error)}",
                        where=at.url, todo=f"see that {at.setting} names the port with TLS")
    code, message = cause.verify_code, cause.verify_message
    if code in (TOO_EARLY, TOO_LATE):
        return _out_of_time(at, message)
    if code in OTHER_NAME:
        return NetError(f"the certificate of {at.place} is for another name: {message}",
                        where=at.url,
                        todo=f"name it in {at.setting} as its certificate does, or have one made "
                             "for this name")
    held = f"; {at.ca} holds {_subjects(at.ca)}" if at.ca else ""
    return NetError(f"the certificate of {at.place} is not trusted: {message}{held}", where=at.url,
                    todo=f"set {at.trust} to the certificate (PEM) of the CA that signed it; "
                         f"`openssl s_client -connect {at.place} -showcerts` shows which that is")


def _subjects(ca: Path) -> str:
    """Which CAs a file holds, by their names."""
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    own.load_verify_locations(cadata=certificates.read(ca))
    parts: list[Any] = [part for shown in own.get_ca_certs() for part in shown["subject"]]
    names = [str(value) for part in parts for field, value in part if field == "commonName"]
    return ", ".join(names) or "no CA's certificate"


def _out_of_time(at: Address, message: str) -> NetError:
    """Whose clock is at fault, by the time that the server tells once all else is verified."""
    import urllib3
    try:
        skew = _skew(_get(at, _context(at, NO_CHECK_TIME)))
    except (urllib3.exceptions.HTTPError, OSError):
        skew = None
    what = f"the certificate of {at.place} is not valid at this time: {message}"
    if skew is not None and abs(skew) > MUCH_SKEW:
        return NetError(f"{what}; its server's clock says {_utc(time.time() + skew):%Y-%m-%d %H:%M}"
                        f" UTC, and this one {_utc(time.time()):%Y-%m-%d %H:%M}", where=at.url,
                        todo=SET_CLOCK)
    return NetError(what, where=at.url,
                    todo="have its administrator make it anew; if this machine's clock is wrong, "
                         "set that")


def _unanswered(at: Address, error: Exception) -> NetError:
    """Why there was no answer; a proxy's faults are its own."""
    from urllib3 import exceptions
    proxy, host = proxy_for(at.url), urlsplit(at.url).hostname
    if isinstance(error, exceptions.ProxyError) and proxy:
        refusal = TUNNEL.search(str(error.original_error))
        if refusal:
            return _proxy_refuses(at, proxy, int(refusal[1]))
        return NetError(f"the proxy {urls.shown(proxy)} does not answer: {reason(error)}",
                        where=at.url, todo="correct HTTPS_PROXY, or, where this host is reached "
                                           f"without it, add {host} to NO_PROXY")
    start = f"{at.starts}; or " if at.starts else ""
    kinds = (
        (exceptions.NameResolutionError, f"the name {host} has no address here",
         f"correct {at.setting}, or this machine's DNS (/etc/hosts, /etc/resolv.conf)"),
        (exceptions.NewConnectionError, f"no connection to {at.place}: {reason(error)}",
         f"{start}see that it runs, and that {at.setting} is right"),
        (exceptions.ConnectTimeoutError, f"no connection to {at.place} within {CONNECT:.0f} s",
         f"see that no firewall is between, and that {at.setting} is right; where only a proxy "
         "leads there, set HTTPS_PROXY"),
        (exceptions.ReadTimeoutError, f"{at.place} takes connections and says nothing",
         f"look at its log; see that {at.setting} names the right port"),
        (exceptions.ProtocolError, f"what answers at {at.place} speaks no HTTP as asked: "
         f"{reason(error)}", f"see that {at.setting} names the right port, with or without TLS"))
    what, todo = next(((what, todo) for kind, what, todo in kinds if isinstance(error, kind)),
                      (f"no answer from {at.place}: {reason(error)}", f"correct {at.setting}"))
    return NetError(what, where=at.url, todo=todo)


def _proxy_refuses(at: Address, proxy: str, status: int) -> NetError:
    host, shown = urlsplit(at.url).hostname, urls.shown(proxy)
    if status == 407:
        return NetError(f"the proxy {shown} wants a login, or another one (407)", where=at.url,
                        todo="put it into the proxy's URL: HTTPS_PROXY=http://USER:PASSWORD@HOST:"
                             f"PORT; or, where this host is reached without it, add {host} to "
                             "NO_PROXY")
    return NetError(f"the proxy {shown} lets nothing through to {at.place} ({status})",
                    where=at.url, todo=f"have it allow {at.place}; or, where this host is reached "
                                       f"without it, add {host} to NO_PROXY")


def page_title(text: str) -> str | None:
    """What a web page calls itself, where the answer is one."""
    match = re.search(r"<title[^>]*>([^<]{1,80})", text, re.IGNORECASE)
    return match[1].strip() if match else "a web page" if "<html" in text.lower() else None


def first_words(text: str) -> str:
    """The first words of an answer, or of its JSON's first message."""
    try:
        errors = parsing.from_json(text.encode())["errors"]
        return str(errors[0]["message"])[:200]
    except (ValueError, LookupError, TypeError):
        return " ".join(text.split())[:200]
