"""The AWS CLI as the step makes it of PyPI's packages: once, for all tests that want it."""

from __future__ import annotations

import sys
from pathlib import Path

from tasks.batch import cli, cli_pypi
from tests.kit.kept import kept

BUNDLE, MANIFEST = "aws-cli.tar.gz", "cli.json"


def carried() -> Path:
    """The folder that holds the archive and cli.json."""
    made_from = "\n".join([sys.version, *(Path(module.__file__ or "").read_text()
                                          for module in (cli, cli_pypi)),
                           cli_pypi.REQUIREMENTS.read_text()])
    return kept("carried-cli", made_from, _make)


def spec(folder: Path) -> cli.CliSpec:
    """What makes it in a folder."""
    return cli.CliSpec(platform="linux/amd64", version=None, zip=None, bundle=folder / BUNDLE,
                       manifest=folder / MANIFEST)


def _make(folder: Path) -> None:
    cli.make(spec(folder))
