"""What is shown while images move: one view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

SHOWN = """
import time
from tasks.core import progress
from tasks.core.graph import log
log.show(2)
progress.INTERVAL = 0.08
sizes = {"quay.io/a/one:1": 4_000_000, "quay.io/a/two:2": 1_000_000, "docker.io/b:3": 0}
with progress.Progress("mirror sarek", sizes) as shown:
    for name, size in sizes.items():
        for _ in range(10):
            shown.of(name)(size // 10)
            time.sleep(0.04)
print("done")
"""
VIEWED = """
import sys
from tasks.core import activity
from tasks.core.graph import screen, view
mirror = activity.begin("mirror sarek")
shown_by = view.View(sys.stderr, lambda: screen.Status(running=[mirror]), print)
shown_by.start()
""" + SHOWN.replace("print(", "shown_by.stop()\nprint(")


def start(stderr: int, code: str = SHOWN) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2],
                            env={**os.environ, "TERM": "xterm-256color"},
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr)


def test_a_terminal_gets_bars_for_each_image_and_for_all() -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
    process = start(theirs, VIEWED)
    os.close(theirs)
    output = b""
    try:
        while piece := os.read(ours, 65536):
            output += piece
    except OSError:  # Linux ends a terminal without a writer by EIO
        pass
    out, _ = process.communicate()
    os.close(ours)
    assert process.returncode == 0
    assert out == b"done\n"
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", output.decode())
    rows = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
    for name, size in (("mirror sarek", "5.0 MB"), ("quay.io/a/one:1", "4.0 MB"),
                       ("quay.io/a/two:2", "1.0 MB")):
        mine = [row for row in rows if name in row]
        assert any(re.search(rf"\d+\.\d [kM]B of {size}, \d+\.\d [kM]B/s, \d s left", row)
                   for row in mine), mine[-3:]


def test_elsewhere_lines_say_the_same() -> None:
    process = start(subprocess.PIPE)
    out, shown = process.communicate()
    assert out == b"done\n"
    lines = [line.removeprefix(" " * 7) for line in shown.decode().splitlines()]
    assert b"\x1b" not in shown
    assert 4 <= len(lines) <= 30
    assert re.fullmatch(r"mirror sarek: [012] of 3 images, \d.* of 5\.0 MB, .*B/s, \d+ s left",
                        lines[0])
    assert any(re.fullmatch(r"  quay\.io/a/one:1: .* of 4\.0 MB", line) for line in lines)
