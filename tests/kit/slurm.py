"""A stand-in for Slurm on the PATH: sbatch starts a script on this machine, squeue tells of it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import files

PROGRAM = """\
#!{python}
import json, os, re, subprocess, sys
from pathlib import Path

here = Path({folder!r})
name, words = Path(sys.argv[0]).name, sys.argv[1:]
if name == "sbatch":
    text = Path(words[0]).read_text()
    options = re.findall(r"^#SBATCH (.*)$", text, re.M)
    log = next((line.split(maxsplit=1)[1] for line in options if line.startswith("-o ")), None)
    log = log or next(line.split("=")[1] for line in options if line.startswith("--output="))
    with open(log, "wb") as stream:
        job = subprocess.Popen(["bash", words[0]], stdin=subprocess.DEVNULL, stdout=stream,
                               stderr=stream, start_new_session=True)
    (here / f"{{job.pid}}.job").write_text(json.dumps({{
        "options": options, "cwd": os.getcwd(), "script": words[0]}}))
    print(f"Submitted batch job {{job.pid}}")
elif name == "squeue":
    for job in here.glob("*.job"):
        try:
            state = Path(f"/proc/{{job.stem}}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            state = "Z"
        print(job.stem, "CD" if state == "Z" else "R")
elif name == "scancel":
    for word in words:
        if word.isdigit():
            subprocess.run(["kill", "--", f"-{{word}}"])
"""


@dataclass(frozen=True, kw_only=True)
class Slurm:
    """The programs' folder, and what was submitted to them."""

    folder: Path

    def path(self, rest: str) -> str:
        """A PATH on which they are the first."""
        return f"{self.folder}:{rest}"

    def jobs(self) -> list[dict[str, Any]]:
        """Each job's options as its script has them, in the order of their numbers."""
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("*.job"))]


def standin(folder: Path) -> Slurm:
    files.write_text(folder / "sbatch", PROGRAM.format(python=sys.executable, folder=str(folder)),
                     mode=0o755)
    for name in ("squeue", "scancel"):
        (folder / name).symlink_to("sbatch")
    return Slurm(folder=folder)
