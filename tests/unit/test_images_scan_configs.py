"""The images that a pipeline's config names, for each engine, registry and condition."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tasks.core.errors import ImageError
from tasks.images import scan as scanner
from tests.kit.pipelines import MODULES, TERNARY, Pipeline, directive, scan, write_sources


@pytest.mark.parametrize(("config", "extra"), [
    ("process { withName: 'STAR' { container = 'a/x:1' } }", [("STAR", "docker.io/a/x:1")]),
    ("process { withName: STAR {\n container = { workflow.containerEngine == 'singularity' ?\n"
     " 'https://x' : 'a/x:1' }\n } }", [("STAR", "docker.io/a/x:1")]),
    ("process {\n withName: '.*:PREPARE:STAR_OLD'\n {\n ext.args = '}'\n container = 'a/x:1'\n}}",
     [("STAR_OLD", "docker.io/a/x:1")]),
    ("process { withName: '.*:(STAR|OTHER)' { container = 'a/x:1' } }",
     [("OTHER", "docker.io/a/x:1"), ("STAR", "docker.io/a/x:1")]),
    ("process { withName: 'P:STAR|Q:OTH.*' { container = 'a/x:1' } }",
     [("OTHER", "docker.io/a/x:1"), ("STAR", "docker.io/a/x:1")]),
    ("process { withLabel: 'gpu' { container = 'a/x:1' } }", [("OTHER", "docker.io/a/x:1")]),
    ("process { 'withName:STAR' { container = 'a/x:1' } }", [("STAR", "docker.io/a/x:1")]),
    ("process.container = 'a/all:1'", [("BARE", "docker.io/a/all:1")]),
    ("process { container = 'a/all:1' }", [("BARE", "docker.io/a/all:1")]),
    ("if (params.x) { process { withName: STAR { container = 'a/x:1' } } } else { }",
     [("STAR", "docker.io/a/x:1")]),
    ("try { includeConfig 'more.config' } catch (Exception e) { System.err.println('x') }",
     [("STAR", "docker.io/a/more:1")]),
    ("includeConfig \"${projectDir}/more.config\"", [("STAR", "docker.io/a/more:1")]),
    ("params.base = 'https://host'\nincludeConfig params.base ? \"${params.base}/x.config\" : 'n'",
     []),
    ("profiles { test { includeConfig 'more.config' } }", [("STAR", "docker.io/a/more:1")]),
    ("profiles { arm { includeConfig 'more.config' } }", []),
    ("profiles.arm.process.container = 'a/arm:1'", []),
    ("def f(x) { process.container = 'a/no:1' }\nenv { container = 'x' }", []),
    ("params { container = 'a/no:1'; process = [container: 'a/no:1'] }", []),
])
def test_configured_containers(pipeline: Pipeline, config: str,
                               extra: list[tuple[str, str]]) -> None:
    code = pipeline({**MODULES, "nextflow.config": config,
                     "more.config": "process { withName: STAR { container = 'a/more:1' } }",
                     "conf/containers_conda_lock_files.config":
                         "process { withName: STAR { container = 'modules/x.txt' } }"})
    uses = [(use.name, use.container) for use in scan(code, {}, profiles=["test"])]
    modules = [("OTHER", "docker.io/a/other:1"), ("STAR", "docker.io/a/star:1")]
    assert sorted(uses) == sorted([*modules, *extra])


@pytest.mark.parametrize(("config", "image"), [
    ("docker.registry = 'quay.io'", "quay.io/a/b:1"),
    ("docker { enabled = true; registry = 'quay.io' }", "quay.io/a/b:1"),
    ("profiles { docker { docker.registry = 'quay.io' } }", "quay.io/a/b:1"),
    ("docker.registry = 'quay.io'\nprofiles { other { docker.registry = 'x.io' } }",
     "quay.io/a/b:1"),
    ("params.r = 'quay.io'\ndocker.registry = params.r", "quay.io/a/b:1"),
    ("podman.registry = 'quay.io'", "docker.io/a/b:1"),
    ("", "docker.io/a/b:1"),
])
def test_the_registry_of_unqualified_names(pipeline: Pipeline, config: str, image: str) -> None:
    code = pipeline(directive("container 'a/b:1'", config))
    assert [use.container for use in scan(code, {})] == [image]


def test_a_registry_that_only_a_run_knows_is_an_error(pipeline: Pipeline) -> None:
    code = pipeline(directive("container 'a/b:1'", "\ndocker.registry = System.getenv('R')"))
    with pytest.raises(ImageError) as caught:
        scan(code, {})
    assert caught.value.where == "nextflow.config:2"


@pytest.mark.parametrize(("engine", "container", "image"), [
    ("docker", TERNARY, "quay.io/a/b:1"),
    ("podman", TERNARY, "pod.example.org/a/b:1"),
    ("apptainer", TERNARY, "https://depot.example.org/b"),
    ("apptainer", "container 'oras://x.example.org/a:1'", "oras://x.example.org/a:1"),
    ("apptainer", "container 'docker://x.example.org/a:1'", "x.example.org/a:1"),
    ("singularity", TERNARY, "https://depot.example.org/b"),
    ("singularity", "container 'docker://a:1'", "docker.io/library/a:1"),
    ("apptainer", "container 'a/b:1'", "docker.io/a/b:1"),
    ("apptainer", "container '/images/b.sif'", "/images/b.sif"),
])
def test_engines(pipeline: Pipeline, engine: str, container: str, image: str) -> None:
    code = pipeline(directive(container, "docker.registry = 'quay.io'\n"
                                         "podman.registry = 'pod.example.org'"))
    assert [use.container for use in scan(code, {}, engine=engine)] == [image]


def test_a_config_by_a_called_closure_and_one_far_away(pipeline: Pipeline) -> None:
    found = scanner.scan(pipeline({**MODULES, "more.config":
                                   "process { withName: STAR { container = 'a/more:1' } }",
                                   "nextflow.config": """
        params.mode = 'a,b'
        includeConfig ({
            if (params.mode.split(',').contains('a')) { return 'more.config' }
            return '/dev/null'
        }())
        includeConfig 'https://configs.example.org/x.config'
    """}), {})
    assert "docker.io/a/more:1" in found.images
    assert found.notices == [
        "nextflow.config:7: the config https://configs.example.org/x.config is not in the "
        "pipeline's code; images that it sets are not listed"]


def choices(pipeline: Pipeline, files: Mapping[str, str]) -> dict[str, tuple[int, str | None]]:
    """Each selector's number of images, and its choice."""
    return {selector.pattern: (len(selector.images), selector.choice)
            for selector in scanner.scan(pipeline(files), {}).selectors}


