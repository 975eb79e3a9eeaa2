"""What both fetching scripts share: options, and files that are given or fetched over HTTP."""

import argparse
import re
import time
import urllib.error
import urllib.request
from pathlib import Path

MAX_SIZE = 256 << 20
"""Bytes of a file that are taken."""
PASSING = {408, 429, 500, 502, 503, 504}


class FetchError(Exception):
    """A file can't be had, or isn't what was asked for."""


def options(about):
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--base")
    parser.add_argument("--given", type=Path, required=True)
    parser.add_argument("--retries", type=int, default=3)
    parser.add_argument("--timeout", type=float, default=30)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("proteins", nargs="+", metavar="ACCESSION[=FILE]")
    return parser.parse_args()


def contents(chosen, name):
    """Each protein's accession with its file: the one that is given, else <base>/<name>."""
    for accession, given in proteins(chosen.proteins):
        if given:
            yield accession, (chosen.given / given).read_bytes()
        elif chosen.base:
            url = f"{chosen.base.rstrip('/')}/{name.format(accession=accession)}"
            yield accession, fetch(url, retries=chosen.retries, timeout=chosen.timeout)
        else:
            raise FetchError(f"no file was given for {accession}, and no --base to fetch it from")


def proteins(words):
    """Accession and file of each word `accession` or `accession=file`; the file may be None."""
    for word in words:
        accession, _, name = word.partition("=")
        if not re.fullmatch(r"[A-Za-z0-9]+", accession):
            raise FetchError(f"{accession!r} is no accession")
        if name in (".", "..") or "/" in name:
            raise FetchError(f"{name!r} is no file's name")
        yield accession, name or None


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
