"""What nf-schema would say of params and sheets, by the rules of its sources.

https://github.com/nextflow-io/nf-schema: src/main/groovy/nextflow/validation/validators/evaluators
and parameters/ParameterValidator.groovy, at the tags 2.0.0 to 3.0.0; nf-validation 1.1.3 before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.core import files, parsing
from tasks.core.errors import AirlockError, SourceError
from tasks.core.inputs import globs
from tasks.core.net import urls
from tasks.core.nextflow import versions
from tasks.core.source import bounded_regex
from tasks.dev import sheet_rows

DRAFT = "https://json-schema.org/draft/2020-12/schema"
NULLS_ALONE_GO = "2.7.0"
"""From this version on empty texts, false and 0 are held against the schema, too."""
BUCKETS_OPENED = "2.5.0"
"""From this version on addresses of buckets are opened, which takes a plugin."""
PATTERNS_FOUND = "2.6.0"
"""From this version on files that fit a pattern are asked for where it must exist."""
BUCKETS = ("s3://", "az://", "gs://")
MAX_SHEET, MAX_ROWS = 16 * 2**20, 5000
"""Bytes of a sheet that is held against its schema, and rows of it."""
_PATTERN = re.compile(r"(?<!\\)(?:[*?]|\[.*\]|\{.*\})")


_FORMATS = {
    "uri": re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]*"),
    "date-time": re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)"),
    "hostname": re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
                           r"(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*")}
"""Formats for which Python's own checks want further packages."""


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """Which plugin judges, in which version and mode."""

    version: str
    is_lenient: bool = False
    is_old: bool = False

    def since(self, version: str) -> bool:
        """Whether it is nf-schema at this version or later."""
        return not self.is_old and versions.order(self.version) >= versions.order(version)


@dataclass(frozen=True, kw_only=True)
class Schemas:
    """Where schemas lie, below the pipeline's code, and against what relative paths stand."""

    code: Path
    launch: Path
    plugin: Plugin
    has_scheme: Callable[[str], bool] = field(default=lambda scheme: False)

    def load(self, name: str) -> dict[str, Any]:
        """Read a schema of the pipeline; SourceError where there is none that can be read."""
        path = self.code / name
        try:
            inside = path.resolve().is_relative_to(self.code.resolve())
            loaded = parsing.from_json(path.read_bytes(), is_unique=False) if inside else None
        except (OSError, ValueError) as error:
            raise SourceError(f"the schema can't be read: {error}", where=name) from error
        if not isinstance(loaded, dict):
            raise SourceError("that is no schema of the pipeline", where=name)
        if not self.plugin.is_old and loaded.get("$schema") != DRAFT:
            raise SourceError(f"nf-schema {self.plugin.version} refuses the draft "
                              f"{loaded.get('$schema')!r}; it takes {DRAFT} alone", where=name,
                              todo="pin nf-validation, or migrate the pipeline's schema")
        return loaded


def cleaned(params: Mapping[str, Any], plugin: Plugin) -> dict[str, Any]:
    """The params that are held against the schema."""
    empty: tuple[Any, ...] = (None,) if plugin.since(NULLS_ALONE_GO) else (None, "", False, [], {})
    return {name: value for name, value in params.items()
            if not any(value is none or (value == none and type(value) is type(none))
                       for none in empty)}


def faults(value: Any, schema: Mapping[str, Any], schemas: Schemas) -> Iterator[tuple[str, str]]:
    """Each fault of a value: where in it, by names and numbers, and what is wrong.

    SourceError for a schema that can't be followed.
    """
    import jsonschema
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    base: Any = (jsonschema.Draft7Validator if schemas.plugin.is_old
                 else jsonschema.Draft202012Validator)
    rules = _Rules(schemas)
    extend: Any = jsonschema.validators.extend
    extended = extend(base, {
        "exists": rules.exists, "schema": rules.schema, "pattern": rules.pattern,
        "format": rules.format, "type": rules.type(base.VALIDATORS["type"]),
        "uniqueEntries": rules.unique, "deprecated": rules.deprecated,
        "patternProperties": rules.pattern_properties})
    validator = extended(schema, registry=Registry(), format_checker=base.FORMAT_CHECKER)
    try:
        for error in validator.iter_errors(value):
            for leaf in _leaves(error):
                yield ".".join(map(str, leaf.absolute_path)), _message(leaf)
    except (Unresolvable, RecursionError, re.error, TypeError, AttributeError) as error:
        raise SourceError(f"the schema can't be followed: {error}") from error


