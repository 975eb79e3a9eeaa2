"""Login pages and captive portals: a web page with status 200 is never taken for a file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.core.errors import RegistryError, SourceError
from tasks.core.net import download, web_page
from tasks.core.registry.client import Access, Registries
from tasks.data.mirror import mirror
from tests.kit.data import PUBLIC, data_spec
from tests.kit.registry_memory import Memory, Request
from tests.kit.web import Web, near

pytestmark = pytest.mark.usefixtures("quick")

LOGIN = (b"\xef\xbb\xbf<!-- x -->\n<!DOCTYPE html>\n"
         b"<html><head><title>Please\n log in</title></head>")


@pytest.mark.parametrize("page", [LOGIN, b"<HTML>", b"\n <html lang='en'>", b"<head><meta>",
                                  b"<?xml version='1.0'?>\n<!DOCTYPE html PUBLIC 'x'>",
                                  b"<script>location='/login'</script>"])
def test_a_web_page_instead_of_data_is_refused_with_its_address(
        tmp_path: Path, web: Web, params: dict[str, Any], page: bytes) -> None:
    params |= {"input": f"{PUBLIC}sheet.csv", "fasta": f"{PUBLIC}g.fa"}
    web.files = {"/sheet.csv": f"sample,fastq\na,{PUBLIC}x.fastq.gz\n".encode(),
                 "/x.fastq.gz": page, "/g.fa": b">g\n"}
    with pytest.raises(SourceError) as caught:
        mirror(data_spec(tmp_path, web))
    said = str(caught.value)
    assert f"{PUBLIC}x.fastq.gz: a web page came instead of the file, with status 200" in said
    assert "sheet.csv, row 1, column fastq" in said
    assert f"asked at {web.url}/x.fastq.gz" in said
    assert ('titled "Please log in"' in said) == (page == LOGIN)
    assert not [path for path in (tmp_path / "blobs").rglob("*") if path.name == "x.fastq.gz"]
    assert not (tmp_path / "data.manifest.json").exists()
    web.files["/x.fastq.gz"] = b"\x1f\x8b"
    assert mirror(data_spec(tmp_path, web)).startswith("2 files")


def test_the_sheet_itself_may_be_a_login_page(tmp_path: Path, web: Web,
                                              params: dict[str, Any]) -> None:
    params |= {"input": f"{PUBLIC}sheet.csv"}
    web.files = {"/sheet.csv": LOGIN}
    with pytest.raises(SourceError, match=r"(?s)sheet\.csv: a web page came.*in params\.input"):
        mirror(data_spec(tmp_path, web))


def test_a_file_that_says_that_it_is_a_page_is_carried(tmp_path: Path, web: Web,
                                                       params: dict[str, Any]) -> None:
    params |= {"report": f"{PUBLIC}report.html", "logo": f"{PUBLIC}logo.svg"}
    web.files = {"/report.html": LOGIN, "/logo.svg": b"<?xml version='1.0'?>\n<svg></svg>"}
    assert mirror(data_spec(tmp_path, web)).startswith("2 files")


def test_plugins_runtimes_and_archives_are_no_pages(tmp_path: Path, web: Web) -> None:
    web.files = {"/nf-x-1.0.zip": LOGIN}
    with pytest.raises(SourceError, match="a web page came instead of the file") as caught:
        download.fetch(f"{web.url}/nf-x-1.0.zip", tmp_path / "x.zip", network=near(), most=10**6)
    assert f"{web.url}/nf-x-1.0.zip" in str(caught.value)
    assert not (tmp_path / "x.zip").exists()


@pytest.fixture
def portal(far: Memory) -> Iterator[Registries]:
    """A registry before which a portal answers everything."""
    def answer(request: Request) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "text/html"}, LOGIN

    far.spoil = answer
    yield Registries(Access(registries={"quay.io": far.url}, ca=None, authfile=None,
                            network=near()))


def test_a_portal_before_a_registry_is_named(portal: Registries) -> None:
    registry = portal.at("quay.io")
    for ask in (registry.ping, lambda: registry.manifest("a/b", "1"), lambda: registry.tags("a/b")):
        with pytest.raises(RegistryError, match="with a web page") as caught:
            ask()
        assert re.search(r"where: http://127\.0\.0\.1:\d+/v2/", str(caught.value))


def test_data_that_only_look_like_markup_are_no_page() -> None:
    for data in (b"<svg>", b"<?xml version='1.0'?><mzML>", b">seq <html>\nACGT", b"", b"<htmlx>"):
        assert not web_page.is_page(data)
