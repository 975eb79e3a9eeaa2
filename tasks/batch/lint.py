"""batch:lint: what would go wrong on Batch, told by the config that Nextflow resolves.

The pipeline's config is judged as it is and, where batch:config has made one for it, with that.
No network is asked: what only AWS can say, batch:doctor asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.batch import lint_processes, lint_rules, musl, pipeline, settings
from tasks.batch.lint_processes import Room
from tasks.batch.lint_rules import ERROR, WARNING, Clause, Config, Finding, Surroundings
from tasks.batch.pipeline import Pipeline, Staged
from tasks.batch.settings import Resolved
from tasks.core import files
from tasks.core.errors import ConfigError, SourceError, shown
from tasks.core.schema import check, read_json
from tasks.core.source.configs import MAIN

NO_PROFILE = "Unknown configuration profile"
"""Nextflow's words for a profile that no config defines."""
LOCAL = "standard"
"""The profile of a run that names none."""
OWN, WITH_AWS_CONFIG = "its own config", "with aws.config"


@dataclass(frozen=True, kw_only=True)
class LintSpec:
    """What batch:lint reads. `aws_config` is batch:config's, where that was made.

    `index` is the images' layout with its `blobs`, and `cli` the carried CLI's manifest, where
    they are on disk.
    """

    pipeline: str
    staged: Staged
    profile: str
    mode: str
    room: Room
    aws_config: Path
    output: Path
    index: Path
    blobs: Path
    cli: Path
    has_token: bool = False


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A config with what was found wrong with it, and the condition for a CLI with its values."""

    config: str
    findings: Sequence[Finding]
    clauses: Sequence[Clause] = field(default=())

    def count(self, severity: str) -> int:
        """Return how many findings are of this severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def __str__(self) -> str:
        counts = ((severity, self.count(severity)) for severity in (ERROR, WARNING))
        return f"{self.config}, " + ", ".join(
            f"{count or 'no'} {severity}{'s' * (count > 1)}" for severity, count in counts)


def lint(spec: LintSpec) -> str:
    """Print what is wrong, and write lint.json.

    Raises ConfigError where errors are left in the config that a run would have: with aws.config,
    where there is one.
    """
    judged = list(_judge(spec))
    answer = _as_json(spec, judged)
    files.write_json(spec.output, check(answer, "lint", where="what lint found"))
    print("".join(map(_table, judged)), end="", flush=True)
    last = judged[-1]
    if last.count(ERROR):
        raise ConfigError(f"{spec.pipeline} would not run on Batch: {last}", where=spec.output,
                          todo="do what is listed above")
    return str(last)


def _judge(spec: LintSpec) -> Iterator[Judged]:
    with pipeline.opened(spec.staged, spec.output.parent) as opened:
        processes = lint_processes.read(opened.folder)
        places = settings.places(opened.folder, spec.profile)
        on_musl = musl.images(spec.index, spec.blobs) if spec.index.is_file() else []
        around = Surroundings(
            mode=spec.mode, token=spec.has_token, other=_local(opened),
            needs_glibc=not spec.cli.is_file()
            or read_json(spec.cli, "batch-cli")["libc"] == "glibc")
        try:
            own = opened.config(spec.profile)
        except SourceError as error:
            if NO_PROFILE not in str(error):
                raise
            yield Judged(config=OWN, findings=[_no_profile(spec)])
        else:
            yield judge(OWN, Config(resolved=Resolved(config=own, places=places), around=around),
                        processes, spec.room, on_musl)
        if spec.aws_config.is_file():
            defined = opened.folder.parent / "profile.config"
            files.write_text(defined, f"profiles {{ {spec.profile} {{}} }}\n")
            given = opened.config(spec.profile, [defined, spec.aws_config])
            added = settings.places(spec.aws_config.parent, spec.profile, spec.aws_config.name)
            yield judge(WITH_AWS_CONFIG, Config(
                resolved=Resolved(config=given, places={**places, **added}), around=around),
                processes, spec.room, on_musl)


def _local(opened: Pipeline) -> Resolved | None:
    """The config of runs on this machine; None where it doesn't resolve, so that no job runs."""
    try:
        config = opened.config(LOCAL)
    except SourceError:
        return None
    return Resolved(config=config, places=settings.places(opened.folder, LOCAL))


def judge(name: str, config: Config, processes: Sequence[lint_processes.Process],
          room: Room, on_musl: Sequence[str] = ()) -> Judged:
    """Return all that the rules find, errors first."""
    findings = [finding for rule in lint_rules.RULES for finding in rule(config)]
    findings += lint_processes.images(config, processes, on_musl)
    findings += lint_processes.sizes(config, processes, room)
    return Judged(config=name, clauses=lint_rules.clauses(config),
                  findings=sorted(findings, key=lambda finding: finding.severity != ERROR))


def _no_profile(spec: LintSpec) -> Finding:
    return Finding(rule="no-profile", severity=ERROR, where=MAIN,
                   what=f"the pipeline has no profile {spec.profile}",
                   todo=f"`doit batch:config:{spec.pipeline}` makes one to include, and a patch")


def _table(judged: Judged) -> str:
    lines = [str(judged)]
    for finding in judged.findings:
        lines.append(f"  {finding.severity}: {finding.where}: {finding.what}; to do: "
                     f"{finding.todo}")
    for clause in judged.clauses:
        value = files.json_bytes(clause.value).decode().strip()
        lines.append(f"  jobs stage by a CLI: {'yes' if clause.holds else 'no '}, by "
                     f"{clause.setting} = {value} ({clause.where})")
    return "".join(f"{shown(line)}\n" for line in lines)


def _as_json(spec: LintSpec, judged: Sequence[Judged]) -> Mapping[str, Any]:
    return {"pipeline": spec.pipeline, "profile": spec.profile, "mode": spec.mode, "configs": [{
        "config": one.config, "errors": one.count(ERROR), "warnings": one.count(WARNING),
        "stages_by_cli": {
            "holds": bool(one.clauses) and all(clause.holds for clause in one.clauses),
            "clauses": [{"setting": clause.setting, "value": clause.value, "holds": clause.holds,
                         "where": clause.where} for clause in one.clauses]},
        "findings": [{"rule": finding.rule, "severity": finding.severity, "what": finding.what,
                      "where": finding.where, "todo": finding.todo} for finding in one.findings],
    } for one in judged]}
