"""What a pipeline's code says of itself, as far as its configuration here hangs on it.

Nothing of it is run: its files are read, as images:list reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tasks.core import nofollow, parsing
from tasks.core.config.settings import Origin
from tasks.core.errors import AirlockError
from tasks.core.source import params_schema
from tasks.core.source.configs import MAIN, Include, Reader, Setting
from tasks.core.source.custom_configs import BASE, includes
from tasks.core.source.files import Sources, opened
from tasks.core.source.groovy.depth import bounded
from tasks.core.source.groovy.expression import evaluate
from tasks.core.source.groovy.tokens import NAME, Token
from tasks.core.source.groovy.values import Values, known, unwrapped

MAX_SCHEMA = 16 << 20
"""Bytes of nextflow_schema.json."""
SET_BY_RUNS = ("outdir",)
"""Params that every run here sets by itself."""
INPUTS = ("input", "reads", "fastq", "samplesheet", "sample_sheet", "samples")
"""What the param of the samples is called where no schema says which are required."""
SCRIPT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.nf")
"""A script that can be the main one: it stands beside nextflow.config."""
RAW = re.compile(r"https://raw\.githubusercontent\.com/([\w.-]+/[\w.-]+)(?:/([\w.-]+))?")
"""A folder of a repository at GitHub, as institutional configs are named."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the code says. `condition` is manifest.nextflowVersion, `profiles` those that it has;
    `script` is the one script there is, where it is neither main.nf nor named by the manifest.

    `configs` is where its institutional configs come from; `has_configs` says that it includes
    some, from wherever. `open_params` are those that a run needs and the profile doesn't set, with
    the reason; `buckets` those that params of the profile name, by the param.
    """

    condition: str | None
    description: str | None
    profiles: tuple[str, ...]
    profile: str
    script: str | None
    is_dsl1: bool
    has_configs: bool
    configs: Origin | None
    open_params: Mapping[str, str]
    buckets: Mapping[str, str]


def read_facts(code: Path) -> Facts:
    """Read the code in a folder; ImageError and others where it is no Groovy."""
    with bounded(code), opened(code) as sources:
        manifest, profiles, main = _manifest(sources)
        profile = choose_profile(profiles)
        params = _params(sources, profile)
        return Facts(
            condition=manifest.get("nextflowVersion"), description=manifest.get("description"),
            profiles=profiles, profile=profile, script=_script(sources, main),
            is_dsl1=_is_dsl1(sources, _script(sources, main) or main),
            has_configs=bool(includes(code).named), configs=_configs(params),
            open_params=_open_params(sources, params), buckets=dict(_buckets(params)))


def choose_profile(profiles: tuple[str, ...]) -> str:
    """The profile with small test data; without one Nextflow's own default."""
    tests = [name for name in profiles if re.match("(?i)test(?!.*full)", name)]
    return "test" if "test" in profiles else tests[0] if tests else "standard"


def _manifest(sources: Sources) -> tuple[dict[str, str], tuple[str, ...], str]:
    """The manifest's texts, the names of all profiles, and the main script."""
    reader = Reader(sources, known("docker"))
    manifest: dict[str, str] = {}
    profiles: dict[str, None] = {}
    for statement in reader.read() if sources.has(MAIN) else ():
        if statement.profile is not None:
            profiles[statement.profile] = None
        if isinstance(statement, Include) or not statement.is_set:
            continue
        if statement.path[:1] == ("manifest",) and statement.profile is None:
            manifest.update(_texts(statement, reader))
    for error in reader.broken.values():
        raise error
    return manifest, tuple(profiles), manifest.get("mainScript", "main.nf")


def _texts(setting: Setting, reader: Reader) -> Iterator[tuple[str, str]]:
    """The key below `manifest` and its text, where it has one."""
    for value in evaluate(setting.tokens, 0, reader.known())[0]:
        plain = unwrapped(value)
        if isinstance(plain, str) and len(setting.path) == 2:
            yield setting.path[1], plain


def _params(sources: Sources, profile: str) -> dict[str, Values]:
    """The values that params can have in a run with the profile."""
    reader = Reader(sources, known("docker"), {profile})
    for _ in reader.read() if sources.has(MAIN) else ():
        pass
    return {name.removeprefix("params."): values for name, values in reader.names.items()
            if name.startswith("params.")}


def _script(sources: Sources, main: str) -> str | None:
    scripts = [path for path in sources.files if SCRIPT.fullmatch(path)]
    return scripts[0] if not sources.has(main) and len(scripts) == 1 else None


def _is_dsl1(sources: Sources, main: str) -> bool:
    """Whether the main script has processes and no workflow, which Nextflow took until 22.10."""
    if not sources.has(main):
        return False
    tokens = sources.tokens(main)
    return _defines(tokens, "process") and not _defines(tokens, "workflow")


def _defines(tokens: list[Token], word: str) -> bool:
    """Whether `word { … }` or `word NAME { … }` stands there."""
    for at, token in enumerate(tokens[:-2]):
        if token.is_name(word):
            rest = tokens[at + 2 if tokens[at + 1].kind == NAME else at + 1:]
            if next((other.is_op("{") for other in rest if other.text.strip()), False):
                return True
    return False


def _configs(params: Mapping[str, Values]) -> Origin | None:
    """The repository that `params.custom_config_base` leads to, where GitHub has it."""
    for value in params.get(BASE, ()):
        match = RAW.match(str(unwrapped(value)))
        if match:
            return Origin(source=f"https://github.com/{match[1]}", revision=match[2] or "master")
    return None


def _open_params(sources: Sources, params: Mapping[str, Values]) -> dict[str, str]:
    """Params that a run needs and nothing sets, with what says so."""
    if not sources.has("nextflow_schema.json"):
        return {name: "nothing sets it, and it looks like the samples' own"
                for name in INPUTS if name in params and _is_open(params[name])}
    try:
        described = parsing.from_json(
            nofollow.read(sources.place / "nextflow_schema.json", most=MAX_SCHEMA))
    except (ValueError, OSError, AirlockError):
        return {}
    return {name: "nextflow_schema.json requires it, and the profile doesn't set it"
            for name in params_schema.required(described)
            if name not in SET_BY_RUNS and _is_open(params.get(name, frozenset()))}


def _is_open(values: Values) -> bool:
    return all(unwrapped(value) in (None, "", False) for value in values)


def _buckets(params: Mapping[str, Values]) -> Iterator[tuple[str, str]]:
    for name, values in sorted(params.items()):
        for value in map(unwrapped, values):
            if isinstance(value, str) and value.startswith("s3://"):
                yield urlsplit(value).netloc, name
