"""What the docs show is true: their YAML fits the schemas, their links and tasks are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tasks.core.config.load import load
from tasks.core.graph import rooms
from tasks.core.schema import check

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", "docs/commands.md", "docs/pipelines.md",
         "docs/architecture.md", "docs/aws.md", "docs/decisions/what-a-bucket-denies.md",
         "docs/batch.md", "docs/security.md", "docs/decisions/promotion.md",
         "docs/decisions/what-is-signed.md", "docs/runbooks/release-day.md",
         "docs/runbooks/two-colleagues.md",
         "docs/decisions/going-back.md", "docs/runbooks/going-back.md",
         "docs/runbooks/withdrawing.md", "docs/runbooks/before-a-release.md",
         "docs/runbooks/audit.md", "docs/decisions/what-a-run-records.md",
         "docs/troubleshooting.md", "docs/decisions/locks-by-site.md",
         "docs/runbooks/two-sites.md"]


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a language, those in lists too, without their indentation."""
    fences = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", (ROOT / page).read_text(),
                       re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in fences]


@pytest.mark.parametrize(("page", "schema"), [("README.md", "site"),
                                              ("CONTRIBUTING.md", "pipeline"),
                                              ("docs/pipelines.md", "pipeline")])
def test_the_configurations_that_are_shown_fit_their_schemas(page: str, schema: str) -> None:
    shown = blocks(page, "yaml")
    assert shown
    for text in shown:
        check(yaml.safe_load(text), schema, where=page)


def test_what_a_site_says_of_its_bucket_fits_the_schema() -> None:
    site = yaml.safe_load(blocks("README.md", "yaml")[0])
    fragments = blocks("docs/aws.md", "yaml")
    assert fragments
    for text in fragments:
        check({**site, **yaml.safe_load(text)}, "site", where="docs/aws.md")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text()):
        assert ((ROOT / page).parent / target).exists(), target


@pytest.mark.parametrize("path", sorted((ROOT / "config/pipelines").glob("*.yml")),
                         ids=lambda path: path.stem)
def test_the_pipelines_that_come_along_can_be_loaded(project: Path, path: Path) -> None:
    site = project / "config/sites/local.yml"
    raw = yaml.safe_load(site.read_text())
    site.write_text(yaml.safe_dump({**raw, "pipelines": [path.stem]}))
    (project / f"config/pipelines/{path.name}").write_text(path.read_text())
    assert load({"pipeline": path.stem}).pipelines[0].name == path.stem


def test_the_tasks_that_are_named_can_be_typed(project: Path) -> None:
    names = set()
    for given in ({}, {"role": "prod"}):
        config = load(given)
        names |= {task["basename"] for task in rooms.tasks(config)}
    names |= set(re.findall(r'^"([a-z]+:[a-z]+)" = "tasks', (ROOT / "pyproject.toml").read_text(),
                            re.MULTILINE))
    text = "\n".join((ROOT / page).read_text() for page in PAGES)
    for name in re.findall(r"`(?:\./)?doit (?:[a-z]+=\w+ )*([a-z]+:[a-z-]+)", text):
        assert name in names, name
