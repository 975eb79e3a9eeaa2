"""`doit add`: what is chosen for a pipeline's code, what is refused, and what is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.code import releases
from tasks.commands import add_source
from tasks.commands.add import add
from tasks.commands.add_file import scalar
from tasks.core.config.load import RESERVED, load
from tasks.core.config.settings import Origin
from tasks.core.errors import ConfigError
from tasks.core.graph import rooms
from tasks.core.graph.commands import Typed
from tasks.core.nextflow import runtimes
from tests.kit.pipelines import Pipeline

CONFIG = """
    manifest { name = 'lab/weigh'; description = 'Weighs reads'; nextflowVersion = '!>=24.04.0' }
    params {
        input = null
        scale = null
        base = 's3://references/x'
        custom_config_version = 'main'
        raw = 'https://raw.githubusercontent.com'
        custom_config_base = "${params.raw}/lab/configs/${params.custom_config_version}"
    }
    includeConfig "${params.custom_config_base}/nfcore_custom.config"
    process { withName: SORT_FEW { container = 'lab/sort:1' } }
    profiles { docker { docker.enabled = true }
               test_full { params.input = 'all.csv' }
               test { params.input = 'https://example.org/few.csv' } }
"""
SCHEMA = ('{"$defs": {"io": {"required": ["input", "outdir", "scale"], "properties": '
          '{"input": {}, "outdir": {}, "scale": {}}}}}')
MAIN = """
    process WEIGH { container 'quay.io/lab/weigh:1'; script: '' }
    process GUESS { container "${params.image}"; script: '' }
    process BARE { script: '' }
    process COUNT { exec: n = 1 }
    include { SORT as SORT_FEW } from './sort'
    workflow { WEIGH(); GUESS(); BARE(); COUNT(); SORT_FEW() }
