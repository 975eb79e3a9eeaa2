"""Web pages that come with status 200 instead of a file: login pages, captive portals."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

LOOKED_AT = 4096
"""Bytes of a file that are looked at."""
NAMES = (".html", ".htm", ".xhtml", ".shtml")
"""Endings of files that are web pages."""
TODO = ("look at the address in a browser: it may want a login, or the network puts its own page "
        "before it; hosts.urls of the site's config maps it to where the file is to be had")
_PAGE = re.compile(rb"\A(?:\xef\xbb\xbf)?(?:\s|<!--.*?-->|<\?xml[^>]*\?>)*"
                   rb"<(?:!doctype\s+html|html|head|body|title|meta|script)\b",
                   re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(rb"<title[^>]*>([^<]{1,200})</title", re.IGNORECASE)


def instead_of(url: str, begins: bytes) -> str | None:
    """Say that a web page came instead of the file that the web has at `url`; None if none did.

    `begins` are the file's first bytes. The file's own name may say that it is a page.
    """
    parts = urlsplit(url)
    is_page_name = PurePosixPath(unquote(parts.path)).suffix.lower() in NAMES
    if parts.scheme.lower() not in ("http", "https") or is_page_name or not is_page(begins):
        return None
    title = _TITLE.search(begins[:LOOKED_AT])
    text = " ".join(title[1].decode(errors="replace").split()) if title else ""
    titled = f', titled "{text}"' if text.isprintable() and text else ""
    return f"a web page came instead of the file, with status 200{titled}"


def is_page(begins: bytes) -> bool:
    """Whether a file begins as HTML does."""
    return _PAGE.match(begins[:LOOKED_AT]) is not None
