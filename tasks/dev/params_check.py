"""Whether the offline params pass the check that the pipeline's own plugin makes at its start."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.errors import SourceError
from tasks.core.nextflow.scheme_plugins import PLUGIN_OF_SCHEME
from tasks.core.source import genome_attributes, params_schema
from tasks.dev import nf_schema
from tasks.dev.nf_schema import Plugin, Schemas
from tasks.dev.sheet_rows import without_nulls

SCHEMA = "nextflow_schema.json"
PLUGINS = ("nf-schema", "nf-validation")
UNASKED = {"validationFailUnrecognisedParams", "validationLenientMode", "validationS3PathCheck",
           "validationShowHiddenParams", "validationSchemaIgnoreParams", "monochromeLogs",
           "validationSkipDuplicateCheck", "monochrome_logs", "help", "help_full", "helpFull",
           "show_hidden", "showHidden", "nf_test_output"}
"""Params that the plugins know by themselves."""


@dataclass(frozen=True, kw_only=True)
class Launched:
    """A config as the offline host resolves it, the code and the folder where it is launched, and
    the carried plugins, `id@version`."""

    config: Mapping[str, Any]
    code: Path
    launch: Path
    plugins: Collection[str]


def check(launched: Launched) -> str:
    """Hold the params against nextflow_schema.json; SourceError with all that would be refused."""
    params = launched.config.get("params", {})
    settings = launched.config.get("validation", {})
    settings = settings if isinstance(settings, dict) else {}
    name = str(settings.get("parametersSchema") or SCHEMA)
    listed = dict(line.partition("@")[::2] for line in launched.plugins)
    plugin = next((plugin for plugin in PLUGINS if plugin in listed), None)
    if not (launched.code / name).is_file():
        return f"the pipeline has no {name}"
    if plugin is None:
        return f"no plugin of the pipeline holds them against {name}"
    if params.get("validate_params") is False:
        return "validate_params is off: the pipeline does not check them"
    is_old = plugin == "nf-validation"
    schemas = Schemas(
        code=launched.code, launch=launched.launch, plugin=Plugin(
            version=listed[plugin] or "0", is_old=is_old, is_lenient=bool(
                params.get("validationLenientMode") if is_old else settings.get("lenientMode"))),
        has_scheme=_opened_by(listed))
    values = {**of_scripts(launched.code, params), **params}
    launching = {**values, "outdir": str(launched.launch)}  # which each run is given
    schema = schemas.load(name)
    faults = [*_faults(launching, schema, schemas, _ignored(params, settings)),
              *_unknown(values, schema, params, settings)]
    if faults:
        raise SourceError(f"params that {plugin} {listed[plugin]} would refuse:\n" + "\n".join(
            f"          {fault}" for fault in dict.fromkeys(faults)),
            todo="set them in `params` of the pipeline's config, null where none is meant; a sheet "
                 "of your own is carried by `doit mirror:data:NAME input=SHEET`")
    return f"{len(values)} fit {name}, as {plugin} {listed[plugin]} reads it"


def of_scripts(code: Path, params: Mapping[str, Any]) -> dict[str, Any]:
    """The params that scripts give an attribute of the genome; what a config sets stays."""
    genomes = params.get("genomes")
    chosen = genomes.get(params.get("genome")) if isinstance(genomes, dict) else None
    if not isinstance(chosen, dict):
        return {}
    return {use.param: chosen[use.attribute] for use in genome_attributes.uses(code)
            if use.param and use.param not in params and use.attribute in chosen}


def _faults(values: Mapping[str, Any], schema: Mapping[str, Any], schemas: Schemas,
            ignored: Collection[str]) -> Iterator[str]:
    given = without_nulls(nf_schema.cleaned(values, schemas.plugin))
    set_by_scripts = genome_attributes.assigned(schemas.code)
    for place, fault in nf_schema.faults(given, schema, schemas):
        missing = fault.partition("Missing required field: ")[2]
        if place.partition(".")[0] in ignored or (not place and missing in set_by_scripts):
            continue
        yield f"{place}: {fault}" if place else fault


def _unknown(values: Mapping[str, Any], schema: Mapping[str, Any], params: Mapping[str, Any],
             settings: Mapping[str, Any]) -> Iterator[str]:
    """Params that the schema lacks, where the pipeline says that this is an error."""
    logging = settings.get("logging")
    is_error = (settings.get("failUnrecognisedParams")
                or params.get("validationFailUnrecognisedParams")
                or (isinstance(logging, dict) and logging.get("unrecognisedParams") == "error"))
    if is_error:
        known = {*dict(params_schema.properties(schema)), *UNASKED, *_ignored(params, settings)}
        yield from (f"{name}: nextflow_schema.json has no such param"
                    for name in values if name not in known)


def _ignored(params: Mapping[str, Any], settings: Mapping[str, Any]) -> set[str]:
    old = params.get("validationSchemaIgnoreParams")
    lists = (settings.get("ignoreParams"), settings.get("defaultIgnoreParams"))
    return {*(old.split(",") if isinstance(old, str) else ()),
            *(str(name) for names in lists if isinstance(names, list) for name in names)}


def _opened_by(plugins: Mapping[str, str]) -> Callable[[str], bool]:
    return lambda scheme: PLUGIN_OF_SCHEME.get(scheme, "") in plugins
