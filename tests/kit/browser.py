"""Pages in a real Chromium without a window: what they ask for, what fails, and how wide they get.
"""

from __future__ import annotations

import html
import json
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.kit import machine

LIMIT = 60
"""Seconds that a page may take."""
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-default-apps", "--disable-domain-reliability", "--enable-logging=stderr",
         "--allow-file-access-from-files", "--virtual-time-budget=5000")
OWN = re.compile(
    rb"\w+ (?:http://)?(?:clients2\.google|update\.googleapis|accounts\.google|www\.google|"
    rb"content-autofill\.googleapis|optimizationguide-pa\.googleapis|"
    rb"redirector\.gvt1)\.com[:/ ]")
"""What a browser asks its maker for, whichever page it shows."""
FRAME = r"""<!DOCTYPE html><meta charset="utf-8"><iframe src="{page}" width="{width}" height="900">
</iframe><pre id="answer"></pre><script>
addEventListener("load", () => {{
  const frame = document.querySelector("iframe"), page = frame.contentDocument;
  const type = (field, text) => {{
    field.value = text;
    field.dispatchEvent(new frame.contentWindow.Event("input"));
  }};
  const seen = (element) => element.getClientRects().length > 0;
  const shown = (name) => [...page.querySelectorAll(`table[data-search="${{name}}"] tbody tr`)]
    .filter(seen).map((row) => row.cells[0].innerText);
  const print = () => {{
    for (const {{ media }} of [...page.styleSheets].flatMap((sheet) => [...sheet.cssRules])) {{
      if (media?.mediaText === "print") media.mediaText = "all";
      else if (media?.mediaText.startsWith("screen")) media.mediaText = "not all";
    }}
    frame.contentWindow.dispatchEvent(new frame.contentWindow.Event("beforeprint"));
  }};
  const torn = (cell) => {{
    const walker = page.createTreeWalker(cell, NodeFilter.SHOW_TEXT), range = page.createRange();
    while (walker.nextNode()) {{
      for (const word of walker.currentNode.data.matchAll(/(?<!\S)\S{{2,12}}(?!\S)/g)) {{
        range.setStart(walker.currentNode, word.index);
        range.setEnd(walker.currentNode, word.index + word[0].length);
        if (new Set([...range.getClientRects()].map((line) => line.top)).size > 1) return true;
      }}
    }}
    return false;
  }};
  const cut = () => [...page.querySelectorAll("th, td")].filter(seen).filter((cell) =>
    cell.scrollWidth > cell.clientWidth + 1 || torn(cell)).map((cell) => cell.innerText);
  document.querySelector("#answer").textContent = JSON.stringify((() => {{ {script} }})());
}});
</script>"""


@contextmanager
def proxy() -> Iterator[tuple[str, list[bytes]]]:
    """A proxy that answers nobody, and what it was asked for."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    line = connection.recv(4096).partition(b"\r\n")[0]
                if line and not OWN.match(line):
                    asked.append(line)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}", asked
        server.shutdown(socket.SHUT_RDWR)
        thread.join(LIMIT)


class Answer:
    """What a script has returned, what the browser's console said, and what was asked for."""

    def __init__(self, value: Any, console: list[str], requests: list[bytes]) -> None:
        self.value, self.console, self.requests = value, console, requests


def ask(page: Path, script: str, *, width: int, folder: Path, dark: bool = False) -> Answer:
    """Open a page `width` pixels wide, and run the body of a function beside it.

    It has `page`, the document; `frame`; `type(field, text)`; `seen(element)`; `shown(table)`, the
    first cells of the rows that are seen; `print()`, after which the page is styled as on paper;
    and `cut()`, the cells whose text doesn't fit, or that have no room for a short word.
    """
    machine.need("chromium")
    frame = folder / "frame.html"
    frame.write_text(FRAME.format(page=page.absolute().as_uri(), width=width, script=script))
    with proxy() as (address, requests):
        ran = subprocess.run(
            ["chromium", *QUIET, *(["--force-dark-mode"] if dark else []),
             f"--proxy-server=http://{address}",
             f"--user-data-dir={folder / 'profile'}", "--window-size=1500,1000", "--dump-dom",
             frame.absolute().as_uri()], capture_output=True, text=True, timeout=LIMIT, check=True)
    said = re.search('<pre id="answer">(.*?)</pre>', ran.stdout, re.DOTALL)
    assert said, ran.stdout[:2000]
    return Answer(json.loads(html.unescape(said[1])),
                  [line for line in ran.stderr.splitlines() if "CONSOLE" in line], requests)
