"""`doit add SOURCE`: the configuration of one more pipeline, written from what its code says."""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tasks.code import git, releases
from tasks.commands import add_source
from tasks.commands.add_facts import Facts, read_facts
from tasks.commands.add_file import LIMIT, ROWS, Chosen, text
from tasks.core import config_places, files
from tasks.core.config.load import load
from tasks.core.config.settings import Config, Origin
from tasks.core.errors import AirlockError, ConfigError, SourceError, shown
from tasks.core.graph.commands import Typed
from tasks.core.net import urls
from tasks.core.nextflow import runtimes, tested_lines
from tasks.core.nextflow.pipeline_version import fitting
from tasks.images.scan import scan

HANGS = re.compile(r"\S+?:\d+: (?P<process>\w+): (?P<why>.*)")
"""A fault of images:list."""
MOST_SHOWN = 8
"""Names in one line; all of them stand in the file that is written."""


@dataclass(kw_only=True)
class _Report:
    """What is printed: choices with their reasons, and what is still to be decided."""

    choices: list[tuple[str, str, str]] = field(default_factory=list)
    to_decide: list[str] = field(default_factory=list)

    def chose(self, key: str, value: str, why: str) -> None:
        self.choices.append((key, value, why))

    def lines(self) -> Iterable[str]:
        for key, value, why in self.choices:
            yield f"  {key:<9} {value:<28}  {why}".rstrip()
        if self.to_decide:
            yield "\nstill to be decided:"
            yield from (f"  - {line}" for line in self.to_decide)


def add(typed: Typed) -> int:
    """Write pipelines/NAME.yml, and print what was chosen, and what comes next."""
    if not typed.words:
        raise ConfigError("nothing says which pipeline", where=add_source.USAGE,
                          todo="name its source, such as: doit add nf-core/demo")
    config = load({key: typed.variables[key] for key in ("site",) if key in typed.variables},
                  begins=True)
    revision = typed.variables.get("revision")
    if revision == "":
        raise ConfigError("the revision is empty", where="revision=",
                          todo="name a tag, branch or commit, or leave it out")
    origin = add_source.origin(typed.words[0], revision)
    name = add_source.name(origin.source, typed.variables.get("name"))
    target = config_places.new(f"pipelines/{name}.yml")
    report = _Report()
    with tempfile.TemporaryDirectory(prefix="airlock-add-") as scratch:
        code, origin = _code(origin, config, Path(scratch), report)
        if origin.is_folder:
            origin = replace(origin, source=config_places.written(origin.source))
        chosen = _choose(code, name, origin, config, report)
    _write(target, text(chosen, where=target))
    print("\n".join(shown(line) for line in [
        f"wrote {target}\n", *report.lines(), *_next(name, config)]), flush=True)
    return 0


def _code(origin: Origin, config: Config, scratch: Path, report: _Report) -> tuple[Path, Origin]:
    """The folder of the pipeline's code, and its origin with a revision."""
    if origin.is_folder:
        report.chose("source", origin.source, "a folder, taken as it is at each run")
        return Path(origin.source), origin
    report.chose("source", origin.source, "")
    url = urls.mapped(origin.source, config.site.hosts.urls)
    if origin.revision is None:
        newest = releases.newest(git.remote_refs(url))
        if newest is None:
            raise SourceError("the repository is empty: it has no branch and no tag",
                              where=origin.source)
        origin = replace(origin, revision=newest.revision)
        if newest.releases:
            report.chose("revision", newest.revision,
                         f"the newest of its {newest.releases} releases, by its tags")
        else:
            report.chose("revision", newest.revision, "the default branch, as there is no release")
            report.to_decide.append(
                f"there is no release: the head of {newest.revision} is locked when it is first "
                "staged; `revision` can name a commit")
    else:
        report.chose("revision", origin.revision or "", "as asked for")
    commit, _ = git.resolve(scratch / "git", url, origin.revision or "", log=scratch / "log")
    (scratch / "code").mkdir()
    git.write_tree(scratch / "git", commit, scratch / "code")
    return scratch / "code", origin


def _choose(code: Path, name: str, origin: Origin, config: Config, report: _Report) -> Chosen:
    facts = read_facts(code)
    _profile(facts, report)
    runtime = _runtime(facts, report)
    configs = _configs(facts, report)
    if facts.script is not None:
        report.chose("script", facts.script, "its one script, as there is no main.nf")
    report.chose("data", f"{ROWS} rows, {LIMIT}",
                 "of each sheet (rows: 0 keeps all), and at most in all")
    for param, why in facts.open_params.items():
        report.to_decide.append(f"params.{param}: {why}")
    for bucket, param in facts.buckets.items():
        if bucket not in config.site.hosts.buckets:
            report.to_decide.append(
                f"params.{param} names s3://{bucket}: to carry it, say `{bucket}: aws` in "
                f"hosts.buckets of {config_places.site(config.site.name)}; else set it to null")
    title = f"{origin.source.removeprefix(add_source.GITHUB)}: {facts.description or 'a pipeline'}"
    return Chosen(
        title=title, origin=origin, profile=facts.profile, script=facts.script, runtime=runtime,
        configs=configs,
        why={key: why for key, _, why in report.choices}, open_params=facts.open_params,
        open_images=_images(code, facts, name, report))


