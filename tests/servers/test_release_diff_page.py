"""The page and the text of a comparison, where names come from outside."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tasks.commands.release_diff import diff
from tasks.release import release
from tests.kit.release_pairs import hostile, report, rows_of, spec, two
from tests.kit.releases import Staged, stage


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Staged:
    """A staged pipeline of which nothing was pushed yet."""
    monkeypatch.chdir(tmp_path)
    return stage()


class Tags(HTMLParser):
    """All elements and attributes of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_hostile_names_steer_neither_page_nor_terminal(ready: Staged,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    first = ready.publish()
    hostile(ready)
    release.make(ready.release_spec())
    content = report(spec(ready, first, "now"))
    rows = rows_of(content)
    assert all(rows[name] for name in ("code", "images", "data", "params", "config", "reach"))
    printed = capsys.readouterr().out
    page = ready.layout.release_diff.with_suffix(".html").read_text()
    for text in (printed, page):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202e]", text)
        assert "$49" not in text and "49}" not in text
    read = Tags(page)
    assert not {"img", "iframe", "link", "object", "a\x1b"} & read.tags
    assert not {name for name in read.attributes if name.startswith("on")}
    assert page.count("<script>") == page.count("</script>") == 1
    assert "<script>alert(1)</script>\"'>&\\x1b]0;owned\\x07\\u202egnp.exe\\u200b" in read.text


def test_the_page_asks_nothing_of_a_network(ready: Staged) -> None:
    first, second = two(ready)
    diff(spec(ready, first, second))
    page = ready.layout.release_diff.with_suffix(".html").read_text()
    read = Tags(page)
    assert {"src", "srcset", "action", "ping"}.isdisjoint(read.attributes)
    assert not re.findall(r'(?:href="(?!#)|url\(|@import)', page)
    assert "default-src 'none'" in page and page.count("<script") == 1
    for text in ("prefers-color-scheme: dark", "@media print", "width=device-width"):
        assert text in page


def test_the_page_says_who_has_proven_both_releases_and_how(ready: Staged) -> None:
    first, second = two(ready)
    diff(spec(ready, first, second))
    text = Tags(ready.layout.release_diff.with_suffix(".html").read_text()).text
    assert len(re.findall(r"made by airlock with the key SHA256:\S{43}, no git commit", text)) == 2
    assert text.count("smoke run: stub run, ended well; log ") == 2
