"""A layer of any size carried from one server to another, neither of which stores it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

STREAMS = '''
import hashlib, re, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
PIECE = bytes(1 << 20)
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def head(self, status, length, **more):
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in more.items():
            self.send_header(name, value)
        self.end_headers()
    def do_GET(self):
        self.head(200, SIZE)
        for _ in range(SIZE >> 20):
            self.wfile.write(PIECE)
    def do_POST(self):
        self.head(202, 0, Location=self.path + "1")
    def do_PATCH(self):
        left = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, 1 << 20)))
        self.head(202, 0, Location=self.path)
    def do_PUT(self):
        left = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, 1 << 20)))
        self.head(201, 0)
    def log_message(self, *words): pass
SIZE = int(sys.argv[1])
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
'''
CARRY = '''
import json, re, sys
from pathlib import Path
from tasks.core.registry import uploads
from tasks.core.registry.client import Access, Registries
size, digest, url, uploads.LARGE = json.loads(sys.argv[1])
registry = Registries(Access(registries={"it": url}, ca=None, authfile=None)).at("it")
registry.upload("a/b", digest, size, lambda: registry.blob("a/c", digest, size))
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) << 10)
'''


def carry(size: int, large: int) -> tuple[float, int]:
    """Seconds, and the peak memory in bytes of the process that carries; in chunks from `large`."""
    digest = hashlib.sha256()
    for _ in range(size >> 20):
        digest.update(bytes(1 << 20))
    server = subprocess.Popen([sys.executable, "-c", STREAMS, str(size)], stdout=subprocess.PIPE,
                              text=True)
    try:
        port = int(server.stdout.readline()) if server.stdout else 0
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", CARRY, json.dumps(
                [size, f"sha256:{digest.hexdigest()}", f"http://127.0.0.1:{port}", large])],
            capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
        seconds = time.perf_counter() - begun
    finally:
        server.kill()
        server.wait()
    if done.returncode or done.stderr:
        raise RuntimeError(done.stderr)
    return seconds, int(done.stdout)
