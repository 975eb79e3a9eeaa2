"""Image files are named as Nextflow looks for them."""

from __future__ import annotations

import pytest

from tasks.core.nextflow.image_files import file_name

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(("container", "name"), [
    (f"quay.io/airlock/seqstats@sha256:{HEX}", f"quay.io-airlock-seqstats@sha256-{HEX}.img"),
    (f"docker://127.0.0.1:8743/tools/a@sha256:{HEX}",
     f"127.0.0.1-8743-tools-a@sha256-{HEX}.img"),
    ("https://depot.galaxyproject.org/singularity/fastqc:0.12.1--hdfd78af_0",
     "depot.galaxyproject.org-singularity-fastqc-0.12.1--hdfd78af_0.img"),
    ("oras://community.wave.seqera.io/library/datavzrd:2.36.12--bb93c8c988b7a9af",
     "community.wave.seqera.io-library-datavzrd-2.36.12--bb93c8c988b7a9af.img"),
    ("https://example.org/images/tool.sif", "example.org-images-tool.sif"),
    ("https://example.org/images/tool.img", "example.org-images-tool.img.img"),
    ("oras://example.org/tool.sif:1.0", "example.org-tool-1.0.sif"),
    ("oras://example.org/a.sif:1.0/b.sif:2", "example.org-a-1.0-b-2.sif"),
    ("https://example.org/by?from=s3://b/k", "example.org-by?from=s3---b-k.img"),
    ("ubuntu", "ubuntu.img")])
def test_is_nextflows_own_name(container: str, name: str) -> None:
    assert file_name(container) == name
