"""A host's limits: the machine's, or less where control groups say so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.nextflow import machine

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
GIB = 1 << 30


def root(tmp_path: Path, cgroup: str, **limits: str) -> Path:
    files.write_text(tmp_path / "proc/self/cgroup", cgroup)
    for path, text in limits.items():
        files.write_text(tmp_path / "sys/fs/cgroup" / path.replace("__", "/").replace("_x_", "."),
                         text + "\n")
    return tmp_path


def test_without_groups_it_is_the_machine(tmp_path: Path) -> None:
    assert machine.limits(tmp_path) == machine.Limits(cpus=len(os.sched_getaffinity(0)),
                                                memory=MACHINE * 9 // 10)


@pytest.mark.parametrize(("cgroup", "limits"), [
    ("0::/job/step\n", {"job__memory_x_max": str(GIB), "job__cpu_x_max": "50000 100000"}),
    ("0::/job/step\n", {"job__step__memory_x_max": str(GIB), "job__memory_x_max": "max",
                        "memory_x_max": str(2 * GIB), "job__step__cpu_x_max": "90000 100000"}),
    ("0::/../../elsewhere\n", {"memory_x_max": str(GIB), "cpu_x_max": "100000 100000"}),
    ("4:memory:/job\n3:cpu,cpuacct:/job\n", {
        "memory__job__memory_x_limit_in_bytes": str(GIB),
        "cpu,cpuacct__job__cpu_x_cfs_quota_us": "1000",
        "cpu,cpuacct__job__cpu_x_cfs_period_us": "100000"})])
def test_the_least_of_the_groups_around_holds(tmp_path: Path, cgroup: str,
                                              limits: dict[str, str]) -> None:
    assert machine.limits(root(tmp_path, cgroup, **limits)) == machine.Limits(
        cpus=1, memory=GIB * 9 // 10)


def test_no_limit_is_none(tmp_path: Path) -> None:
    here = root(tmp_path, "0::/job\n1:cpu:/job\n", job__memory_x_max="max",
                job__cpu_x_max="max 100000", cpu__job__cpu_x_cfs_quota_us="-1",
                cpu__job__cpu_x_cfs_period_us="100000")
    assert machine.limits(here) == machine.limits(tmp_path / "nowhere")
