"""The image of a job that wants for nothing but a CLI: bash and coreutils of this machine.

It is made here, since nothing can be pulled on the local site, and removed with the block.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.batch import shared_libraries
from tasks.batch.shared_libraries import LOADER
from tasks.core import files, processes

if TYPE_CHECKING:
    from docker import DockerClient

PROGRAMS = ("bash", "cat", "mkdir", "readlink", "sh", "tee", "wc")
REPOSITORY = "airlock/explore"


@contextmanager
def imported(client: DockerClient, folder: Path) -> Iterator[str]:
    """Make the image of what is copied into `folder`, and yield its id."""
    root = folder / "root"
    _fill(root)
    files.write_tar(folder / "root.tar", root, files.tree(root))
    tag = files.sha256(folder / "root.tar")[:12]
    client.api.import_image_from_file(str(folder / "root.tar"), repository=REPOSITORY, tag=tag)
    reference = f"{REPOSITORY}:{tag}"
    try:
        yield reference
    finally:
        client.images.remove(reference, force=True)


def _fill(root: Path) -> None:
    """Copy the programs to /bin, and their libraries to where these lie here."""
    places = [Path(processes.find(name, todo=f"install {name} (Debian: coreutils, bash)"))
              for name in PROGRAMS]
    for place in places:
        _copy(place, root / "bin" / place.name)
    for name, library in shared_libraries.needed(places).items():
        # The loader's place stands in each program, that of the others is looked up by their name.
        _copy(Path(library), root / library.lstrip("/") if name == LOADER
              else (root / library.lstrip("/")).with_name(name))
    files.write_text(root / "tmp/.keep", "")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o755)
