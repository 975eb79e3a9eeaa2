"""Structures that are made: their bonds and angles are those of proteins."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.local_site import chromapipe, structures

Atom = tuple[str, int, tuple[float, float, float]]


def atoms(data: bytes) -> list[Atom]:
    """Name, residue and place of each atom, by the columns of the PDB's format 3.3."""
    lines = [line for line in data.decode().splitlines() if line.startswith("ATOM")]
    return [(line[12:16].strip(), int(line[22:26]),
             (float(line[30:38]), float(line[38:46]), float(line[46:54]))) for line in lines]


@given(st.text("HEC", min_size=2, max_size=40))
def test_bonds_have_the_lengths_of_a_peptide(pattern: str) -> None:
    by_name = {(residue, name): place for name, residue, place
               in atoms(structures.pdb("P1", pattern))}
    assert len(by_name) == 5 * len(pattern)
    for residue in range(1, len(pattern) + 1):
        for first, last, length in (("N", "CA", 1.458), ("CA", "C", 1.525), ("C", "O", 1.231),
                                    ("CA", "CB", 1.530)):
            bond = math.dist(by_name[residue, first], by_name[residue, last])
            assert bond == pytest.approx(length, abs=0.005)
        if residue > 1:
            bond = math.dist(by_name[residue - 1, "C"], by_name[residue, "N"])
            assert bond == pytest.approx(1.329, abs=0.005)


def test_a_helix_rises_as_helices_do() -> None:
    """1.5 Å for each residue (Pauling, Corey and Branson 1951)."""
    carbons = [place for name, _, place in atoms(structures.pdb("P1", "H" * 37)) if name == "CA"]
    assert math.dist(carbons[0], carbons[36]) / 36 == pytest.approx(1.5, abs=0.1)


def test_what_was_made_says_so() -> None:
    for protein in chromapipe.PROTEINS:
        if protein.pattern:
            text = structures.pdb(protein.accession, protein.pattern).decode()
            assert "NOT A MODEL OF THE PROTEIN" in text
            assert all(len(line) <= 80 for line in text.splitlines())
        assert "made for the local site" in str(chromapipe._annotation(protein)["entryType"])
