"""What the internet offers chromapipe's test: structures and annotations of a few proteins.

2BEG (amyloid beta, of APP) is real, out of Debian's python-biopython-doc; other structures and all
annotations are made here, and say so. Names, genes and lengths are those of UniProt.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tasks.core import files
from tasks.local_site import packages, structures
from tasks.local_site.plan import Plan

BIOPYTHON = "python-biopython-doc"
REAL = "usr/share/doc/python-biopython-doc/Tests/PDB/2BEG.pdb.gz"


@dataclass(frozen=True, kw_only=True)
class Protein:
    """A protein; `pattern` is the secondary structure of its made structure, or None for 2BEG.

    `length` is in residues, `mass` in daltons, of the whole protein.
    """

    chromosome: str
    accession: str
    gene: str
    name: str
    length: int
    mass: int
    location: str
    pattern: str | None


PROTEINS = (
    Protein(chromosome="chr21", accession="P05067", gene="APP", length=770, mass=86943,
            name="Amyloid-beta precursor protein", location="Cell membrane",
            pattern=None),
    Protein(chromosome="chr21", accession="P00441", gene="SOD1", length=154, mass=15936,
            name="Superoxide dismutase [Cu-Zn]", location="Cytoplasm",
            pattern="C" + "CEEEEEEEECC" * 8 + "HHHHHHC"),
    Protein(chromosome="chr21", accession="P04271", gene="S100B", length=92, mass=10713,
            name="Protein S100-B", location="Cytoplasm",
            pattern="C" + "HHHHHHHHHHHHHHHHHHCCCC" * 4 + "C"),
    Protein(chromosome="chr21", accession="P04080", gene="CSTB", length=98, mass=11140,
            name="Cystatin-B", location="Cytoplasm",
            pattern="CC" + "H" * 18 + "CCEEEEEEEEEECCCC" * 4 + "C"),
    Protein(chromosome="chr22", accession="P02144", gene="MB", length=154, mass=17184,
            name="Myoglobin", location="Cytoplasm",
            pattern="CC" + "HHHHHHHHHHHHHHHHCCCC" * 7 + "C"),
    Protein(chromosome="chr22", accession="P09382", gene="LGALS1", length=135, mass=14716,
            name="Galectin-1", location="Secreted",
            pattern="C" + "EEEEEEEECCCC" * 11 + "CC"),
)


def fill(plan: Plan) -> None:
    """Lay out the files that the server offers, as far as they are missing or have changed."""
    folder = plan.files / "data/chromapipe"
    unpacked = plan.folder("packages") / BIOPYTHON
    packages.unpack_together([BIOPYTHON], unpacked)
    rows = ["chromosome,accession,structure,annotation"]
    for protein in PROTEINS:
        if protein.pattern is None:
            name, data = "2BEG.pdb.gz", (unpacked / REAL).read_bytes()
        else:
            name = f"AF-{protein.accession}-F1-model_v4.pdb"
            data = structures.pdb(protein.accession, protein.pattern)
        _write(folder / "structures" / name, data)
        _write(folder / f"annotations/{protein.accession}.json",
               files.json_bytes(_annotation(protein)))
        base = "https://data.hello.example.org/chromapipe"
        rows.append(f"{protein.chromosome},{protein.accession},{base}/structures/{name},"
                    f"{base}/annotations/{protein.accession}.json")
    _write(folder / "proteins.csv", "\n".join([*rows, ""]).encode())


def _write(path: Path, data: bytes) -> None:
    if not path.is_file() or path.read_bytes() != data:
        files.write_bytes(path, data)


def _annotation(protein: Protein) -> dict[str, object]:
    """An entry in the form of UniProtKB's JSON, as far as chromapipe reads it."""
    return {
        "entryType": "made for the local site of nf-airlock",
        "primaryAccession": protein.accession,
        "proteinDescription": {"recommendedName": {"fullName": {"value": protein.name}}},
        "genes": [{"geneName": {"value": protein.gene}}],
        "comments": [{"commentType": "SUBCELLULAR LOCATION", "subcellularLocations": [
            {"location": {"value": protein.location}}]}],
        "keywords": [{"name": "Reference proteome"}],
        "sequence": {"length": protein.length, "molWeight": protein.mass},
    }
