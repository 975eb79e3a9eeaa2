"""Docker Hub, as references name it, and where it answers."""

from __future__ import annotations

DOCKER_HUB, HUB_ADDRESS = "docker.io", "registry-1.docker.io"
