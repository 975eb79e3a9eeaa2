"""batch:perf: what each process waited, staged and ran in each mode, of runs that happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from tasks.batch.trials import MODES
from tasks.core import files
from tasks.core.aws.paths import BatchPaths
from tasks.core.schema import check, read_json

TIMES = {"waited": "#bfbfbf", "staged": "#c0504d", "run": "#4f81bd"}
"""What a job's time goes into, and its colour in the picture."""
LEFT, BAR, WIDTH = 220, 22, 760
"""Pixels of the picture."""


@dataclass(frozen=True, kw_only=True)
class PerfSpec:
    """Whose runs, and where their receipts lie: the last one's in each mode, if there was one."""

    pipeline: str
    at: BatchPaths


def perf(spec: PerfSpec) -> str:
    """Write perf.json and perf.svg, and print the table; what wasn't measured says so."""
    measured = {mode: summary(read_json(path, "batch-trial"))
                for mode in MODES if (path := spec.at.measured(mode)).is_file()}
    files.write_json(spec.at.performance, check({
        "pipeline": spec.pipeline,
        "modes": {mode: measured.get(mode) for mode in MODES}}, "batch-perf",
        where=spec.at.performance))
    files.write_text(spec.at.performance_picture, picture(spec.pipeline, measured))
    print("\n".join(table(measured)))
    missing = [mode for mode in MODES if mode not in measured]
    return (f"{spec.at.performance_picture}"
            + (f"; not measured: {', '.join(missing)}" if missing else ""))


def summary(receipt: Mapping[str, Any]) -> dict[str, Any]:
    """The whole run's seconds, and of each process its jobs and their summed seconds."""
    processes: dict[str, dict[str, Any]] = {}
    for job in receipt["jobs"]:
        name = job["name"].partition(" ")[0].rpartition(":")[2]
        process = processes.setdefault(name, {"jobs": 0, **dict.fromkeys(TIMES)})
        process["jobs"] += 1
        for time in TIMES:
            if job[time] is not None:
                process[time] = round((process[time] or 0) + job[time] / 1000, 3)
    return {"seconds": receipt["seconds"], "processes": processes}


def table(measured: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for each mode and process."""
    rows: list[Sequence[str]] = [("mode", "process", "jobs", *(f"{time} s" for time in TIMES))]
    for mode in MODES:
        if mode not in measured:
            rows.append((mode, "not measured", "", *("" for _ in TIMES)))
            continue
        rows += [(mode, name, str(process["jobs"]), *map(_seconds, map(process.get, TIMES)))
                 for name, process in measured[mode]["processes"].items()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) if column < 2 else cell.rjust(width)
                      for column, (cell, width) in enumerate(zip(row, widths, strict=True))
                      ).rstrip() for row in rows]


def _seconds(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1f}"


def picture(pipeline: str, measured: Mapping[str, Mapping[str, Any]]) -> str:
    """A bar for each process and mode, of what its time went into."""
    bars = [(mode, name, process) for mode in MODES if mode in measured
            for name, process in measured[mode]["processes"].items()]
    longest = max((sum(process[time] or 0 for time in TIMES) for _, _, process in bars),
                  default=0) or 1
    missing = [mode for mode in MODES if mode not in measured]
    height = BAR * (len(bars) + 3) + 20
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
             f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
             f'<text x="8" y="18" font-size="14">{escape(pipeline)}: seconds of each process'
             '</text>']
    for number, (mode, name, process) in enumerate(bars, start=1):
        top, left = BAR * number + 8, float(LEFT)
        parts.append(f'<text x="8" y="{top + 13}">{escape(f"{mode}  {name}")}</text>')
        for time, colour in TIMES.items():
            width = (WIDTH - LEFT - 70) * (process[time] or 0) / longest
            parts.append(f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" '
                         f'height="{BAR - 6}" fill="{colour}"/>')
            left += width
        whole = sum(process[time] or 0 for time in TIMES)
        parts.append(f'<text x="{left + 6:.1f}" y="{top + 13}">{whole:.1f}</text>')
    for number, (time, colour) in enumerate(TIMES.items()):
        x = LEFT + 90 * number
        parts.append(f'<rect x="{x}" y="{height - 40}" width="12" height="12" fill="{colour}"/>'
                     f'<text x="{x + 18}" y="{height - 30}">{time}</text>')
    if missing:
        parts.append(f'<text x="8" y="{height - 10}">not measured: '
                     f'{escape(", ".join(missing))}</text>')
    return "\n".join([*parts, "</svg>", ""])
