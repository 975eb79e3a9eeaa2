"""What both fetching scripts share: files over HTTP, asked for again where a server is away."""

import re
import time
import urllib.error
import urllib.request

MAX_SIZE = 256 << 20
"""Bytes of a file that are taken."""
PASSING = {408, 429, 500, 502, 503, 504}


class FetchError(Exception):
    """A file can't be had, or isn't what was asked for."""


def proteins(words):
    """Accession and file of each word `accession` or `accession=file`; the file may be None."""
    for word in words:
        accession, _, name = word.partition("=")
        if not re.fullmatch(r"[A-Za-z0-9]+", accession):
            raise FetchError(f"{accession!r} is no accession")
        if name in (".", "..") or "/" in name:
            raise FetchError(f"{name!r} is no file's name")
        yield accession, name or None


def at(base, accession):
    """The base without a slash at its end; FetchError where none was given."""
    if not base:
        raise FetchError(f"no file was given for {accession}, and no --base to fetch it from")
    return base.rstrip("/")


def fetch(url, *, retries, timeout):
    """The bytes at a URL; a server that is away or overloaded is asked again, `retries` times."""
    for attempt in range(retries + 1):
        try:
            with urllib.request.urlopen(url, timeout=timeout) as response:
                data = response.read(MAX_SIZE + 1)
            if len(data) > MAX_SIZE:
                raise FetchError(f"{url} has more than {MAX_SIZE} bytes")
            return data
        except urllib.error.HTTPError as error:
            if error.code not in PASSING or attempt == retries:
                raise FetchError(f"{url} answered {error.code} {error.reason}") from error
        except OSError as error:
            if attempt == retries:
                raise FetchError(f"{url} gave no answer: {error}") from error
        time.sleep(min(2 ** attempt, 30))
    raise AssertionError
