"""Sheets among the pipeline's own files: a param names them, and cells of them are addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tasks.core import parsing
from tasks.core.source.files import Sources
from tasks.reach.findings import SHOWN, Report
from tasks.reach.staged import Staged
from tasks.reach.text import URL, printable

NO_SHEETS = re.compile(r".*\.(?:md|markdown|rst|html?|svg|css|js|xml|vcf|gff3?|gtf|bed|fa|fasta|fq"
                       r"|fastq|sam|nf|config|groovy|py|r|pl|sh|log|bib|cff)", re.IGNORECASE)
"""Texts for people, programs and formats of their own: their addresses are in headers and prose."""
TREES = re.compile(r".*\.(?:json|ya?ml)", re.IGNORECASE)
SEPARATORS = re.compile(r"[,;\t|]")
ABOUT = re.compile(r"\$\w+|(?:.*_)?(?:home_?page|doi|docs?_?url|logo_url|href|help_?url|citation)",
                   re.IGNORECASE)
"""Keys of JSON and YAML whose addresses are identifiers or links: `$schema`, `homepage`."""


def report_sheets(sources: Sources, resolved: Mapping[str, Any], root: str, staged: Staged,
                  report: Report) -> None:
    """A finding for each file that a param names as a sheet; other addresses are only counted."""
    named = {_of_code(value, root, sources): name for name, value in sorted(resolved.items())
             if isinstance(value, str)}
    for path in sorted(sources.files):
        if path not in named and "assets" not in path.split("/"):
            continue
        text = printable(sources, path)
        cells = _cells(path, text) if path in named and URL.search(text) else []
        if cells:
            name = named[path]
            report.add(path, text.count("\n", 0, max(text.find(cells[0]), 0)) + 1, "sheet",
                       cells[0], count=len(cells), param=name, answer=staged.param(name),
                       todo=f"give params.{name} a sheet of local files")
        else:
            for match in URL.finditer(text):
                report.count(SHOWN, path, text.count("\n", 0, match.start()) + 1)


def _of_code(value: str, root: str, sources: Sources) -> str | None:
    path = value.removeprefix(root).lstrip("/")
    return path if sources.has(path) else None


def _cells(path: str, text: str) -> list[str]:
    """The addresses that are the whole of a cell, or of a value in JSON or YAML."""
    if NO_SHEETS.fullmatch(path):
        return []
    if TREES.fullmatch(path):
        try:
            tree = parsing.from_json(text) if path.lower().endswith("json") else (
                parsing.from_yaml(text))
        except ValueError:
            return []
        return [value for value in _values(tree) if _is_address(value)]
    return [cell for line in text.split("\n") if not line.startswith("#")
            for cell in (cell.strip().strip("\"'") for cell in SEPARATORS.split(line))
            if _is_address(cell)]


def _is_address(text: str) -> bool:
    return URL.match(text) is not None and not re.search(r"\s", text)


def _values(tree: Any) -> Iterator[str]:
    """The texts of a tree, but for those that tell of the file itself."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            if not ABOUT.fullmatch(str(key)):
                yield from _values(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _values(value)
    elif isinstance(tree, str):
        yield tree.strip()
