"""What stands for an EC2 instance: namespaces with a network, an /opt and an /etc of their own.

Its one address besides loopback is that of the metadata service, where a test may answer; it has
no route anywhere. Only root can make one.
"""

from __future__ import annotations

import ctypes
import email
import os
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.local_site import packages
from tests.kit import machine

ADDRESS = "169.254.169.254"
CLONE_NEWNET = 0x40000000
SETUP = """\
set -e
mount -t tmpfs -o size="$1" tmpfs /opt
mount -t tmpfs tmpfs /mnt
cp -a /etc /mnt/etc
mount --bind /mnt/etc /etc
ip link set lo up
ip address add 169.254.169.254/32 dev lo
echo ready
exec sleep 600
"""
CURL = """\
#!/bin/bash
printf '%s\\n' "$@" >>"{folder}/curl-arguments"
tr '\\0' '\\n' </proc/self/environ >>"{folder}/curl-arguments"
exec {curl} "$@"
"""
"""Notes what any user of the machine could see of curl."""
SLEEP = '#!/bin/sh\necho "$1" >>"{folder}/sleeps"\n'


@dataclass(frozen=True, kw_only=True)
class Instance:
    """The namespaces of a process, and a folder for programs that stand before the real ones."""

    pid: int
    folder: Path

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a program there, with the environment that cloud-init gives scripts: nearly none."""
        return subprocess.run(
            ["nsenter", "--target", str(self.pid), "--net", "--mount", *words], check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=120, env={"PATH": f"{self.folder}:/usr/sbin:/usr/bin:/sbin:/bin"})

    def boot(self, userdata: bytes) -> subprocess.CompletedProcess[str]:
        """Run the shell script of the user data, as cloud-init does."""
        (self.folder / "script").write_text(script(userdata))
        return self.run("bash", self.folder / "script")

    def program(self, name: str, text: str) -> None:
        """Put a program before the real one."""
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o755)

    def listen(self, address: str, port: int) -> socket.socket:
        """A socket that listens there, though this process is elsewhere."""
        listeners: list[socket.socket] = []

        def inside() -> None:
            namespace = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
                listeners.append(socket.create_server((address, port)))
            finally:
                os.close(namespace)

        thread = threading.Thread(target=inside)  # ends here: no other may be in that network
        thread.start()
        thread.join()
        return listeners[0]

    def lines(self, name: str) -> list[str]:
        """What a program that stands before a real one has noted."""
        path = self.folder / name
        return path.read_text().splitlines() if path.is_file() else []


def script(userdata: bytes) -> str:
    """The one part of the user data."""
    parts: Sequence[email.message.Message] = email.message_from_bytes(userdata).get_payload()  # type: ignore[assignment]
    part, = parts
    assert part.get_content_type() == "text/x-shellscript"
    return str(part.get_payload())


@contextmanager
def instance(folder: Path, *, disk: str = "200m") -> Iterator[Instance]:
    """An instance whose /opt has so many bytes; ended by its process id."""
    machine.need("unshare", "nsenter", "ip", "curl")
    machine.need_root()
    folder.mkdir(parents=True)
    process = subprocess.Popen(
        ["unshare", "--mount", "--net", "sh", "-c", SETUP, "sh", disk],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout
        said = process.stdout.readline()
        assert said == "ready\n", said
        ec2 = Instance(pid=process.pid, folder=folder)
        ec2.program("curl", CURL.format(folder=folder, curl=packages.find_program("curl")))
        ec2.program("sleep", SLEEP.format(folder=folder))
        yield ec2
    finally:
        process.kill()
        process.wait(10)
