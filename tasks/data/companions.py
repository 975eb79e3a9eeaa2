"""Files that lie beside others and are found by their names: indexes."""

from __future__ import annotations

FASTA = (".fa", ".fasta", ".fna", ".fas")
PACKED = (".gz", ".bgz")
INDEXED = (".vcf", ".bed", ".gff", ".gff3", ".gtf", ".tab", ".tsv", ".bcf")
"""What tabix and bcftools index, once it is packed by bgzip."""


def names(name: str) -> tuple[str, ...]:
    """The names that the indexes of a file may have, by samtools, bcftools and tabix.

    x.fa: x.fa.fai; packed, x.fa.gz.gzi too. x.bam: x.bam.bai, x.bai, x.bam.csi. x.cram:
    x.cram.crai, x.crai. x.vcf.gz and other tables: .tbi, .csi. x.bcf: .csi.
    """
    low = name.lower()
    packed = next((ending for ending in PACKED if low.endswith(ending)), "")
    plain = low.removesuffix(packed)
    if plain.endswith(FASTA):
        return (f"{name}.fai", f"{name}.gzi") if packed else (f"{name}.fai",)
    if low.endswith(".bam"):
        return f"{name}.bai", f"{name[:-4]}.bai", f"{name}.csi"
    if low.endswith(".cram"):
        return f"{name}.crai", f"{name[:-5]}.crai"
    if packed and plain.endswith(INDEXED):
        return f"{name}.tbi", f"{name}.csi"
    return (f"{name}.csi",) if low.endswith(".bcf") else ()
