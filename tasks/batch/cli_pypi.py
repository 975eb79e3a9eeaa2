"""An AWS CLI made on this machine: PyPI's awscli, with this machine's Python and C library.

It is for the local site and for tests; AWS's own CLI, which production takes, is in no package
registry. `bin/aws` starts Python by the C library's own loader, told to look in the bundle's `lib`
alone (ld.so(8): --library-path, --inhibit-cache), so it runs wherever there is a shell: in an
image with an older glibc, or with none.
"""

from __future__ import annotations

import platform
import shutil
import sys
import sysconfig
from pathlib import Path

from tasks.batch import shared_libraries
from tasks.batch.mounted import FOLDER
from tasks.batch.shared_libraries import LOADER
from tasks.core import files, processes
from tasks.core.errors import HostError
from tasks.core.net import pip

REQUIREMENTS = Path(__file__).with_name("requirements-awscli.txt")
"""Where jobs see the bundle, as tracebacks name its files."""
LEFT_OUT = {"site-packages", "dist-packages", "__pycache__", "test", "tests", "idlelib", "lib2to3",
            "tkinter", "turtledemo", "ensurepip", "distutils", "pydoc_data"}
"""Folders of Python's library that the CLI doesn't import; so is what `config-…` holds."""
LEFT_OUT_MODULES = ("_test", "_tkinter", "_curses", "_gdbm", "_dbm", "readline", "nis",
                    "ossaudiodev", "_xx", "xx")
"""How extension modules begin that it doesn't import, and whose libraries a machine may lack."""
EXAMPLES = "awscli/examples"
"""What `aws help` shows: a sixth of the whole."""

AWS = """\
#!/bin/sh
# Starts the AWS CLI with the Python and the C library beside it, wherever this folder lies.
here=$(readlink -f "$0") || exit 127
root=${here%/bin/aws}
exec "$root/lib/ld.so" --inhibit-cache --library-path "$root/lib" \\
    "$root/python/bin/python3" -I -S -X utf8 "$root/start.py" "$@"
"""
START = """\
import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/packages")
from awscli.clidriver import main

sys.exit(main())
"""


def build(folder: Path, index: str | None) -> None:
    """Fill the folder with bin/aws and all that it needs; `index` is as in pip.fetch().

    SourceError where a package can't be had or is another than was pinned; HostError where this
    machine's Python can't be carried.
    """
    if platform.libc_ver()[0] != "glibc":
        raise HostError("the AWS CLI can't be made here: this machine's Python is not built for "
                        "glibc", todo="set batch.cli to AWS's own CLI: source, version, sha256")
    pip.fetch(["install", "--no-compile", "--target", folder / "packages"],
              REQUIREMENTS.read_text(), index=index, what="the AWS CLI", where=REQUIREMENTS)
    shutil.rmtree(folder / "packages" / EXAMPLES)
    shutil.rmtree(folder / "packages/bin", ignore_errors=True)  # scripts that start another Python
    _copy_python(folder / "python")
    _copy_libraries(folder)
    files.write_text(folder / "start.py", START)
    files.write_text(folder / "bin/aws", AWS, mode=0o755)
    _compile(folder)


def _copy_python(target: Path) -> None:
    """Copy the interpreter that runs this, with its library but without installed packages."""
    library = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(library, target / "lib" / library.name, ignore=_left_out)
    interpreter = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    (target / "bin").mkdir()
    shutil.copyfile(interpreter, target / "bin/python3")
    (target / "bin/python3").chmod(0o755)


def _left_out(_: str, names: list[str]) -> set[str]:
    return {name for name in names if name in LEFT_OUT or name.startswith("config-")
            or (name.endswith(".so") and name.startswith(LEFT_OUT_MODULES))}


def _copy_libraries(folder: Path) -> None:
    """Copy the shared libraries that Python, its modules and the packages load, and the loader."""
    (folder / "lib").mkdir()
    programs = [folder / "python/bin/python3", *sorted(folder.rglob("*.so"))]
    for name, place in shared_libraries.needed(programs).items():
        shutil.copyfile(place, folder / "lib" / name)
    (folder / "lib" / LOADER).chmod(0o755)


def _compile(folder: Path) -> None:
    """Compile all modules, so that no start does; the bytes don't depend on time or place."""
    processes.run(
        [sys.executable, "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash",
         "-s", folder, "-p", FOLDER, folder / "python", folder / "packages"],
        env={"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0"})