"""


BRIEF = "process A { container 'a/b:1'; script: '' }\nworkflow { A() }\n"


def typed(*words: str, **variables: str) -> Typed:
    return Typed(words=words, variables=variables)


def written(name: str) -> dict[str, Any]:
    raw: dict[str, Any] = yaml.safe_load(Path(f"config/pipelines/{name}.yml").read_text())
    return raw


def test_a_folder_s_configuration_is_whole_and_says_why(
        project: Path, pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    code = pipeline({"main.nf": MAIN, "nextflow.config": CONFIG, "nextflow_schema.json": SCHEMA,
                     "sort.nf": "process SORT { script: '' }"})
    assert add(typed(str(code), name="weigh")) == 0
    assert written("weigh") == {
        "source": str(code), "profile": "test",
        "configs": {"source": "https://github.com/lab/configs", "revision": "main"},
        "nextflow": {"version": "24.10.5", "coordinates": list(runtimes.COORDINATES)},
        "data": {"rows": 2, "limit": "5 GB"}}
    text = Path("config/pipelines/weigh.yml").read_text()
    for line in ("# " + str(code) + ": Weighs reads", "#   scale: VALUE",
                 "#   GUESS: HOST/PATH:TAG", "#   BARE: HOST/PATH:TAG",
                 "the pipeline asks for !>=24.04.0"):
        assert line in text
    assert "input: VALUE" not in text
    assert "COUNT: " not in text
    assert "SORT: " not in text
    assert "outdir" not in text
    said = capsys.readouterr().out
    for part in ("wrote config/pipelines/weigh.yml", "params.scale", "params.base names "
                 "s3://references", "GUESS: the image hangs on params.image",
                 "BARE: it has no image: ",
                 "./doit pipeline=weigh images:list data:plan"):
        assert part in said
    assert load({"pipeline": "weigh"}).pipelines[0].profile == "test"


def test_nothing_is_overwritten(project: Path, pipeline: Pipeline) -> None:
    code = pipeline({"main.nf": BRIEF})
    add(typed(str(code)))
    before = Path("config/pipelines/code.yml").read_bytes()
    with pytest.raises(ConfigError, match="already, and it is not overwritten") as caught:
        add(typed(str(code)))
    assert "config/pipelines/code.yml" in str(caught.value)
    assert "name=OTHER" in str(caught.value)
    Path("config/pipelines/dangling.yml").symlink_to("/nowhere")
    with pytest.raises(ConfigError, match="already"):
        add(typed(str(code), name="dangling"))
    assert Path("config/pipelines/code.yml").read_bytes() == before
    assert not [path for path in Path("config/pipelines").iterdir() if path.suffix != ".yml"]


def test_a_description_can_t_write_keys(project: Path, pipeline: Pipeline) -> None:
    evil = "x\\nimages: {A: evil/x:1}\\r\\u2028profile: evil"
    code = pipeline({"main.nf": BRIEF, "nextflow.config":
                     f"manifest.description = \"{evil}\"\nprofiles {{ test {{ a = 1 }} }}"})
    add(typed(str(code)))
    assert set(written("code")) == {"source", "profile", "nextflow", "data"}
    assert written("code")["profile"] == "test"


@pytest.mark.parametrize(("profiles", "chosen"), [
    ("test", "test"), ("docker,test_full,test_small", "test_small"), ("docker,test_full", None),
    ("Test", "Test"), ("docker", None), ("", None), ("contest", None)])
def test_the_profile_with_small_data_is_taken(
        project: Path, pipeline: Pipeline, profiles: str, chosen: str | None,
        capsys: pytest.CaptureFixture[str]) -> None:
    blocks = "".join(f"  {name} {{ params.a = 1 }}\n" for name in profiles.split(",") if name)
    code = pipeline({"main.nf": BRIEF, "nextflow.config":
                     f"params.input = ''\nprofiles {{\n{blocks}}}\n"})
    add(typed(str(code)))
    assert written("code")["profile"] == (chosen or "standard")
    assert ("no profile with test data" in capsys.readouterr().out) == (chosen is None)
    assert "input: VALUE" in Path("config/pipelines/code.yml").read_text()


@pytest.mark.parametrize(("condition", "version"), [
    ("", "24.10.5"), ("!>=24.04.2", "24.10.5"), (">=20.07.1", "24.10.5"),
    ("!>=23.10.0, <=24.10.5", "24.10.5"), ("!>=24.10.6", "24.10.9"), ("!>=25.04.3", "25.04.8"),
    (">=25.04.0, <25.04.6", "25.04.5"), ("!>=25.10.4", "25.10.4"), ("!>=25.10.5", "25.10.7"),
    ("25.10.2", "25.10.2"), (">25.04.8", "25.10.4"), ("!>=26.04.0", "26.04.6"),
    ("25.04+", "25.04.8")])
def test_the_runtime_fits_the_code(condition: str, version: str) -> None:
    runtime = runtimes.choose(condition)
    assert runtime.fits
    assert runtime.version == version
    assert (runtime.dist is None) == (version == "24.10.5")
    assert runtime.dist is None or version in runtime.dist


@pytest.mark.parametrize("condition", ["!<23.04", "!>=27.04", "22.10.6"])
def test_a_wish_that_no_known_runtime_fits_is_said(
        project: Path, pipeline: Pipeline, condition: str,
        capsys: pytest.CaptureFixture[str]) -> None:
    code = pipeline({"main.nf": BRIEF, "nextflow.config":
                     f"manifest.nextflowVersion = '{condition}'"})
    add(typed(str(code)))
    said = capsys.readouterr().out
    assert f"the pipeline asks for {condition}" in said
    assert "no source of one is known here" in said


def test_what_no_nextflow_of_today_runs_is_said(project: Path, pipeline: Pipeline,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    code = pipeline({"main.nf": "process A {\n container 'a/b:1'\n input:\n val x from y\n"
                                " script:\n ''\n}\n"})
    add(typed(str(code)))
    assert "DSL1" in capsys.readouterr().out


def test_one_script_by_another_name_is_the_main_one(
        project: Path, pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    code = pipeline({"weigh.nf": BRIEF, "modules/x.nf": BRIEF})
    add(typed(str(code)))
    assert written("code")["script"] == "weigh.nf"
    (code / "count.nf").write_text(BRIEF)
    add(typed(str(code), name="two"))
    assert "script" not in written("two")
    assert "count.nf, weigh.nf" in capsys.readouterr().out


def refs(*tags: str, **others: str) -> dict[str, str]:
    return {**{f"refs/tags/{tag}": "0" * 40 for tag in tags}, **others}


@pytest.mark.parametrize(("tags", "newest"), [
    (("1.9.0", "1.10.0", "1.2"), "1.10.0"), (("v1.0", "v0.9.1"), "v1.0"),
    (("1.0.0", "1.1.0-rc1", "1.1.0dev", "2.0.0b2", "2.0-alpha.1"), "1.0.0"),
    (("20240101", "1.2.0"), "1.2.0"), (("1", "2", "10"), "10"),
    (("release-1.0", "release-1.2", "x-9.9"), "release-1.2"), (("latest", "1.0.1"), "1.0.1"),
    (("1." + "9" * 5000, "1.0"), "1.0"), (("2023.10.1", "2024.1.1"), "2024.1.1")])
def test_the_newest_release_is_the_highest_version(tags: tuple[str, ...], newest: str) -> None:
    chosen = releases.newest(refs(*tags, HEAD="refs/heads/dev"))
    assert chosen is not None
    assert chosen.revision == newest


@pytest.mark.parametrize(("known", "branch"), [
    (refs("nightly", HEAD="refs/heads/dev"), "dev"),
    (refs("1.0-rc1", **{"refs/heads/dev": "x", "refs/heads/master": "y"}), "master"),
    (refs(**{"refs/heads/work": "x"}), "work"), ({}, None)])
def test_without_a_release_it_is_the_default_branch(known: dict[str, str],
                                                    branch: str | None) -> None:
    newest = releases.newest(known)
    assert (newest.revision if newest else None) == branch
    assert newest is None or newest.releases == 0


@pytest.mark.parametrize(("text", "source"), [
    ("nf-core/demo", "https://github.com/nf-core/demo"),
    ("lab/weigh.git", "https://github.com/lab/weigh"),
    ("nf-core/demo/", "https://github.com/nf-core/demo"),
    ("https://git.example.org/lab/weigh.git/", "https://git.example.org/lab/weigh.git"),
    ("https://git.example.org/lab/weigh?tab=readme#top", "https://git.example.org/lab/weigh"),
    ("git@git.example.org:lab/weigh.git", "git@git.example.org:lab/weigh.git"),
    ("ssh://git@git.example.org:22/lab/weigh", "ssh://git@git.example.org:22/lab/weigh"),
    ("file:///srv/git/weigh.git", "file:///srv/git/weigh.git"),
    ("examples/hello/", "examples/hello"), ("./examples/../examples/hello", "examples/hello")])
def test_sources_are_understood(project: Path, text: str, source: str) -> None:
    assert add_source.origin(text, None) == Origin(source=source)


@pytest.mark.parametrize(("text", "said"), [
    ("", "no source"), ("demo", "doit add nf-core/demo"), ("no/such/folder", "no folder here"),
    ("https://me:s3cret@git.example.org/x", "holds a login"),
    ("https://t0ken@git.example.org/x", "holds a login"),
    ("https://git.example.org", "names no repository"), ("https://[::1/x", "no URL"),
    ("ftp://git.example.org/x", "ftp://"), ("ext::sh -c evil", "no folder here"),
    ("--upload-pack=evil", "no folder here"), ("https://example.org/x.tar.gz", "SHA-256"),
    ("https://github.com/nf-core/demo/tree/1.0.2",
     "doit add https://github.com/nf-core/demo revision=REVISION"),
    ("https://nf-co.re/demo/1.0.2/docs", "to do: doit add nf-core/demo"),
    ("a\nb", "no source"), ("nf-core/demo/tree", "no folder here")])
def test_sources_that_can_t_be_are_refused(project: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        add_source.origin(text, None)
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "t0ken" not in str(caught.value)


@pytest.mark.parametrize(("source", "name"), [
    ("https://github.com/nf-core/demo", "demo"), ("https://x.org/CalliNGS-NF.git", "callings-nf"),
    ("git@x.org:lab/What_the_Phage.git", "what_the_phage"), ("/srv/my pipe", "my-pipe"),
    ("file:///srv/weigh/.git", "weigh")])
def test_a_pipeline_is_called_after_its_source(project: Path, source: str, name: str) -> None:
    Path("config/pipelines/demo.yml").unlink()
    assert add_source.name(source, None) == name


@pytest.mark.parametrize("name", ["", "../x", "A", "1x", "x/y", "x.y", "x" * 61, "x\n", "-x",
                                  *RESERVED])
def test_names_that_can_t_be_are_refused(project: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="name"):
        add_source.name("https://github.com/lab/weigh", name)


def test_what_is_reserved_is_what_would_clash(project: Path) -> None:
    """A verb `a:b`, where `a` takes pipelines, is a task that a pipeline `b` would have, too."""
    site = Path("config/sites/local.yml")
    site.write_text(site.read_text() + "images: {carry: store}\n")
    for role in ("online", "prod"):
        declared = list(rooms.tasks(load({"role": role})))
        verbs = {task["basename"] for task in declared if task.get("name") == "hello"}
        for basename in {task["basename"] for task in declared} | {"stage:configs"}:
            verb, _, last = basename.rpartition(":")
            assert verb not in verbs or last in RESERVED, basename


def test_a_reserved_name_is_refused_by_hand_too(project: Path) -> None:
    Path("config/pipelines/hello.yml").rename("config/pipelines/sandbox.yml")
    with pytest.raises(ConfigError, match="can't name a pipeline"):
        load({"pipeline": "sandbox"})


@pytest.mark.parametrize("value", ["1.0", "2.10.0", "yes", "null", "a: b", "# x", "x #y", "'", "",
                                   "@x", "*x", "x:", "0x10", "1e3", " x", "2024-01-01", "é\n"])
def test_text_is_read_back_as_it_was(value: str) -> None:
    assert yaml.safe_load(f"key: {scalar(value)}") == {"key": value}
