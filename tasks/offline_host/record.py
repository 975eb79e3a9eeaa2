"""run.json of a run: written when it begins, so that a killed one is known, and when it ends."""

from __future__ import annotations

import logging
import os
import platform
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tasks.core import files, ownership, processes
from tasks.core.errors import AirlockError, CommandError
from tasks.core.nextflow import failures, java
from tasks.core.nextflow.launch import Launch
from tasks.core.offline_paths import OfflinePaths
from tasks.core.schema import check
from tasks.core.trust import checksums, promotions, signature
from tasks.offline_host import (
    at_work,
    continuing,
    ran_images,
    results,
    run_folder,
    run_page,
    run_tasks,
    runs,
)
from tasks.offline_host.continuing import Asked
from tasks.offline_host.ran_images import RunEngine
from tasks.offline_host.results import Results
from tasks.offline_host.run_folder import RunFolder

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Records:
    """Where runs are kept, and what every record says of this site, host and command.

    `key` signs the records, where there is one.
    """

    runs: Path
    key: Path | None
    site: str
    tool: str | None
    command: Mapping[str, str]


class OpenRun:
    """A run that is under way, with its record."""

    def __init__(self, folder: RunFolder, record: dict[str, Any], key: Path | None,
                 engine: RunEngine, session: str | None) -> None:
        self.folder, self.record, self.session = folder, record, session
        self._key, self._engine = key, engine
        self._results: Results | None = None
        self._is_settled = False
        self._settling = threading.Lock()

    def results(self) -> Results:
        """All results, which are read once."""
        if self._results is None:
            self._results = results.listed(self.folder.results)
        return self._results

    def end(self, state: str, *, status: int | None = None,
            error: Exception | None = None) -> None:
        """Write how it ended, what it made, its page, and the signed list of that."""
        if not self._settle():
            return
        ran = run_tasks.tasks(self.folder.trace)
        known = self._engine.images(task["container"] for task in ran if task["container"])
        images = [{"reference": name, "id": image.id, "digests": [*image.digests],
                   "why_not": image.why_not} for name, image in known.items()]
        process = run_tasks.failed_process(_why(error), ran) if error else None
        made = self.results()
        self._write(state, ran, images=images, results=[*made.files],
                    unlisted=[*made.unlisted],
                    outcome={"state": state, "status": status, "process": process})
        if made.unlisted:
            logger.warning("%d of the results can't be listed, as %s says", len(made.unlisted),
                           self.folder.record)
        if made.links:
            logger.warning("%d of the results are links to elsewhere, and last as long as what "
                           "they lead to: keep the work folder, or pack them by prod:export",
                           made.links)
        has_page = run_page.write(self.folder, self.record, _why(error) if error else ())
        self._seal(made, has_page)

    def interrupted(self) -> None:
        """Write that it was interrupted: quickly, since the program is about to end."""
        if self._settle():
            self._write(runs.INTERRUPTED, run_tasks.tasks(self.folder.trace))
            run_page.write(self.folder, self.record)

    def _settle(self) -> bool:
        """Whether nobody has said yet how it ended: an interrupt makes a run fail, too."""
        with self._settling:
            is_first, self._is_settled = not self._is_settled, True
        return is_first

    def _write(self, state: str, ran: list[dict[str, Any]], **more: Any) -> None:
        self.record |= {"tasks": ran, "ended": _now(),
                        "session": at_work.session_of(self.folder.launch),
                        "outcome": {"state": state, "status": None, "process": None}, **more}
        write(self.folder, self.record)

    def _seal(self, made: Results, has_page: bool) -> None:
        """Write SHA256SUMS, and sign it; what the run made is kept where that can't be done."""
        own = [self.folder.record, *([self.folder.page] if has_page else [])]
        listed = checksums.format_sums({
            **{path.name: files.sha256(path) for path in own}, **made.digests})
        files.write_bytes(self.folder.sums, listed)
        if self._key is None:
            return
        try:
            files.write_bytes(self.folder.signature,
                              signature.sign(self._key, listed, namespace=signature.RUN))
        except AirlockError as error:
            logger.warning("the run's record is NOT SIGNED: %s", error)


def write(folder: RunFolder, record: dict[str, Any]) -> None:
    """Write a run's record, whole or not at all."""
    files.write_json(folder.record, check(record, "run", where=folder.record))


@contextmanager
def recorded(run: OpenRun) -> Iterator[None]:
    """Note how the block ends: well, by an error, or by an interrupt."""
    with processes.at_interrupt(run.interrupted):
        try:
            yield
        except Exception as error:
            _end_failed(run, error)
            raise
        except BaseException:
            run.interrupted()
            raise
        run.end("success", status=0)


