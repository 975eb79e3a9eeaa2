"""The plugin index: what a config asks for, which version fits, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.core.errors import SourceError
from tasks.plugins import index

URL = "https://plugins.example.org/plugins.json"


def catalogue(*releases: tuple[str, str | None], url: str = "x.zip") -> list[Any]:
    return [{"id": "nf-x", "releases": [
        {"version": version, "url": url, "requires": requires, "sha512sum": "0" * 128}
        for version, requires in releases]}]


def test_a_config_s_plugins_are_read() -> None:
    assert index.wanted(["nf-a@1.2.0", "nf-b", "nf-a@1.2.0"], "x") == {
        "nf-a": "1.2.0", "nf-b": None}
    assert index.wanted(None, "x") == {}


def test_ranges_are_read_and_one_plugin_is_asked_for_in_one_way() -> None:
    assert index.wanted(["nf-a@~1.2", "nf-b@>=1.0 & <2"], "x") == {
        "nf-a": "~1.2", "nf-b": ">=1.0 & <2"}
    with pytest.raises(SourceError, match=r"asked for as ~1\.2 and 1\.2\.0"):
        index.wanted(["nf-a@~1.2", "nf-a@1.2.0"], "x")


@pytest.mark.parametrize("plugins", [["nf-a@~"], ["nf-a@~1.2 or so"], ["../x@1"], [3.5, "a b"],
                                     ["a@1", "a@2"], ["a@1/../.."], ["-a@1"]])
def test_odd_plugins_are_refused(plugins: list[Any]) -> None:
    with pytest.raises(SourceError):
        index.wanted(plugins, "x")


def test_an_unpinned_plugin_gets_the_newest_that_fits() -> None:
    known = catalogue(("1.9.0", ">=23.04.0"), ("1.10.0", ">=24.04.0"), ("2.0.0", ">=25.04.0"),
                      ("1.11.0-beta1", ">=23.04.0"))
    chosen = index.choose(known, URL, "nf-x", None, "24.10.5")
    assert (chosen.name, chosen.url) == ("nf-x@1.10.0", "https://plugins.example.org/x.zip")


def test_a_pinned_one_is_taken_as_it_is() -> None:
    known = catalogue(("1.9.0", ">=99"), ("1.10.0", None))
    assert index.choose(known, URL, "nf-x", "1.9.0", "24.10.5").version == "1.9.0"


@pytest.mark.parametrize(("plugin", "version", "said"), [
    ("nf-x", "3.0.0", "but 1.9.0"), ("nf-y", "1.0.0", "did you mean 'nf-x'"),
    ("nf-x", None, "fits Nextflow 24.10.5")])
def test_what_is_missing_is_said(plugin: str, version: str | None, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        index.choose(catalogue(("1.9.0", ">=99")), URL, plugin, version, "24.10.5")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y.zip"])
def test_an_index_of_the_web_may_not_name_local_files(url: str) -> None:
    with pytest.raises(SourceError, match="not on the web"):
        index.choose(catalogue(("1.0", None), url=url), URL, "nf-x", "1.0", "24.10.5")