def _leaves(error: Any) -> Iterator[Any]:
    """The faults below `allOf` and the like, which say nothing themselves."""
    if error.context and error.validator in ("allOf", "$ref"):
        for inner in error.context:
            yield from _leaves(inner)
    else:
        yield error


def _message(error: Any) -> str:
    schema = error.schema if isinstance(error.schema, dict) else {}
    own = schema.get("errorMessage")
    text = str(error.message)[:600]
    if error.validator == "required":
        text = f"Missing required field: {text.removesuffix(' is a required property')}".replace(
            "'", "")
    return f"{text} ({own})" if isinstance(own, str) and error.validator != "schema" else text


class _Rules:
    def __init__(self, schemas: Schemas) -> None:
        self._schemas, self._plugin = schemas, schemas.plugin

    def exists(self, _: Any, wanted: Any, value: Any, about: Any) -> Iterator[Any]:
        if not isinstance(value, str) or not isinstance(wanted, bool):
            return
        if self._plugin.is_old and (not wanted or about.get("format") not in (
                "file-path", "directory-path", "path")):
            return
        is_bucket, is_pattern = self._is_bucket(value), _is_pattern(value)
        if (is_pattern and not self._plugin.since(PATTERNS_FOUND)) or (
                is_bucket and not self._plugin.since(BUCKETS_OPENED)):
            return
        if fault := self._unopened(value):
            yield _error(f"could not check existence of '{value}': {fault}")
            return
        there = bool(self._files(value)) if is_pattern else self._exists(value)
        if there != wanted:
            yield _error(f"the file or directory '{value}' "
                         f"{'does not' if wanted else 'should not'} exist")

    def format(self, validator: Any, wanted: Any, value: Any, _: Any) -> Iterator[Any]:
        kind = {"file-path": "file", "directory-path": "directory", "path": "path"}.get(
            wanted if isinstance(wanted, str) else "")
        if not isinstance(value, str):
            return
        if kind is None and wanted != "file-path-pattern":
            yield from _plain_format(validator, wanted, value)
            return
        if self._is_bucket(value) and not self._plugin.since(BUCKETS_OPENED):
            return
        if fault := self._unopened(value):
            yield _error(f"could not validate file format of '{value}': {fault}")
        elif kind is None:
            places = self._files(value)
            if not places:
                yield _error(f"No files were found using the glob pattern '{value}'")
            for place in places:
                if place.is_dir():
                    yield _error(f"'{place}' is not a file, but a directory")
        elif _is_pattern(value):
            yield _error(f"'{value}' is not a {kind}, but a file path pattern")
        elif kind != "path" and (path := self._path(value)) and path.exists() \
                and path.is_dir() != (kind == "directory"):
            yield _error(f"'{value}' is not a {kind}, but a "
                         f"{'directory' if kind == 'file' else 'file'}")

    def pattern(self, _: Any, wanted: Any, value: Any, __: Any) -> Iterator[Any]:
        """Java's `find`; a pattern that Python doesn't know isn't judged here."""
        if not isinstance(value, str) or not isinstance(wanted, str):
            return
        try:
            fits = bounded_regex.search(wanted, value)
        except (re.error, AirlockError):
            return
        if not fits:
            yield _error(f"'{value}' does not match regular expression [{wanted}]")

    def pattern_properties(self, validator: Any, wanted: Any, value: Any, _: Any) -> Iterator[Any]:
        if isinstance(value, dict) and isinstance(wanted, dict):
            for pattern, below in wanted.items():
                for name, member in value.items():
                    if not any(self.pattern(None, pattern, name, None)):
                        yield from validator.descend(member, below, path=name, schema_path=pattern)

    def type(self, usual: Any) -> Any:
        """In lenient mode what is plain may be a text."""
        def judged(validator: Any, wanted: Any, value: Any, about: Any) -> Iterator[Any]:
            names = [wanted] if isinstance(wanted, str) else wanted
            is_plain = value is None or isinstance(value, str | int | float | bool)
            if not (self._plugin.is_lenient and is_plain and "string" in names):
                yield from usual(validator, wanted, value, about)
        return judged

    def unique(self, _: Any, wanted: Any, value: Any, __: Any) -> Iterator[Any]:
        if not isinstance(value, list) or not isinstance(wanted, list):
            return
        seen = set()
        for number, entry in enumerate(value, 1):
            if isinstance(entry, dict):
                kept = tuple((name, str(entry[name])) for name in wanted if name in entry)
                if kept and kept in seen:
                    yield _error(f"Entry {number}: Detected duplicate entries: {list(kept)}")
                    return
                seen.add(kept)

    def deprecated(self, _: Any, wanted: Any, __: Any, ___: Any) -> Iterator[Any]:
        if wanted is True and not self._plugin.is_old:
            yield _error("This option is deprecated")

    def schema(self, _: Any, wanted: Any, value: Any, __: Any) -> Iterator[Any]:
        """A sheet against its own schema; a missing one is no fault of this rule."""
        path = self._path(value) if isinstance(value, str) else None
        if not isinstance(wanted, str) or path is None or not path.is_file() \
                or path.stat().st_size > MAX_SHEET:
            return
        about = self._schemas.load(wanted)
        try:
            rows = sheet_rows.read(path, about)
        except SourceError as error:
            yield _error(f"Validation of file failed: {error.what}")
            return
        rows = rows[:MAX_ROWS] if isinstance(rows, list) else rows
        for place, fault in faults(rows, about, self._schemas):
            number, _, name = place.partition(".")
            entry = f"Entry {int(number) + 1}" if number.isdecimal() else place
            yield _error(f"{path.name}: {entry}{f', {name}' if name else ''}: {fault}")

    def _unopened(self, value: str) -> str | None:
        """Why Nextflow makes no path of a text, if it doesn't."""
        if not value:
            return "a path can't be empty"
        scheme = value.partition("://")[0].lower() if urls.is_url(value) else "file"
        known = scheme in ("http", "https", "ftp", "file") or self._schemas.has_scheme(scheme)
        return None if known else f"no plugin opens {scheme}://"

    def _is_bucket(self, value: str) -> bool:
        return value.startswith("s3://" if self._plugin.is_old else BUCKETS)

    def _path(self, value: str) -> Path | None:
        if urls.is_url(value):
            return Path(value.partition("://")[2]) if value.startswith("file:///") else None
        try:
            path = self._schemas.launch / value
            path.exists()  # raises for what no file can be called
        except (OSError, ValueError):
            return None
        return path

    def _exists(self, value: str) -> bool:
        path = self._path(value)
        return path is not None and path.exists()

    def _files(self, value: str) -> list[Path]:
        """The files that a pattern stands for; what lies elsewhere than a release isn't searched.
        """
        plain = value.removeprefix("file://")
        if not _is_pattern(plain):
            return [self._path(value) or Path(value)]  # as Nextflow does, whether it is there
        fixed = re.split(r"[*?{\[]", plain, maxsplit=1)[0].rpartition("/")[0]
        base = self._schemas.launch / fixed
        places = (self._schemas.launch, self._schemas.code)
        if not any(base.resolve().is_relative_to(place.resolve()) for place in places):
            return [base / "*"] if base.exists() else []
        below = globs.braces(plain[len(fixed):].lstrip("/"))
        wanted = [globs.matcher(pattern) for pattern in below]
        return [path for path in files.tree(base) if path.is_file() and any(
            matcher.fullmatch(path.relative_to(base).as_posix()) for matcher in wanted)]


def _is_pattern(value: str) -> bool:
    return not urls.is_url(value) and _PATTERN.search(value) is not None


def _plain_format(validator: Any, wanted: Any, value: str) -> Iterator[Any]:
    from jsonschema.exceptions import FormatError
    if wanted in _FORMATS:
        if not _FORMATS[wanted].fullmatch(value):
            yield _error(f"'{value}' is no {wanted}")
        return
    try:
        validator.format_checker.check(value, wanted)
    except FormatError as error:
        yield _error(str(error.message))


def _error(text: str) -> Any:
    from jsonschema import ValidationError
    return ValidationError(text)
