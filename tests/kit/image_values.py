"""Pipelines whose images stand in params, maps, functions and `task.ext`, by process.

`SURE` are images that nothing but these sources decide; the real Nextflow names the same.
"""

from __future__ import annotations

from collections.abc import Mapping

SCRIPT = "script: 'true'"


def processes(containers: Mapping[str, str]) -> str:
    """A process for each directive, or for each other first line, and a workflow of them all."""
    return "".join(f"process {name} {{\n    {line}\n    {SCRIPT}\n}}\n"
                   for name, line in containers.items()) + (
        f"workflow {{ {'; '.join(f'{name}()' for name in containers)} }}\n")


SCRIPTS = {
    "main.nf": """
        params.kind = params.mode ?: 'plain'
        params.once = 'first'
        params.once = 'second'
        params.held = 'script'
        params.tools = [sort: 'q/sort:1', deep: [er: [x: 'q/deep:1']]]
        include { FROM_MAIN } from './mods/from_main'
        include { ADDED } from './mods/added' addParams(tag: 'added', held: 'over')
        include { ONLY } from './mods/only' params(tag: 'only', other: [a: 'b'])
        include { image_of as chosen } from './mods/functions'
        table = ['a.b': 'q/table:1', plain: 'q/table:2']
        registry = 'a.b'
        def local(x) {
            def found = [p: 'q/local:p'][x]
            if (!found) { return 'q/local:none' }
            found
        }
        """ + processes({
            "ELVIS": 'container "q/elvis:${params.kind}"',
            "ONCE": 'container "q/once:${params.once}"',
            "HELD": 'container "q/held:${params.held}"',
            "BRACKET": "container params.tools['sort']",
            "DOT": 'container "${params.tools.sort}"',
            "GET": "container params.tools.get('sort')",
            "DEEP": "container params.tools.deep['er'].x",
            "FALLBACK": "container params.tools.getOrDefault('none', 'q/fallback:1')",
            "TABLE": 'container "${table[params.nothing ?: registry]}"',
            "CONFIGURED": 'container params.images[params.which]',
            "NESTED": 'container "${params.images.inner.one}:${params.images.inner.tag}"',
            "WHOLE": "def all = params.images\n    container all.bwa",
            "LIST": 'container "q/list:${params.listed[1]}"',
            "NUMBER": "container 'q/number:' + params.number",
            "LOWER": "container 'Q/Low_Er'.toLowerCase().replace('_', '-') + ':1'",
            "SPLIT": 'container "q/split:${params.version.tokenize(\'.\')[0]}"',
            "LESS": 'container "q/less:${params.version - \'.0\'}"',
            "FORMAT": "container String.format('q/%s:%s', 'format', '1')",
            "MANIFEST": 'container "q/manifest:${workflow.manifest.version}"',
            "EMPTY": 'container "${params.empty}q/empty:1"',
            "NONE": "container params.none == null ? 'q/none:1' : params.none",
            "SOME": "container null != params.none ? params.none : 'q/some:1'",
            "LOCAL": "container { local('p') }",
            "OTHER": "container { local('z') }",
            "CASE": "container { chosen('c') }",
            "DEFAULT": "container { chosen('?') }",
            "FIELD": "container Images.SORT",
            "FIELDS": 'container "${Images.ALL.bwa}"',
            "METHOD": "container Images.of('method')",
            "FROM_FLAT": 'container "${params.flat.sort}"'})
    .replace("workflow { ", "workflow { FROM_MAIN(); ADDED(); ONLY(); "),
    "mods/from_main.nf": "params.once = 'module'\nparams.own = 'own'\nparams.held = 'module'\n"
                         "process FROM_MAIN {\n"
                         '    container "q/main:${params.once}-${params.own}-${params.held}"\n'
                         f"    {SCRIPT}\n}}\n",
    "mods/added.nf": "params.tag = 'module'\nprocess ADDED {\n"
                     '    container "q/added:${params.tag}-${params.held}"\n'
                     f"    {SCRIPT}\n}}\n",
    "mods/only.nf": "params.tag = 'module'\nparams.once = 'alone'\nprocess ONLY {\n"
                    f'    container "q/only:${{params.tag}}-${{params.once}}-${{params.other.a}}"\n'
                    f"    {SCRIPT}\n}}\n",
    "mods/functions.nf": """
        def image_of(String name) {
            log.info "the image of ${name}"
            switch (name) {
                case 'a': return 'q/case:a'
                case ['b', 'c']:
                    def tag = 'bc'
                    return "q/case:${tag}"
                default: return 'q/case:default'
            }
        }
        """,
    "lib/Images.groovy": """
        public class Images {
            public static final String SORT = 'q/field:1'
            static final Map<String, String> ALL = [bwa: 'q/fields:bwa']
            static String of(String tool, String tag = '9') { "q/${tool}:${tag}" }
        }
        """,
    "nextflow.config": """
        manifest { version = '1.2.3' }
        params {
            mode = null
            none = null
            empty = ''
            held = 'config'
            number = 4
            version = '7.0'
            listed = ['a', 'b']
            images { bwa = 'q/bwa:1'
                inner { one = 'q/inner'; tag = '3' } }
            which = 'bwa'
        }
        params.flat = [bwa: 'q/flat:bwa']
        params.flat.sort = 'q/flat:sort'
        """}
