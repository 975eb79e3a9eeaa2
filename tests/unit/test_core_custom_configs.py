"""Which institutional configs a pipeline's code includes, in the forms of nf-core's template."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.errors import AirlockError
from tasks.core.source import custom_configs
from tasks.core.source.custom_configs import Includes

PATH = '"${params.custom_config_base}/nfcore_custom.config"'
OFFLINE = "System.getenv('NXF_OFFLINE')"
OLD = f"try {{\n    includeConfig {PATH}\n}} catch (Exception e) {{ }}\n"
SKIPS = f'includeConfig !{OFFLINE} && params.custom_config_base ? {PATH} : "/dev/null"\n'
LOCAL = ("includeConfig params.custom_config_base && "
         f"(!{OFFLINE} || !params.custom_config_base.startsWith('http')) ? {PATH} : '/dev/null'\n")


@pytest.mark.parametrize(("text", "skips"), [
    (OLD, False), (SKIPS, True), (SKIPS.replace("? ", "?\n    "), True),
    (SKIPS.replace(" ? ", "\n    ? "), True), (LOCAL, False),
    (LOCAL.replace("? ", "?\n    "), False)])
def test_each_form_of_the_template_is_recognised(tmp_path: Path, text: str, skips: bool) -> None:
    files.write_text(tmp_path / "nextflow.config", text)
    assert custom_configs.includes(tmp_path) == Includes(
        named=("nfcore_custom.config",), skipped=("nfcore_custom.config",) if skips else ())


@pytest.mark.parametrize("text", [
    f"// includeConfig {PATH}\n",
    "includeConfig 'conf/base.config'\n",
    'includeConfig "${params.other_base}/x.config"\n',
    'includeConfig "${params.custom_config_base}/${params.name}.config"\n'])
def test_nothing_else_counts(tmp_path: Path, text: str) -> None:
    """Neither comments nor other bases; a path made at run time can't be known."""
    files.write_text(tmp_path / "nextflow.config", text)
    assert custom_configs.includes(tmp_path) == Includes(named=(), skipped=())


def test_what_the_tree_lacks_is_answered_and_the_rest_kept(tmp_path: Path) -> None:
    files.write_text(tmp_path / "nfcore_custom.config", "kept")
    custom_configs.answer(tmp_path, ["nfcore_custom.config", "pipeline/x.config"])
    assert (tmp_path / "nfcore_custom.config").read_text() == "kept"
    assert (tmp_path / "pipeline/x.config").read_text() == ""


def test_no_answer_is_written_outside(tmp_path: Path) -> None:
    with pytest.raises(AirlockError):
        custom_configs.answer(tmp_path / "tree", ["../out.config"])
    assert not (tmp_path / "out.config").exists()