def _end_failed(run: OpenRun, error: Exception) -> None:
    """Note that it failed; where that can't be noted, why it failed is still what is raised."""
    try:
        run.end("failed", status=error.status if isinstance(error, CommandError) else None,
                error=error)
    except (AirlockError, OSError) as fault:
        logger.warning("the run's record can't be written: %s", fault)


def _why(error: Exception) -> list[str]:
    """The lines that say why a run failed: those that Nextflow has printed, if it came so far.

    Commands are left out: others may read the page, and it goes back to the online side.
    """
    if isinstance(error, CommandError) and error.tail:
        return failures.without_commands(error.tail)
    text = str(error) if isinstance(error, AirlockError) else f"{type(error).__name__}: {error}"
    return text.splitlines()


def begin(records: Records, asked: Asked, receipt: Mapping[str, Any], ready: Launch, *,
          params: Mapping[str, Any], promotion: Path, work: str) -> OpenRun:
    """Make a run's folder and write its record; the session of the one before moves into it.

    ConfigError or HostError where it must not begin, and then nothing was made.
    """
    if records.key is not None:
        signature.sign(records.key, b"", namespace=signature.RUN)  # not only after hours
    kind = receipt["engine"]["kind"]
    placed = OfflinePaths(site=records.site, pipeline=asked.pipeline).release(asked.release)
    engine = ran_images.asked(receipt, placed, ready.nextflow.inherited.path)
    record = _record(records, asked, receipt, ready, promotion=promotion, work=work,
                     engine={kind: _version(engine)})
    with files.locked(_lock(records.runs)):
        known, _ = runs.all_runs(records.runs)
        continuing.hold_outdir(asked, records.runs, known)
        earlier = continuing.before(asked, known)
        session = at_work.session_of(earlier.folder.launch) if earlier else None
        now = datetime.now(timezone.utc)
        folder = run_folder.make(records.runs, asked.pipeline, asked.name, now)
        try:
            record |= {"name": folder.name, "started": run_folder.stamp(now),
                       "continues": earlier.folder.name if earlier else None}
            files.write_json(folder.params, params, mode=0o600)
            record["params"] = files.sha256(folder.params)
            if asked.outdir is not None:
                asked.outdir.mkdir(parents=True, exist_ok=True)
                folder.results.symlink_to(asked.outdir)
            write(folder, record)
            if earlier:
                os.replace(earlier.folder.launch, folder.launch)
        except BaseException:
            shutil.rmtree(folder.path, ignore_errors=True)
            raise
    run_page.write(folder, record)  # a run that is killed leaves this one
    if earlier and earlier.was_killed:
        run_page.write_interrupted(earlier, session)
    return OpenRun(folder, record, records.key, engine, session)


def _record(records: Records, asked: Asked, receipt: Mapping[str, Any], ready: Launch, *,
            promotion: Path, work: str, engine: Mapping[str, str | None]) -> dict[str, Any]:
    """What is known of a run before it has a folder."""
    uid = os.geteuid()
    return {
        "kind": "run", "pipeline": asked.pipeline, "run": asked.run,
        "profile": asked.profile, "site": records.site, "tool": records.tool,
        "release": {"id": asked.release, "promotion": _promotion(promotion)},
        "inputs": {"sheet": asked.sheet, "params": asked.params},
        "command": dict(records.command),
        "configs": [{"path": run_folder.in_utf8(path), "sha256": files.sha256(path)}
                    for path in ready.configs],
        "images": [], "tasks": [],
        "versions": {"nextflow": receipt["nextflow"], **engine,
                     "java": java.version_of(ready.nextflow.java)},
        "host": {"name": at_work.this_host(), "cpus": receipt["limits"]["cpus"],
                 "memory": receipt["limits"]["memory"],
                 "system": f"{platform.system()} {platform.release()} {platform.machine()}"},
        "user": {"name": ownership.user_name(uid), "id": uid}, "ended": None,
        "process": at_work.this_process(), "session": None, "work": work,
        "outdir": None if asked.outdir is None else run_folder.in_utf8(asked.outdir),
        "outcome": {"state": "running", "status": None, "process": None}, "results": None,
        "unlisted": []}


def _promotion(path: Path) -> dict[str, Any] | None:
    """By which promotion a release came here, as far as prod:fetch has left it."""
    promotion = promotions.read(path) if path.is_file() else None
    if promotion is None:
        return None
    return {"number": promotion.number, "signed": promotion.signed,
            "sha256": files.sha256(path), "proof": promotion.proof,
            "unproven": promotion.unproven}


def _version(engine: RunEngine) -> str | None:
    """The engine's version; None where it doesn't answer, which is for the tasks to find."""
    try:
        return engine.version()
    except AirlockError:
        return None


def _lock(runs_folder: Path) -> Path:
    """Held while a run begins, among those of one user: others can't write it."""
    return runs_folder.absolute() / f".{os.geteuid()}.lock"


def _now() -> str:
    return run_folder.stamp(datetime.now(timezone.utc))