def test_selectors_fold_what_the_config_says(pipeline: Pipeline) -> None:
    assert choices(pipeline, {**MODULES, "nextflow.config": """
        if (params.old) { process { withName: 'STAR_OLD' { container = 'a/x:1' } } }
        process { withName: '.*:SUB:STAR' { container = 'a/y:1' } }
    """}) == {"(.*:)?(OTHER)": (1, None), "(.*:)?(STAR)": (1, None),
              "(.*:)?(STAR_OLD)": (2, "((params.old) ? ('a/x:1') : ('a/star:1'))"),
              "(?=(?:.*:SUB:STAR)$)(.*:)?(STAR)": (1, None), "(.*:)?(BARE)": (0, None)}


def test_a_choice_by_what_only_a_file_knows_is_not_carried_over(pipeline: Pipeline) -> None:
    assert choices(pipeline, {"main.nf": """
        def which() { true }
        process A { container which() ? 'a/b:1' : 'a/c:1'; script: '' }
    """}) == {"(.*:)?(A)": (2, None)}


INSTITUTION = {
    "nfcore_custom.config": """
        profiles {
            site_x { includeConfig "${params.custom_config_base}/conf/site_x.config" }
            other { process { withName: STAR { container = 'site/no:1' } } }
        }
    """,
    "conf/site_x.config": "process { withName: STAR { container = 'site/star:1' } }\n",
}
INCLUDES = """
    params.custom_config_base = 'https://configs.example.org/master'
    includeConfig params.custom_config_base && (!System.getenv('NXF_OFFLINE') ||
        !params.custom_config_base.startsWith('http')) ?
        "${params.custom_config_base}/nfcore_custom.config" : "/dev/null"
"""


def test_institutional_configs_that_are_carried_are_read(pipeline: Pipeline,
                                                         tmp_path: Path) -> None:
    code = pipeline({**MODULES, "nextflow.config": INCLUDES})
    configs = write_sources(tmp_path / "configs", INSTITUTION)
    found = scanner.scan(code, {}, profiles=["test", "site_x"], configs=configs)
    assert found.notices == []
    use, = (use for use in found.uses if use.container == "docker.io/site/star:1")
    assert (use.name, use.file) == ("STAR", "custom_config_base/conf/site_x.config")
    assert "docker.io/site/no:1" not in found.images
    plain = scanner.scan(code, {}, profiles=["test", "site_x"])
    assert len(plain.notices) == 1
    assert "site" not in str(plain.images)
