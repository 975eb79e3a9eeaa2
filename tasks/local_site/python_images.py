"""Images with Python, which chromapipe and the trials of Batch use: made of Debian's Python and of
wheels, since nothing can be pulled. Each says in etc/image what it is and what it stands for.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tasks.core import files, processes
from tasks.core.config.settings import ROOT
from tasks.core.machine_names import architecture
from tasks.local_site import images, packages
from tasks.local_site.images import Files, Image
from tasks.local_site.plan import Plan

CHROMAPIPE = ROOT / "examples/chromapipe"
REQUESTS = Path(__file__).with_name("requests-requirements.txt")
DEBIAN = (
    "libbz2-1.0", "libc6", "libcrypt1", "libexpat1", "libffi8", "libgcc-s1", "liblzma5",
    "libpython3.11-minimal", "libpython3.11-stdlib", "libsqlite3-0", "libssl3", "libstdc++6",
    "libuuid1", "python3.11", "python3.11-minimal", "zlib1g")
"""What Debian 12's Python needs, and the wheels beside."""
SITE = "usr/local/lib/python3.11/dist-packages"
"""Where Debian's Python looks for what pip installs."""
PLATFORMS = {"amd64": ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux2014_x86_64"),
             "arm64": ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64",
                       "manylinux2014_aarch64")}
LINKS: Files = {"usr/bin/python3": "python3.11", "usr/bin/python": "python3.11",
                "usr/local/bin/python3": "/usr/bin/python3.11"}


def fill(plan: Plan) -> list[str]:
    """Push the images that the internet's registry lacks; their references."""
    made_of = files.sha256_bytes("\n".join(
        [*DEBIAN, *(files.sha256(path) for path in (
            Path(__file__), CHROMAPIPE / "requirements.txt", REQUESTS))]).encode())
    return images.push_missing(plan, "python-images", made_of, lambda: _images(plan))


def _images(plan: Plan) -> list[Image]:
    folder = plan.folder("internet") / "python"
    packages.unpack_together(DEBIAN, folder / "debian")
    python = folder / "python.tar"
    files.write_tar(python, folder / "debian", [
        path for path in files.tree(folder / "debian")
        if not path.is_relative_to(folder / "debian/usr/share/doc")])
    chromapipe = _wheels(folder / "chromapipe", CHROMAPIPE / "requirements.txt")
    requests = _wheels(folder / "requests", REQUESTS)

    def image(repository: str, tag: str, what: str, *layers: Path) -> Image:
        links = LINKS if layers else {}
        return Image(repository=repository, tag=tag, form="oci",
                     layers=(*layers, {**images.about(what), **links}))
    stands = "made by nf-airlock's local site to stand for Docker Hub's image of that name"
    return [
        image("quay.io/airlock/ubuntu", "22.04", f"bash and busybox, {stands}"),
        image("quay.io/airlock/python", "3.11", f"Debian's Python 3.11, {stands}", python),
        image("quay.io/airlock/python-requests", "3.11",
              "Debian's Python 3.11 with requests", python, requests),
        image("quay.io/airlock/chromapipe", "1.0",
              "Debian's Python 3.11 with mdtraj and polars", python, chromapipe),
    ]


def _wheels(folder: Path, requirements: Path) -> Path:
    """A layer with what is pinned, for Python 3.11 on this machine's architecture."""
    platforms = [word for name in PLATFORMS[architecture()]
                 for word in ("--platform", name)]

    def install(place: Path) -> None:
        processes.run([sys.executable, "-m", "pip", "install", "--quiet", "--target", place / SITE,
                       "--require-hashes", "--no-deps", "--only-binary", ":all:", "--no-compile",
                       "--implementation", "cp", "--python-version", "3.11", *platforms,
                       "--requirement", requirements])
        for tests in [path for path in place.rglob("tests") if path.is_dir()]:
            shutil.rmtree(tests, ignore_errors=True)
    files.atomic_folder(folder, install)
    tar = folder.with_suffix(".tar")
    files.write_tar(tar, folder, files.tree(folder))
    return tar
