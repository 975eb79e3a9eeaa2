"""What Nextflow's `docker` asks of an engine, and the rules that a launch puts before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks.core.engine.create import Rules

IMAGE = "registry.example.org:5443/quay.io/a/tool@sha256:" + "a" * 64
MINE, OTHERS = "1" * 64, "2" * 64
RULES = Rules(images=frozenset([IMAGE]), launch=Path("/b/launch"), writable=Path("/b/launch/room"),
              user="7:8")
ASKED: dict[str, Any] = {
    "Hostname": "", "Domainname": "", "User": "0:0", "AttachStdin": True, "AttachStdout": True,
    "AttachStderr": True, "Tty": False, "OpenStdin": True, "StdinOnce": True,
    "Env": ["NXF_DEBUG=0"], "Cmd": ["/bin/bash", "-c", "x"], "Image": IMAGE, "Volumes": {},
    "WorkingDir": "/b/launch/room/work/ab/cd", "Entrypoint": None, "OnBuild": None, "Labels": {},
    "HostConfig": {
        "Binds": ["/b/launch:/b/launch"], "ContainerIDFile": "",
        "LogConfig": {"Type": "", "Config": {}}, "NetworkMode": "default", "PortBindings": {},
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "AutoRemove": False,
        "ConsoleSize": [0, 0], "CapAdd": None, "CapDrop": None, "Dns": [], "IpcMode": "",
        "OomScoreAdj": 0, "Privileged": False, "SecurityOpt": None, "CpuShares": 1024,
        "Memory": 1 << 30, "MemorySwappiness": -1, "PidsLimit": 0, "MaskedPaths": None},
    "NetworkingConfig": {"EndpointsConfig": {"default": {"IPAMConfig": None, "GwPriority": 0}}}}
"""As Docker's client 28 asks for a task of Nextflow 24.10, in part."""
