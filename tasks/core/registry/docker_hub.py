"""Docker Hub: the host that references name, and the one that answers."""

from __future__ import annotations

DOCKER_HUB, HUB_ADDRESS = "docker.io", "registry-1.docker.io"
