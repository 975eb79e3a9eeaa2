"""Images that stand in params, maps, functions, classes and `task.ext`: their values are known."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tasks.core.errors import ImageError
from tasks.core.source.files import opened
from tasks.images import scan as scanner
from tests.kit.image_values import SURE
from tests.kit.pipelines import Pipeline, directive


@pytest.mark.parametrize("name", SURE)
def test_an_image_that_the_sources_decide_is_known(pipeline: Pipeline, name: str) -> None:
    sources, wanted = SURE[name]
    found = scanner.scan(pipeline(sources), {})
    listed: dict[str, set[str]] = {}
    for use in found.uses:
        for called in use.aliases or [use.name]:
            listed.setdefault(called, set()).add(use.container.removeprefix("docker.io/"))
    assert found.faults == []
    if name == "configs":  # of one process: which alias takes which, its selector asks in a run
        assert listed.pop("ONE") == listed.pop("TWO") == {"q/one:1", "q/two:1"}
        wanted = {process: image for process, image in wanted.items()
                  if process not in ("ONE", "TWO")}
    assert listed == {process: {image} for process, image in wanted.items()}


def images(code: Path, **options: Any) -> list[str]:
    """The images of a scan without faults, as the sources name them."""
    found = scanner.scan(code, {}, **options)
    assert found.faults == []
    return [image.removeprefix("docker.io/") for image in found.images]


@pytest.mark.parametrize(("config", "container", "wanted"), [
    ("params.a = null", 'container "${params.a == null ? \'q/x:1\' : params.a}"', ["q/x:1"]),
    ("params.a = null", 'container "${params.a ? params.a : \'q/x:1\'}"', ["q/x:1"]),
    ("params.a = null", 'container "${!params.a ? \'q/x:1\' : "q/y:${params.a}"}"', ["q/x:1"]),
    ("params { a = null; b = null }",
     "container params.a != null && params.b != null ? \"${params.a}:${params.b}\" : 'q/x:1'",
     ["q/x:1"]),
    ("", "container params.containsKey('a') ? params.a : 'q/x:1'", ["q/x:1"]),
    ("", 'container "${params.a ?: \'q/x:1\'}"', ["q/x:1"]),
    ("", 'container "${params.get(\'a\') ?: \'q/x:1\'}"', ["q/x:1"]),
    ("params.kind = 'b'", "container params.kind == 'a' ? \"q/${params.kind}:1\" : 'q/x:1'",
     ["q/a:1", "q/x:1"]),
    ("if (params.flag) { params.a = 'q/x:1' } else { params.a = 'q/y:1' }", "container params.a",
     ["q/x:1", "q/y:1"]),
    ("params.flag = true\nprocess { withName: A { ext.big = params.flag } }",
     "container task.ext.big ? 'q/big:1' : 'q/small:1'", ["q/big:1", "q/small:1"]),
    ("params.flag = true\nprocess { if (params.flag) { withName: A { ext.of = 'q/x:1' } } }\n"
     "process.ext.of = 'q/y:1'", 'container "${task.ext.of}"', ["q/x:1", "q/y:1"]),
    ("process { withName: '.*:OTHER' { ext.of = 'q/x:1' } }\nprocess.ext.of = 'q/y:1'",
     'container "${task.ext.of}"', ["q/y:1"]),
])
def test_a_condition_goes_both_ways_and_says_what_holds_in_each(
        pipeline: Pipeline, config: str, container: str, wanted: list[str]) -> None:
    assert images(pipeline(directive(container, config))) == wanted


@pytest.mark.parametrize(("body", "wanted"), [
    ("switch (params.kind) {\n case 'a': return 'q/a:1'\n case 'b': return 'q/b:1'\n}\n'q/c:1'",
     ["q/a:1", "q/b:1", "q/c:1"]),
    ("def tag = '1'\nswitch ('x') {\n case 'x': tag = '2'; break\n default: tag = '3'\n}\n"
     "return 'q/a:' + tag", ["q/a:2"]),
    ("def tag = '1'\nswitch (x) {\n case 'a': tag = '2'\n case 'b': tag += '3'\n}\n\"q/a:$tag\"",
     ["q/a:1", "q/a:13", "q/a:23"]),
    ("try { return new URL('x').text } catch (Exception e) { return 'q/a:1' }", None),
    ("def found = 'q/a:1'\nfor (item in x) { if (item) { return 'q/b:1' } }\nfound",
     ["q/a:1", "q/b:1"]),
    ("if (!x) { throw new Exception('no') }\nprintln 'one'\nreturn 'q/a:1'", ["q/a:1"]),
    ("Map<String, List<String>> all = [a: ['q/a:1']]\nall.a[0]", ["q/a:1"]),
    ("def all = [:]\nall.a = 'q/a:1'\nall.a", ["q/a:1"]),
    ("def all = [a: 'q/a:1']\nx.each { all = it }\nall.a", None),
    ("image(x)", None),
])
def test_what_a_function_returns_is_followed_as_far_as_it_is_plain(
        pipeline: Pipeline, body: str, wanted: list[str] | None) -> None:
    code = pipeline({"main.nf": "def image(x) {\n" + body + "\n}\n"
                     "process A {\n container { image(task.cpus) }\n script: 'true'\n}\n"})
    if wanted is None:
        assert len(scanner.scan(code, {}).faults) == 1
    else:
        assert images(code) == wanted


def test_nextflow_26_is_read_where_images_hang_on_it(pipeline: Pipeline) -> None:
    """Modules of a registry, and typed params, records, functions, processes and outputs."""
    code = pipeline({
        "main.nf": """
            nextflow.enable.types = true
            include { SORT ; sorted } from 'acme.x/sam_tools/sort-it'
            params {
                input: Path?
                save: Boolean = false
                image: String = 'q/typed:1'
                tools: Map<String, String> = [a: 'q/map:a',
                    b: 'q/map:b']
                held: String = 'q/script:1'
            }
            record Sample {
                id: String
                container: String
            }
            process TYPED {
                container { params.image }
                input:
                sample: Sample
                record(id: String, container: Path)
                stage:
                stageAs sample, 'container.txt'
                output:
                out: Path = file('x')
                topic:
                file('versions.yml') >> 'versions'
                script:
                "container"
            }
            process MAPPED { container { params.tools.a }; script: 'true' }
            process HELD { container params.held; script: 'true' }
            process CALLED { container { of('z') }; script: 'true' }
            def of(name: String, all: Map<String, String> = [z: 'q/called:z']) -> String {
                def found: String = all[name]
                return found
            }
            workflow {
                main:
                TYPED(); MAPPED(); HELD(); CALLED(); SORT(); sorted()
                publish:
                samples = channel.empty()
            }
            output {
                samples: Channel<Path> { path { sample -> "container/${sample.id}" } }
            }
            """,
        "nextflow.config": "params.held = 'q/config:1'\n",
        "modules/acme.x/sam_tools/sort-it/main.nf":
            "include { HELP } from 'acme.x/help'\n"
            "process SORT { container 'q/sort:1'; script: 'true' }\n"
            "workflow sorted {\n take:\n reads: Channel<Path>\n main:\n HELP()\n}\n",
        "modules/acme.x/help/main.nf": "process HELP { container 'q/help:1'; script: 'true' }\n"})
    assert images(code) == ["q/called:z", "q/config:1", "q/help:1", "q/map:a", "q/sort:1",
                            "q/typed:1"]


def test_a_module_has_the_params_of_each_that_includes_it(pipeline: Pipeline) -> None:
    code = pipeline({
        "main.nf": "params.tag = 'main'\ninclude { ONE } from './one'\n"
                   "include { DEEP as OTHER } from './deep'\nworkflow { ONE(); OTHER() }\n",
        "one.nf": "params.tag = 'one'\nparams.other = 'x'\n"
                  "include { DEEP } from './deep' addParams(other: 'added')\n"
                  "workflow ONE { DEEP() }\n",
        "deep.nf": "params.other = 'deep'\nprocess DEEP {\n"
                   ' container "q/deep:${params.tag}-${params.other}"\n script: "true"\n}\n'})
    assert images(code) == ["q/deep:main-added", "q/deep:main-deep"]


def test_links_to_folders_of_the_code_are_followed_in_an_archive(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "code.tar", "w") as archive:
        for name, text in {
                "main.nf": "include { A } from './tool/lib/a'\nworkflow { A() }\n",
                "lib/a.nf": "process A { container 'q/a:1'; script: '' }\n"}.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
        for name, target in {"tool/lib": "../lib", "out": "../..", "loop": "loop"}.items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
    assert images(tmp_path / "code.tar") == ["q/a:1"]
    with opened(tmp_path / "code.tar") as sources:
        assert not sources.has("out/etc/passwd")
        assert not sources.has("loop/x")


@pytest.mark.parametrize(("container", "said"), [
    ('container "${projectDir}/img/x.sif"', "'$projectDir/img/x.sif' is a file of"),
    ('container "${moduleDir}/x.sif"', "'$projectDir/x.sif' is a file of"),
    ("container params.tools", "a map is no image"),
    ("container { ['a', 'b'] }", "a list is no image"),
])
def test_messages_show_no_inner_marks_and_no_raw_objects(
        pipeline: Pipeline, container: str, said: str) -> None:
    fault, = scanner.scan(pipeline(directive(container, "params.tools = [a: 'b']")), {}).faults
    assert said in fault
    assert "\0" not in fault
    assert "x00" not in fault


def test_a_lost_include_is_named_by_its_place_in_the_code(pipeline: Pipeline) -> None:
    fault, = scanner.scan(pipeline({
        "main.nf": 'include { X } from "${projectDir}/lost"\n'}), {}).faults
    assert "'$projectDir/lost' is not in the pipeline's code" in fault


def test_what_only_uncalled_processes_hang_on_is_a_notice(pipeline: Pipeline) -> None:
    found = scanner.scan(pipeline({
        "main.nf": "process IDLE { container \"${task.ext.tool.get('docker')}\"; script: '' }\n"
                   "process A { container 'q/a:1'; script: '' }\nworkflow { A() }\n"}), {})
    assert found.faults == []
    assert any("IDLE" in notice and "no workflow calls it" in notice for notice in found.notices)


def test_a_main_script_is_taken_by_name(pipeline: Pipeline) -> None:
    code = pipeline({
        "WES.nf": "process A { container 'q/a:1'; script: '' }\nworkflow { A() }\n",
        "Other.nf": "process B { container 'q/b:1'; script: '' }\nworkflow { B() }\n"})
    assert images(code, script="WES.nf") == ["q/a:1"]
    assert scanner.scan(code, {}, script="Other.nf").as_json()["script"] == "Other.nf"
    with pytest.raises(ImageError) as caught:
        scanner.scan(code, {}, config="config/pipelines/p.yml")
    assert "no main.nf; beside it stand Other.nf, WES.nf" in caught.value.what
    assert "script" in str(caught.value.todo)