SCRIPTS_SURE = {
    "FROM_MAIN": "q/main:first-own-config", "ADDED": "q/added:added-over",
    "ONLY": "q/only:only-alone-b", "ELVIS": "q/elvis:plain", "ONCE": "q/once:first",
    "HELD": "q/held:config", "BRACKET": "q/sort:1", "DOT": "q/sort:1", "GET": "q/sort:1",
    "DEEP": "q/deep:1", "FALLBACK": "q/fallback:1", "TABLE": "q/table:1",
    "CONFIGURED": "q/bwa:1", "NESTED": "q/inner:3", "WHOLE": "q/bwa:1", "LIST": "q/list:b",
    "NUMBER": "q/number:4", "LOWER": "q/low-er:1", "SPLIT": "q/split:7", "LESS": "q/less:7",
    "FORMAT": "q/format:1", "MANIFEST": "q/manifest:1.2.3", "EMPTY": "q/empty:1",
    "NONE": "q/none:1", "SOME": "q/some:1", "LOCAL": "q/local:p", "OTHER": "q/local:none",
    "CASE": "q/case:bc", "DEFAULT": "q/case:default", "FIELD": "q/field:1",
    "FIELDS": "q/fields:bwa", "METHOD": "q/method:9", "FROM_FLAT": "q/flat:sort"}

CONFIGS = {
    "main.nf": "include { CALLED as ONE; CALLED as TWO } from './called'\n" + processes({
        "SIBLING": 'container "${params.sibling}"',
        "BLOCK": 'container "${params.block.image}"',
        "TOP": 'container "${params.top}"',
        "BARE": "cpus 1", "VARIABLE": "cpus 1", "LAZY": "cpus 1",
        "EXT": 'container "${task.ext.image}"',
        "LABEL": "label 'big'\n    container \"${task.ext.image}\"",
        "OWN": "ext image: 'q/own:1'\n    container \"${task.ext.image}\"",
        "MAP": "container \"${task.ext.tool.get('docker')}\"",
        "MEMBER": 'container "${task.ext.tool.docker}:${task.ext.tool[\'tag\']}"',
        "CLOSURE": 'container "${task.ext.container}"',
        "UNSET": 'container "${task.ext.nothing ?: \'q/unset:1\'}"',
        "PARAMS": 'container "${task.ext.from_params.docker}"',
        "BY_EXT": "cpus 1"})
    .replace("workflow { ", "workflow { ONE(); TWO(); "),
    "called.nf": f'process CALLED {{\n    container "${{task.ext.image}}"\n    {SCRIPT}\n}}\n',
    "nextflow.config": """
        manifest.version = '2.0'
        repository = 'q/top'
        def kept = 'variable'
        params {
            stage = '-dev'
            sibling = "q/sibling${stage}:1"
            block { base = 'q/block'
                image = "${base}:${stage.replace('-', '')}" }
            top = "${repository}:${manifest.version}"
            tools { docker = 'q/params:1' }
        }
        process {
            near = 'near'
            withName: BARE { container = "${repository}/${near}:1" }
            withName: VARIABLE { container = "q/${kept}:1" }
            withName: LAZY { container = { "q/lazy:${manifest.version}${params.stage}" } }
            withLabel: big { ext.image = 'q/label:1' }
            withName: MAP { ext.tool = [docker: 'q/map:1', other: [a: 'b']] }
            withName: MEMBER { ext { tool { docker = 'q/member'; tag = '4' } } }
            withName: '.*' {
                ext.container = { -> workflow.containerEngine == 'x' ? task.ext.sif : task.ext.oci }
            }
            withName: CLOSURE { ext.oci = 'q/closure:1' }
            withName: PARAMS { ext.from_params = params.tools }
            withName: BY_EXT { ext = [image: 'q/by-ext:1']
                container = { task.ext.image } }
            withName: ONE { ext.image = 'q/one:1' }
            withName: TWO { ext.image = 'q/two:1' }
        }
        process.ext.image = 'q/general:1'
        """}
CONFIGS_SURE = {
    "SIBLING": "q/sibling-dev:1", "BLOCK": "q/block:dev", "TOP": "q/top:2.0",
    "BARE": "q/top/near:1", "VARIABLE": "q/variable:1", "LAZY": "q/lazy:2.0-dev",
    "EXT": "q/general:1", "LABEL": "q/label:1", "OWN": "q/own:1", "MAP": "q/map:1",
    "MEMBER": "q/member:4", "CLOSURE": "q/closure:1", "UNSET": "q/unset:1",
    "PARAMS": "q/params:1", "BY_EXT": "q/by-ext:1", "ONE": "q/one:1", "TWO": "q/two:1"}

SURE = {"scripts": (SCRIPTS, SCRIPTS_SURE), "configs": (CONFIGS, CONFIGS_SURE)}
