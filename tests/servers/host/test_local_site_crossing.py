"""The local site's crossing: a tool that is taken from the store and run on the offline host."""

from __future__ import annotations

import json
import logging
import os
import pickle
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.errors import CommandError
from tasks.core.paths import PipelinePaths
from tasks.local_site import cross, servers
from tasks.local_site.plan import Plan, SiteSpec
from tests.kit.local_site import inside


def dummy_tool(spec: SiteSpec, part: Plan, doit: str) -> cross.CrossSpec:
    """A signed tool in the store whose ./doit is `doit`, and the receipts of its push."""
    site, at = spec.site, PipelinePaths(site=spec.site.name, pipeline="hello")
    place = Path(site.store.url) / "tool/abc"
    place.mkdir(parents=True, exist_ok=True)
    program = part.root / "doit"
    program.write_text(f"#!/bin/sh\nset -eu\n{doit}\n")
    program.chmod(0o755)
    with tarfile.open(place / "airlock.tar", "w") as archive:
        archive.add(program, "doit")
    if not site.signing.key.exists():
        site.signing.key.parent.mkdir(parents=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", site.signing.key],
                       check=True)
    (place / "airlock.tar.sig").unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", site.signing.key, "-n", "airlock-tool",
                    place / "airlock.tar"], check=True, capture_output=True)
    for path, name, keys in (
            (at.of_site.tool_receipt, "tool", ("tool/abc/airlock.tar",)),
            (at.push_receipt("release"), "release", ("releases/hello/dev-1/SHA256SUMS",
                                                     "releases/hello/current.json"))):
        files.write_json(path, {"store": site.store.url, "part": name, "objects": [
            {"key": key, "size": 1, "sha256": "0" * 64} for key in keys]})
    return cross.CrossSpec(
        pipeline="hello", layout=at, key=site.signing.key, identity=site.signing.identity,
        store=site.store, offline_store=site.offline.store, trust=site.offline.trust,
        engine=None)


def test_a_crossing_leaves_results_and_what_was_out_of_reach(
        spec: SiteSpec, part: Plan, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tasks")
    asked = dummy_tool(spec, part, 'r=runs/hello/20260102T030405Z-test/results; '
                                   'mkdir -p $r/a work; echo "$@" > work/words; pwd; '
                                   'ln -s "$PWD/work/words" $r/a/words')
    said = cross.cross(asked)
    assert "1 results in build/local/sandbox/host/disk/hello/airlock/runs/hello/" in said
    receipt = json.loads(asked.layout.crossing.read_bytes())
    text = b"role=prod tool=abc site=local pipeline=hello\n"
    assert receipt["results"] == [{"path": "a/words", "sha256": files.sha256_bytes(text),
                                   "size": len(text)}]
    assert (receipt["isolated"], receipt["release"], receipt["tool"]) == (True, "dev-1", "abc")
    assert receipt["probes"]
    assert all(probe["refused"] for probe in receipt["probes"])
    assert receipt["probed_during_run"] is False  # no Nextflow was at work
    assert "made after its run, which was too short, were refused" in said
    assert 'hello offline | Good "airlock-tool" signature for airlock' in caplog.text
    assert "hello offline | /home/airlock/hello/airlock" in caplog.text


def test_a_failure_on_the_other_side_is_shown_and_leaves_no_receipt(spec: SiteSpec,
                                                                    part: Plan) -> None:
    asked = dummy_tool(spec, part, "echo the disk is full >&2; exit 7")
    asked.layout.crossing.unlink(missing_ok=True)
    with pytest.raises(CommandError, match="failed on the offline host") as failed:
        cross.cross(asked)
    assert failed.value.status == 7
    assert "the disk is full" in str(failed.value)
    assert not asked.layout.crossing.exists()


def test_a_changed_tool_and_a_foreign_key_are_refused(spec: SiteSpec, part: Plan,
                                                      tmp_path: Path) -> None:
    asked = dummy_tool(spec, part, "touch /home/airlock/it-ran")
    with (Path(spec.site.store.url) / "tool/abc/airlock.tar").open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(CommandError, match="Could not verify signature"):
        cross.cross(asked)
    foreign = tmp_path / "foreign"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", foreign], check=True)
    with pytest.raises(CommandError, match="Could not verify signature"):
        cross.cross(replace(asked, key=foreign))
    assert not (part.disk / "it-ran").exists()


def test_a_crossing_that_was_killed_leaves_nothing_at_work(spec: SiteSpec, part: Plan) -> None:
    asked = dummy_tool(spec, part, "touch started; exec sleep 4321")
    asked.layout.crossing.unlink(missing_ok=True)
    with subprocess.Popen(
            [sys.executable, "-c", "import pickle, sys; from tasks.local_site import cross; "
                                   "cross.cross(pickle.load(sys.stdin.buffer))"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())}) as process:
        assert process.stdin
        process.stdin.write(pickle.dumps(asked))
        process.stdin.close()
        while not (part.disk / "hello/airlock/started").exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
    assert "4321" in inside(spec, "ps ax")
    assert servers.up(spec) == "started: offline host"
    assert "4321" not in inside(spec, "ps ax")
    assert not asked.layout.crossing.exists()
