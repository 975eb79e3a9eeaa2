"""Docker Hub: as references name it, and where it answers."""

DOCKER_HUB = "docker.io"
HUB_ADDRESS = "registry-1.docker.io"
