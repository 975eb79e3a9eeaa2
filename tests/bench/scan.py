"""How long the scan takes, as a whole process on one core: python tests/bench/scan.py [DIR …].

Without DIR, the source is made here: about the size of a large pipeline (120 modules, each with a
long script, 60 subworkflows, configs). The median of seven runs is printed; the aim is 0.5 s.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES, FLOWS, RUNS = 120, 60, 7
SCRIPT = "    tool view --threads ${task.cpus} -o ${prefix}.out \\$(cat ${list}) | sort -k1,1 'x'\n"


def make(folder: Path) -> None:
    """Write the synthetic pipeline."""
    for number in range(MODULES):
        write(folder / f"modules/m{number}/main.nf", f"""process TOOL_{number} {{
    tag "$meta.id"
    label 'process_medium'
    container "${{ workflow.containerEngine == 'singularity' && !task.ext.pull ?
        'https://depot.example.org/tool:{number}' :
        'biocontainers/tool:{number}' }}"

    input:
    tuple val(meta), path(reads)

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${{meta.id}}"
    \"\"\"
{SCRIPT * 10}    \"\"\"
}}
""")
    for number in range(FLOWS):
        first, second = 2 * number, 2 * number + 1
        body = "".join(f"    ch_{line} = ch.map {{ meta, x -> [meta + [id: 'a'], x] }}\n"
                       for line in range(30))
        write(folder / f"subworkflows/s{number}.nf", f"""
include {{ TOOL_{first} ; TOOL_{first} as AGAIN_{first} }} from '../modules/m{first}'
include {{ TOOL_{second} }} from '../modules/m{second}/main'
workflow FLOW_{number} {{
    take: ch
    main:
{body}}}
""")
    write(folder / "main.nf", "".join(
        f"include {{ FLOW_{number} }} from './subworkflows/s{number}'\n"
        for number in range(FLOWS)))
    write(folder / "nextflow.config", "docker.registry = 'quay.io'\nprocess {\n" + "".join(
        f"    withName: '.*:TOOL_{number}' {{ ext.args = {{ \"--x ${{params.x}}\" }} }}\n"
        for number in range(MODULES)) + "}\n")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def measure(place: Path) -> tuple[float, int]:
    """Median seconds of a whole process on one core, and how many images it listed."""
    core = str(min(os.sched_getaffinity(0)))
    command: list[str | Path] = ["taskset", "-c", core, sys.executable, "-m", "tasks.images.scan",
                                 place.absolute()]
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
        times.append(time.perf_counter() - start)
    return statistics.median(times), len(done.stdout.splitlines())


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        synthetic = Path(temporary) / "synthetic"
        make(synthetic)
        for place in [synthetic, *map(Path, sys.argv[1:])]:
            seconds, images = measure(place)
            print(f"{place.name:<28} {images:>4} images  {seconds:.3f} s")


if __name__ == "__main__":
    main()
