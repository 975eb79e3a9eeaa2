"""What the cells of a sheet name: files, folders and patterns, by URLs or by paths.

docs/decisions/how-sheets-are-carried.md tells which texts are taken for addresses and paths.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from tasks.core.errors import SourceError
from tasks.core.inputs import cells, sheets
from tasks.core.inputs.sheets import Cell, Sheet
from tasks.core.net import urls
from tasks.data import trees, trim
from tasks.data.left import Left
from tasks.data.local_files import Finder, Several

PATH_WORDS = {"path", "paths", "file", "files", "dir", "dirs", "directory", "folder", "folders",
              "rundir", "flowcell", "fastq", "fastqs", "fastq1", "fastq2", "fq", "reads", "bam",
              "bai", "cram", "crai", "vcf", "bed", "fasta", "image", "images", "samplesheet"}
"""Words of a column's name that say that its cells are paths."""
LINK_KEYS = re.compile(r"\$.*|(.*_)?(url|uri|homepage|href|link|website|web|doi|docs?|repository|"
                       r"documentation|licen[sc]e|contact|help|description|comment)",
                       re.IGNORECASE)
"""Keys and columns whose addresses are for people, in files that are no samplesheets."""
PAGES = (".html", ".htm", ".xhtml", ".php", ".asp", ".aspx", ".jsp", ".md")
_ENDING = re.compile(r"\.(?=[A-Za-z0-9]*[A-Za-z])[A-Za-z0-9]{1,12}\Z")
_PATH = re.compile(r"(?!\w+:)\S*/[^/\s]+\.[^/\s]+")
"""What looks like a file's path, and is no URL."""
_ABSOLUTE = re.compile(r"(?:/|~/|\./|\.\./|[A-Za-z]:[\\/]|\\\\).*[^\s/].*")
_DATA = re.compile(r"[^/\s]+\.(?:fq|fastq|fa|fasta|fna|faa|bam|cram|sam|vcf|bcf|bed|gtf|gff3?|h5ad|"
                   r"h5|rds|mtx|tar|zip|csv|tsv|bai|crai|tbi|csi|mzml|raw|pod5|fast5)"
                   r"(?:\.(?:gz|bgz|bz2|zst))?", re.IGNORECASE)
"""A file's name without a folder, by what public sheets hold."""
NEVER = {"n/a", "na/na"}


@dataclass(frozen=True, kw_only=True)
class Named:
    """One mention of a file: its key, where it stands, and the sheet that names it.

    `path` is a file of this machine, `folder` what several of it are; `label` is the param's name
    where a param names it, and `text` with `column` what stands in a sheet.
    """

    key: str
    place: str
    label: str = ""
    path: Path | None = None
    folder: Several | None = None
    is_param: bool = False
    is_main: bool = False
    is_of_main: bool = False
    text: str = ""
    column: str = ""


@dataclass(kw_only=True)
class Reading:
    """One sheet that is read: what it names, and what stays as it is."""

    sheet: Sheet
    named: list[Named] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)

    @property
    def names(self) -> dict[tuple[str, str], str]:
        """The key that a text in a column stands for."""
        return {(named.column, named.text): named.key for named in self.named}


def key_of(url: str) -> str:
    """How a URL is known here: as it stands, but an s3 URL as Nextflow reads it."""
    return trees.tidy(url) if url.lower().startswith("s3:") else url


def refers(cell: str, finder: Finder) -> bool:
    """Whether a cell names a file, so that no header is in its row."""
    return any(known for _, known in cells.pieces(
        cell, lambda text: urls.is_url(text.strip()) or finder.find(text.strip()) or None))


def read(sheet: Sheet, within: Named, finder: Finder) -> Reading:
    """All that a sheet names, each text of a column once."""
    reading = Reading(sheet=sheet)
    seen: set[tuple[str, str]] = set()
    for cell in sheet.cells():
        if (cell.column, cell.text) not in seen:
            seen.add((cell.column, cell.text))
            _Cell(cell, within, finder, reading).read()
    return reading