def _profile(facts: Facts, report: _Report) -> None:
    others = [name for name in facts.profiles if name != facts.profile]
    if facts.profile == "standard":
        report.chose("profile", "standard", "it has no test profile")
        report.to_decide.append(
            "there is no profile with test data: give the params of a small run under `params:`, "
            f"or choose another profile ({_several(others) or 'it has none'})")
    else:
        report.chose("profile", facts.profile, "its own small test data")


def _runtime(facts: Facts, report: _Report) -> runtimes.Runtime:
    asked = facts.condition
    try:
        runtime = runtimes.choose(asked or "")
    except ConfigError as error:
        runtime = runtimes.choose("")
        report.to_decide.append(f"manifest.nextflowVersion of the pipeline can't be read "
                                f"({error.what}): see that Nextflow {runtime.version} fits")
    place = "from Maven Central" if runtime.dist is None else "from its -dist file"
    untried = "" if tested_lines.is_tested(runtime.version) else ", not run by this project's tests"
    wish = f"the pipeline asks for {asked}" if asked else "the pipeline doesn't say which it needs"
    report.chose("nextflow", runtime.version, f"{wish}; {place}{untried}")
    if not runtime.fits:
        report.to_decide.append(
            f"Nextflow: the pipeline asks for {asked}: {fitting((asked or '').lstrip('!'))}; no "
            f"source of one is known here, so {runtime.version} stands there, "
            + ("which it refuses" if (asked or "").strip().startswith("!") else
               "of which it only warns")
            + ". Set `nextflow.version`, and `coordinates` or `dist`, by hand")
    if facts.is_dsl1:
        report.to_decide.append(
            "its main script is in Nextflow's first language (DSL1), which no version after 22.10 "
            f"runs, {runtime.version} neither: see whether another revision is in DSL2")
    return runtime


def _configs(facts: Facts, report: _Report) -> Origin | None:
    if facts.configs is not None and facts.has_configs:
        report.chose("configs", f"{facts.configs.source.removeprefix(add_source.GITHUB)} at "
                     f"{facts.configs.revision}", "params.custom_config_base leads there")
        return facts.configs
    if facts.has_configs:
        report.to_decide.append(
            "it includes institutional configs from params.custom_config_base, which leads to no "
            "repository that is known here: name it as `configs.source`, or they are empty offline")
    return None


def _images(code: Path, facts: Facts, name: str, report: _Report) -> Mapping[str, str]:
    """What images:list would say; the processes whose image is open, with the reason."""
    profiles = facts.profile.split(",")
    try:
        result = scan(code, {}, profiles=profiles, config=str(config_places.pipeline(name)),
                      script=facts.script)
    except AirlockError as error:
        where = f" ({error.where})" if error.where not in (None, str(code)) else ""
        todo = f"; {error.todo}" if error.todo else ""
        report.to_decide.append(f"its images can't be listed: {error.what}{where}{todo}")
        return {}
    report.chose("images", str(len(result.images)),
                 f"in {len({use.name for use in result.uses})} processes and aliases")
    waiting = {match["process"]: match["why"] for match in map(HANGS.fullmatch, result.faults)
               if match}
    waiting |= {
        without.name: f"it has no image: {without.why}" for without in result.without}
    for why in dict.fromkeys(waiting.values()):
        names = [process for process in waiting if waiting[process] == why]
        report.to_decide.append(
            f"{_several(names)}: {why}; give an image, or none, under `images:`")
    return waiting


def _several(names: Sequence[str]) -> str:
    further = len(names) - MOST_SHOWN
    return ", ".join(names[:MOST_SHOWN]) + (f" and {further} more" if further > 0 else "")


def _write(target: Path, content: str) -> None:
    """Write the file whole, or not at all; never over another."""
    try:
        files.write_new(target, content)
    except FileExistsError as error:
        raise ConfigError("there is such a file already, and it is not overwritten", where=target,
                          todo="say name=OTHER") from error


def _next(name: str, config: Config) -> Iterable[str]:
    site = "" if config.site.sandbox else f"site={config.site.name} "
    yield "\nnext:"
    steps = [(f"./doit {site}pipeline={name} images:list data:plan",
              "its images and data, with sizes"),
             (f"./doit {site}pipeline={name}", "all of it, up to " + (
                 "results on the offline host" if config.site.sandbox else "the promoted release")),
             _committed(name, config)]
    wide = max(len(command) for command, _ in steps)
    yield from (f"  {command:<{wide}}  # {why}" for command, why in steps)
    yield (f"  To let plain `./doit` carry it too, name it under `pipelines` in "
           f"{config_places.site(config.site.name)}.")


def _committed(name: str, config: Config) -> tuple[str, str]:
    """What goes into git, in the repository that the configuration stands in."""
    own = config_places.own()
    git = "git" if own is None else f"git -C {shlex.quote(str(own))}"
    place = config_places.relative(str(config_places.pipeline(name)))
    locks = config_places.relative(str(config_places.locks(config.site.name, name) / name))
    return f"{git} add {place}", f"and {locks}/ once that ran"
