"""Structures of proteins for chromapipe's test, made where none can be fetched.

A backbone with C-beta, grown atom by atom from bond lengths, angles and the torsions of ideal
helices and strands (Engh and Huber 1991 for the former). It is no model of a protein, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

Point = tuple[float, float, float]

TORSIONS = {"H": (-57.0, -47.0), "E": (-120.0, 130.0), "C": (-75.0, 145.0)}
"""phi and psi in degrees of a residue in a helix, a strand, and between them."""
OMEGA = 180.0
BONDS = {"N": (1.329, 116.2), "CA": (1.458, 121.7), "C": (1.525, 111.2)}
"""The bond to the atom before, in Å, and the angle there, in degrees."""
LABEL = ("MADE FOR THE LOCAL SITE OF NF-AIRLOCK", "IDEAL GEOMETRY, NOT A MODEL OF THE PROTEIN")


def pdb(accession: str, pattern: str) -> bytes:
    """Return a PDB file of alanines, one for each letter of `pattern`: H, E or C."""
    lines = [f"TITLE     {accession}", *(f"REMARK   1 {line}" for line in LABEL)]
    for number, (residue, name, place) in enumerate(_atoms(pattern), start=1):
        x, y, z = place
        lines.append(f"ATOM  {number:5d}  {name:<3s} ALA A{residue:4d}    "
                     f"{x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00           {name[0]}  ")
    return "\n".join([*lines, "TER", "END", ""]).encode()


def _atoms(pattern: str) -> Iterator[tuple[int, str, Point]]:
    chain: list[Point] = [(0.0, 0.0, 0.0), (1.458, 0.0, 0.0), (2.009, 1.421, 0.0)]  # N, CA, C
    for residue in range(1, len(pattern)):
        phi, psi = TORSIONS[pattern[residue]][0], TORSIONS[pattern[residue - 1]][1]
        for name, torsion in (("N", psi), ("CA", OMEGA), ("C", phi)):
            chain.append(_next(chain[-3:], *BONDS[name], torsion))
    for residue in range(len(pattern)):
        n, ca, c = chain[3 * residue:3 * residue + 3]
        psi = TORSIONS[pattern[residue]][1]
        yield residue + 1, "N", n
        yield residue + 1, "CA", ca
        yield residue + 1, "C", c
        yield residue + 1, "O", _next([n, ca, c], 1.231, 120.8, psi + 180.0)
        yield residue + 1, "CB", _next([c, n, ca], 1.530, 110.4, -122.6)


def _next(before: Sequence[Point], bond: float, angle: float, torsion: float) -> Point:
    """The atom after three others, by its bond, angle and torsion."""
    a, b, c = before
    bond_angle, turn = math.radians(angle), math.radians(torsion)
    along = _unit(_minus(c, b))
    normal = _unit(_cross(_minus(b, a), along))
    side = _cross(normal, along)
    x, y, z = (-bond * math.cos(bond_angle), bond * math.sin(bond_angle) * math.cos(turn),
               bond * math.sin(bond_angle) * math.sin(turn))
    return (c[0] + x * along[0] + y * side[0] + z * normal[0],
            c[1] + x * along[1] + y * side[1] + z * normal[1],
            c[2] + x * along[2] + y * side[2] + z * normal[2])


def _minus(a: Point, b: Point) -> Point:
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


def _cross(a: Point, b: Point) -> Point:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def _unit(a: Point) -> Point:
    length = math.sqrt(a[0] ** 2 + a[1] ** 2 + a[2] ** 2)
    return (a[0] / length, a[1] / length, a[2] / length)