class _Cell:
    def __init__(self, cell: Cell, within: Named, finder: Finder, reading: Reading) -> None:
        self._cell, self._within, self._finder, self._reading = cell, within, finder, reading
        self._is_prose = "://" in cell.text and cells.is_prose(cell.text)

    def read(self) -> None:
        missing, is_named = [], False
        for piece, named in cells.pieces(self._cell.text, self._know):
            text = piece.strip()
            if named is not None:
                self._reading.named.append(named)
                is_named = True
            elif urls.is_url(text):
                self._leave(text, "it stands amid a sentence" if self._is_prose else
                            "by its column it is for people")
            elif _is_path(text, self._cell.column) or self._is_empty(text):
                missing.append(text)
        if missing and not is_named:  # a path with spaces is told whole
            missing = [self._cell.text.strip()]
        for text in missing:
            self._leave(text, self._finder.why(text))

    def _is_empty(self, text: str) -> bool:
        return bool(text) and is_of_paths(self._cell.column) and self._finder.is_folder(text)

    def _know(self, piece: str) -> Named | None:
        text = piece.strip()
        if urls.is_url(text):
            is_data = not self._is_prose and not _is_for_people(text, self._cell.column)
            return self._named(piece, key_of(text)) if is_data else None
        beside = self._within.path.parent if self._within.path else None
        path = self._finder.find(text, beside)
        if path is not None:
            return self._named(piece, self._finder.key(path), path=path)
        folder = self._folder(text, beside)
        if folder is not None:
            base = self._finder.key(folder.base)
            return self._named(piece, f"{base}/{folder.relative}", folder=folder)
        return None

    def _folder(self, text: str, beside: Path | None) -> Several | None:
        """A folder or pattern; a name that may be a sample's counts where its column says so."""
        column = self._cell.column
        is_plain = "/" not in text and "*" not in text and not is_of_paths(column)
        if not text or "\n" in text or (is_plain and (column == "1"
                                                       or trim.is_of_samples(column))):
            return None
        try:
            folder = self._finder.several(text, beside)
        except SourceError as error:
            raise SourceError(f"{text!r} can't be carried: {error.what}", where=self._cell.place,
                              todo="take it out of the folder, or name the files one by one"
                              ) from error
        if folder is None or not is_plain or column.isdigit():
            return folder
        self._leave(text, "a folder of that name lies beside the sheet, but its column names no "
                          "paths: write ./ before it to carry it")
        return None

    def _named(self, piece: str, key: str, path: Path | None = None,
               folder: Several | None = None) -> Named:
        within = self._within
        return Named(key=key, place=self._cell.place, path=path, folder=folder, text=piece,
                     column=self._cell.column, is_of_main=within.is_main or within.is_of_main)

    def _leave(self, text: str, why: str) -> None:
        self._reading.left.append(Left(place=self._cell.place, text=text, why=why))


def is_of_paths(column: str) -> bool:
    """Whether a column's name says that its cells are paths."""
    words = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", column)
    return any(word.lower() in PATH_WORDS for word in words) or column.lower().endswith(
        ("dir", "path", "file", "folder"))


def _is_path(text: str, column: str) -> bool:
    """Whether a text that leads nowhere was meant as a path."""
    if text.lower() in NEVER or "\n" in text or urls.is_url(text):
        return False
    return bool(_PATH.fullmatch(text) or _ABSOLUTE.fullmatch(text) or _DATA.fullmatch(text)
                or (len(text) > 1 and text.endswith("/") and " " not in text)
                or (is_of_paths(column) and ("/" in text or (
                    " " not in text and _ENDING.search(text) is not None))))


def makes_sheet(reading: Reading) -> bool:
    """Whether a file that need not be a sheet is one: a cell is nothing but the address of data.

    A schema, a README, a config or a comment may hold a URL, which is there for people.
    """
    tree = reading.sheet.tree
    if isinstance(tree, dict) and any(str(key).startswith("$") for key in tree):
        return False
    return any(_is_data(named) for named in reading.named)


def _is_data(named: Named) -> bool:
    if named.path or named.folder:
        return True
    return not LINK_KEYS.fullmatch(named.column) and is_of_file(named.key)


def _is_for_people(url: str, column: str) -> bool:
    return bool(LINK_KEYS.fullmatch(column)) and not is_of_file(url)


def is_of_file(url: str) -> bool:
    """Whether a URL's own name is one of a file; only on the web are most of them of pages."""
    if not url.lower().startswith(("http://", "https://")):
        return True
    last = urls.path(url).rpartition("/")[2].lower()
    return bool(_ENDING.search(last)) and not last.endswith(PAGES)


def is_page_name(url: str) -> bool:
    """Whether a URL's own name says that it is a web page."""
    return urls.path(url).lower().endswith(PAGES) if urls.is_url(url) else False


def may_be_sheet(name: str) -> bool:
    """Whether a URL or path ends as sheets do."""
    path = urls.path(name) if urls.is_url(name) else name
    return path.lower().endswith(sheets.ENDINGS)
