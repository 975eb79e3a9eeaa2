"""What a processor is called: by its kernel (uname -m), and by images (OCI image specification)."""

from __future__ import annotations

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""The architecture of images by the kernel's name."""
MACHINES = {f"linux/{architecture}": machine for machine, architecture in ARCHITECTURES.items()}
"""The kernel's name by an image's platform."""


def architecture() -> str:
    """This machine's architecture, as images name it."""
    import platform
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)
