"""A release that stands ready to be run below the current folder, without a store or an engine."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.in_place import InPlace
from tasks.core.nextflow import installed, launch
from tasks.core.nextflow.environment import Inherited, RunSettings
from tasks.core.nextflow.java import find
from tasks.core.offline_paths import OfflinePaths
from tasks.offline_host.own_configs import OwnConfigs
from tasks.offline_host.run import OwnRunSpec, RunSpec
from tasks.offline_host.run_folder import RunFolder

RELEASE = "1.0-0123456789ab"
LAYOUT = OfflinePaths(site="here", pipeline="weigh")
RUNS = Path("runs")
MAIN = """
process SPLIT {
    publishDir params.outdir, mode: 'copy'
    input: path sheet
    output: path 'stones.txt'
    script: "echo split >> '${params.marks}'; tail -n +2 $sheet > stones.txt"
}
process WEIGH {
    publishDir params.outdir, mode: 'copy'
    input: path stones
    output: path 'weights'
    script: "echo weigh >> '${params.marks}'; test -e '${params.scale}'; \
mkdir weights; wc -c < $stones > weights/all.txt"
}
workflow { WEIGH(SPLIT(file(params.input))) }
"""
"""Two processes of which the second fails until there is a scale; both leave a mark."""


SESSION = "11111111-2222-3333-4444-555555555555"
STUB = f"""\
#!/bin/sh
out= trace= resumed=none
while [ $# -gt 0 ]; do
    case $1 in
    --outdir) out=$2;; -with-trace) trace=$2;; -resume) resumed=$2;;
    esac
    shift
done
mkdir -p .nextflow/cache/{SESSION}/db "$out"
: > .nextflow/cache/{SESSION}/db/LOCK
printf 'now\\t1s\\tsad_name\\t-\\trev\\t{SESSION}\\tnextflow run\\n' >> .nextflow/history
task() {{
    printf '%s\\t' "$1" 11/aabbcc $$ "$2" "$3" "$4" 1 - - - - - 1 - - - - - - "$5" /w >> "$trace"
    printf '%s (a)\\n' "$2" >> "$trace"
}}
printf 'task_id\\t…\\n' > "$trace"
"""
"""A launcher that comes and goes as Nextflow does, with a session, a trace and results of a test's
own words: `task NUMBER PROCESS STATUS EXIT IMAGE`, `$out`, `$resumed`."""


def stub(folder: Path, text: str) -> Path:
    """The launcher that stands in for Nextflow."""
    path = folder / "nextflow-24.10.5/nextflow"
    files.write_text(path, STUB + text)
    path.chmod(0o755)
    java = path.with_name("java")
    files.write_text(java, "#!/bin/sh\necho 'openjdk version \"21.0.8\"' >&2\n")
    java.chmod(0o755)
    return path


def with_nextflow(folder: Path, archive: Path, *, scale: str = "scale") -> None:
    """The same for the real Nextflow of an archive, and a user's sheet and params in `folder`."""
    ready(installed.install(archive, folder / "runtime", home=folder / "nxf",
                            inherited=Inherited.of(os.environ)).launcher)
    files.write_text(folder / "mine.csv", "stone\nbasalt\n")
    files.write_json(folder / "p.json", {"marks": str(folder / "marks"),
                                         "scale": str(folder / scale)})


def ready(launcher: Path, *, main: str = MAIN, kind: str = "test") -> dict[str, Any]:
    """Write what prod:bootstrap leaves; return its receipt."""
    place = LAYOUT.launch.absolute()
    files.write_text(place / "code/main.nf", main)
    files.write_text(place / "code/nextflow.config", "params.outdir = 'out'\nparams.marks = '/dev/"
                     "null'\nparams.scale = '/'\nprofiles { test {}\n offline {} }\n")
    files.write_text(place / "code/sheet.csv", "stone\nbasalt\n")
    files.write_text(place / "host.config", "process.executor = 'local'\n")
    files.write_json(place / "params.json", {"input": str(place / "code/sheet.csv")})
    files.write_json(place / "host.params.json", {})
    (place / "configs").mkdir(exist_ok=True)
    (place / "nxf").mkdir(exist_ok=True)
    files.write_json(LAYOUT.release(RELEASE) / "images.json", {
        "images": [], "processes": [], "selectors": [], "without": []})
    java = launcher.absolute().with_name("java")
    if not java.is_file():
        java = find("24.10.5", Inherited.of(os.environ))
    held = launch.Launch(
        nextflow=installed.Nextflow(launcher=launcher.absolute(), java=java, home=place / "nxf",
                                    inherited=Inherited.of(os.environ)),
        code=place / "code", tree=place / "configs", configs=(place / "host.config",),
        params=place / "params.json", host_params=place / "host.params.json", folder=place)
    receipt = {"pipeline": LAYOUT.pipeline, "release": RELEASE, "nextflow": "24.10.5",
               "profile": "test", "run": kind, "images": [],
               "engine": {"kind": "docker",
                          "environment": {"DOCKER_HOST": f"unix://{place}/none.sock"}},
               "launch": launch.as_json(held), "limits": {"cpus": 2, "memory": 2**31},
               "work": str((LAYOUT.root / "work").absolute())}
    files.write_json(LAYOUT.bootstrap, receipt)
    return receipt


def spec(**changed: Any) -> RunSpec:
    """A run on the test data."""
    made = RunSpec(pipeline=LAYOUT.pipeline, layout=LAYOUT,
                   settings=RunSettings(options="-XX:TieredStopAtLevel=1"),
                   inherited=Inherited.of(os.environ), runs=RUNS, key=None, tool=Path("tool.json"),
                   command={"role": "prod", "pipeline": LAYOUT.pipeline}, place=InPlace(LAYOUT),
                   own_configs=OwnConfigs(), seen=Path("seen"))
    return replace(made, **changed)


def own_spec(input: Path | str | None = None, params: Path | None = None,  # noqa: A002 - its name
             **changed: Any) -> OwnRunSpec:
    """A run on one's own data."""
    test = spec(**changed)
    return OwnRunSpec(**{name: getattr(test, name) for name in test.__dataclass_fields__},
                      input=None if input is None else str(input),
                      params=None if params is None else str(params))


def folders() -> list[RunFolder]:
    """All runs' folders, in the order in which they began."""
    made = [RunFolder(path=path.absolute()) for path in (RUNS / LAYOUT.pipeline).glob("*Z-*")]
    return sorted(made, key=lambda folder: str(json.loads(folder.record.read_bytes())["started"]))
