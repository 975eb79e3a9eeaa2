"""The internet's file server: a folder over HTTP/1.1 with byte ranges, each request logged.

    python fileserver.py PORT FOLDER
"""

from __future__ import annotations

import re
import shutil
import sys
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import IO, Any

SERVER = "airlock-files"


class Handler(SimpleHTTPRequestHandler):
    """Files below one folder; no listings."""

    protocol_version = "HTTP/1.1"
    server_version = SERVER

    def do_GET(self) -> None:
        if span := self._range():
            self._part(*span)
        else:
            super().do_GET()

    def list_directory(self, path: Any) -> BytesIO | None:
        self.send_error(HTTPStatus.NOT_FOUND, "there are no listings here")
        return None

    def _range(self) -> tuple[Path, int, int] | None:
        """File, first and last byte of a single satisfiable range (RFC 9110, 14.1.2)."""
        path = Path(self.translate_path(self.path))
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if not asked or asked[0] == "bytes=-" or not path.is_file():
            return None
        size = path.stat().st_size
        if asked[1]:
            first, last = int(asked[1]), min(int(asked[2] or size), size - 1)
        else:
            first, last = max(size - int(asked[2]), 0), size - 1
        return (path, first, last) if first <= last or first >= size else None

    def _part(self, path: Path, first: int, last: int) -> None:
        size = path.stat().st_size
        if first >= size:
            self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        with path.open("rb") as stream:
            self.send_response(HTTPStatus.PARTIAL_CONTENT)
            self.send_header("Content-Type", self.guess_type(str(path)))
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
            self.send_header("Content-Length", str(last - first + 1))
            self.end_headers()
            stream.seek(first)
            self._send(stream, last - first + 1)

    def _send(self, stream: IO[bytes], left: int) -> None:
        while left and (block := stream.read(min(left, 1 << 16))):
            self.wfile.write(block)
            left -= len(block)

    def copyfile(self, source: Any, outputfile: Any) -> None:
        shutil.copyfileobj(source, outputfile, 1 << 16)


def main() -> None:
    port, folder = int(sys.argv[1]), sys.argv[2]
    server = ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, directory=folder))
    server.serve_forever()


if __name__ == "__main__":
    main()
