"""Which rows of a samplesheet are kept: docs/decisions/how-sheets-are-trimmed.md."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tasks.core.inputs.sheets import Sheet

PEOPLE = ("patient", "patientid", "subject", "subjectid", "individual", "individualid", "case",
          "caseid", "donor", "donorid", "participant", "participantid", "family", "familyid",
          "pair", "pairid")
SAMPLES = ("sample", "sampleid", "samplename", "id", "name", "library", "libraryid", "group",
           "groupid")
PARTNERS = re.compile(r"(input)?(control|normal|tumou?r|partner|match(ed)?|background)"
                      r"(sample|id|name)*")


def is_of_samples(column: str) -> bool:
    """Whether a column holds the names of people or samples."""
    return _plain(column) in (*PEOPLE, *SAMPLES)


def is_samplesheet(sheet: Sheet) -> bool:
    """Whether a sheet's columns say that it lists people or samples."""
    named = {_plain(name) for record in sheet.records()[:1] for name in record}
    return not named.isdisjoint((*PEOPLE, *SAMPLES[:3]))


def trimmed(sheet: Sheet, samples: int) -> Sheet:
    """The sheet with the rows of its first samples and of their partners; with all for 0.

    Partners are kept together, so that it may hold some more than the number of `samples`.
    """
    return sheet.only(kept(sheet.records(), samples)) if samples else sheet


def kept(records: Sequence[Mapping[str, str]], samples: int) -> list[int]:
    """The numbers of the rows to keep, in their order."""
    names = dict.fromkeys(name for record in records for name in record)
    people = [name for name in names if _plain(name) in PEOPLE]
    sample = _first(names, SAMPLES)
    if sample is None and not people and "0" in names:
        sample = "0"
    key = sample or next(iter(people), None)
    groups = _Groups(len(records))
    by_sample: dict[str, int] = {}
    for column, rows_by_value in ((sample, by_sample), *((name, {}) for name in people)):
        for number, record in enumerate(records) if column else ():
            if value := record.get(column or "", "").strip():
                groups.join(number, rows_by_value.setdefault(value, number))
    for column in (name for name in names if PARTNERS.fullmatch(_plain(name))):
        for number, record in enumerate(records):
            partner = by_sample.get(record.get(column, "").strip())
            if partner is not None:
                groups.join(number, partner)
    held: dict[int, set[str]] = {}
    for number, record in enumerate(records):
        name = record.get(key, "").strip() if key else ""
        held.setdefault(groups.of(number), set()).add(name or f"\0{number}")
    chosen: set[int] = set()
    count = 0
    for group, named in held.items():  # in the order of their first rows
        if count >= samples:
            break
        chosen.add(group)
        count += len(named)
    return [number for number in range(len(records)) if groups.of(number) in chosen]


class _Groups:
    """Rows that belong together (union by the smaller number)."""

    def __init__(self, count: int) -> None:
        self._above = list(range(count))

    def of(self, number: int) -> int:
        while self._above[number] != number:
            self._above[number] = self._above[self._above[number]]
            number = self._above[number]
        return number

    def join(self, one: int, other: int) -> None:
        first, second = sorted((self.of(one), self.of(other)))
        self._above[second] = first


def _first(names: Mapping[str, None], wanted: Sequence[str]) -> str | None:
    plain = {_plain(name): name for name in reversed(list(names))}
    return next((plain[name] for name in wanted if name in plain), None)


def _plain(name: str) -> str:
    return re.sub(r"[\s_.-]", "", name.lower())
