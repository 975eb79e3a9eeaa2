"""Build the Nextflow plugin nf-airlock-hello with plain javac.

    python build.py --classpath DIR --output nf-airlock-hello-1.0.0.zip

The archive holds what Nextflow unpacks into $NXF_HOME/plugins/<id>-<version>/: compiled classes,
manifest and list of extensions, all below classes/.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "src" / "main" / "java"
RESOURCES = HERE / "src" / "main" / "resources"
# Nextflow 24.10 runs on Java 11 to 23.
JAVA_RELEASE = "11"
# The earliest time that a zip can hold, so that its bytes depend on the sources alone.
ZIP_TIME = (1980, 1, 1, 0, 0, 0)


class BuildError(Exception):
    """The plugin could not be built; the message says why and what to do."""


def build(classpath: Path, javac: str, output: Path) -> None:
    """Compile the plugin and write it to `output`, a zip archive.

    `classpath` is the folder with the jars of the Nextflow runtime, `javac` the compiler (a name
    on the PATH or a path; JDK 11 or later). The same sources and compiler give the same bytes.

    Raises BuildError when a jar or the compiler is missing, or a source doesn't compile.
    """
    with tempfile.TemporaryDirectory(prefix="nf-airlock-hello-") as scratch:
        classes = Path(scratch) / "classes"
        compile_sources(classpath, javac, classes)
        members = {f"classes/{name}": data for name, data in files_below(classes).items()}
    members |= {f"classes/{name}": data for name, data in files_below(RESOURCES).items()}
    write_zip(members, output)


def compile_sources(classpath: Path, javac: str, classes: Path) -> None:
    """Compile all sources against the jars in `classpath` into the folder `classes`."""
    if not any(classpath.glob("nextflow-*.jar")):
        raise BuildError(
            f"{classpath} holds no nextflow-*.jar: name the folder of the runtime's jars"
        )
    command = [javac, "--release", JAVA_RELEASE, "-encoding", "UTF-8"]
    # pf4j's annotation processor would write a second extensions.idx.
    command += ["-proc:none", "-classpath", f"{classpath}/*", "-d", str(classes)]
    command += sorted(str(source) for source in SOURCES.rglob("*.java"))
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BuildError(
            f"Cannot run the Java compiler {javac}: {error.strerror}. "
            "Install a JDK, 11 or later (on Debian: apt-get install default-jdk-headless)"
        ) from error
    if done.returncode != 0:
        raise BuildError(f"{javac} failed with exit code {done.returncode}:\n{done.stderr.strip()}")


def files_below(folder: Path) -> dict[str, bytes]:
    """The content of each file below `folder`, by its path relative to it."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def write_zip(members: dict[str, bytes], output: Path) -> None:
    """Write `members` (content by name) to a zip whose bytes depend on nothing else."""
    output.parent.mkdir(parents=True, exist_ok=True)
    part = output.with_name(f".{output.name}.part")
    try:
        with zipfile.ZipFile(part, "w") as archive:
            for name in sorted(members):
                info = zipfile.ZipInfo(name, ZIP_TIME)
                info.external_attr = 0o644 << 16
                archive.writestr(info, members[name])
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Build the Nextflow plugin nf-airlock-hello.")
    parser.add_argument("--classpath", type=Path, required=True, help="folder of Nextflow's jars")
    parser.add_argument("--output", type=Path, required=True, help="the zip to write")
    parser.add_argument("--javac", default="javac", help="the Java compiler (default: on the PATH)")
    options = parser.parse_args(argv)
    try:
        build(options.classpath, options.javac, options.output)
    except (BuildError, OSError) as error:
        print(f"build.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
