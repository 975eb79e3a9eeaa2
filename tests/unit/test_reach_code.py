"""What scripts and programs fetch is found, and whether a run comes there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.reach import GUARDED, by, of, one, reached

COMMANDS = {
    "wget": "wget https://x.example.org/a",
    "curl with a continued line": "curl -L \\\\\n        -o a https://x.example.org/a",
    "assigned before": "FOO=1 curl -O ${url}",
    "in a pipe": "echo a | xargs wget",
    "behind a condition": "if [ ! -e a ]; then wget $url; fi",
    "aws": "aws --no-sign-request s3 cp s3://bucket/key .",
    "git": "git clone ${repository} tool",
    "pip": "python3 -m pip install cutadapt",
    "conda": "mamba create -p env tool",
    "the archive": "prefetch SRR1 && fasterq-dump SRR1",
    "vep": "vep_install --CACHEDIR x",
    "snpEff": "snpEff -Xmx4g download GRCh38.105 -dataDir x",
    "a flag": "busco --download_cache x",
    "a name": "krakenuniq-download --threads 2 x",
    "a word of several": "hostile \\\\\n        index \\\\\n        fetch --name x",
    "a heredoc": "cat <<-END > get.sh\n    wget https://x.example.org/a\n    END",
    "R": "Rscript -e \"download.file('u', 'a')\"",
    "Python": "python -c 'import urllib.request as r; urllib.request.urlopen(u)'",
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_commands_that_fetch_are_found_with_their_process(tmp_path: Path, command: str) -> None:
    found = reached(tmp_path, {"main.nf": (
        'process GET {\n    script:\n    """\n    # first\n    ' + command + '\n    """\n}\n'
        "workflow { GET() }\n")})
    assert {(finding.process, by(finding)) for finding in of(found, "download")} == {("GET", None)}
    assert of(found, "download")[0].line in (5, 6)


@pytest.mark.parametrize("command", [
    "# wget https://x.example.org/a", "wget --version | head -1 > versions.yml",
    "echo 'get it by wget https://x.example.org/a'", "samtools view -o wget.bam curl.bam",
    "tool --curl-free a", "my_curl a", "mkdir download", "cp x/downloaded.txt .",
    "esl-sfetch x y", "cat ${prefetch} > a"])
def test_what_only_looks_like_a_fetch_is_none(tmp_path: Path, command: str) -> None:
    found = reached(tmp_path, {"main.nf": (
        f'process GET {{\n    script:\n    """\n    {command}\n    """\n}}\n'
        "workflow { GET() }\n")})
    assert not of(found, "download")
    assert not of(found, "url")


def test_a_guard_is_followed_through_workflows_to_its_param(tmp_path: Path) -> None:
    on = one(reached(tmp_path, GUARDED, params={"cache_too": True, "name": "x"}), "download")
    assert (by(on), on.param, on.process) == (None, "cache_too", "GET")
    assert "params.cache_too" in str(on.todo)
    assert "sub.nf:7" in str(on.todo)
    off = one(reached(tmp_path, GUARDED, params={"cache_too": False, "name": "x"}), "download")
    assert (by(off), off.param) == ("code", "cache_too")
    unknown = one(reached(tmp_path, GUARDED, params={"cache_too": {"a": 1}}), "download")
    assert by(unknown) is None


def test_the_configs_ext_when_guards_a_process(tmp_path: Path) -> None:
    when = {"process": {"withName:GET_CACHE": {"ext": {"when": "{ params.tools == 'vep' }"}}}}
    asks = GUARDED["get.nf"].replace("script:", "when:\n    task.ext.when != false\n    script:")
    for tools, get, answer in (("vep", asks, None), ("none", asks, "code"),
                               ("none", GUARDED["get.nf"], None)):
        found = one(reached(tmp_path, {**GUARDED, "get.nf": get}, config=when, params={
            "cache_too": True, "name": "x", "tools": tools}), "download")
        assert by(found) == answer


def test_what_nothing_calls_is_named_as_that(tmp_path: Path) -> None:
    found = one(reached(tmp_path, {**GUARDED, "main.nf": "include { FETCH } from './sub'\n"
                                                         "workflow {}\n"}), "download")
    assert found.answer is not None
    assert found.answer.what == "nothing calls it"


@pytest.mark.parametrize("call", [
    "Channel.of(1) | GET", "Channel.of(1) | map { it } | GET", "Channel.of(1) | (GET & OTHER)",
    "Channel.of(1) | (OTHER & GET)", "GET(1)", "if (x) { } else { GET(1) }",
    "[1].each { GET(it) }", "def x = GET(1).out", "x = params.y ? GET(1) : null"])
def test_calls_of_every_form_are_followed(tmp_path: Path, call: str) -> None:
    found = reached(tmp_path, {**GUARDED, "main.nf": (
        f"include {{ GET }} from './get'\nprocess OTHER {{ script: 'true' }}\n"
        f"workflow {{\n    {call}\n}}\n")})
    assert by(one(found, "download")) is None


@pytest.mark.parametrize(("call", "answer"), [
    ("Net.get()", None), ("new Net().get()", None), ("Net.other()", None), ("1", "code")])
def test_calls_of_the_library_s_methods_are_followed(tmp_path: Path, call: str,
                                                     answer: str | None) -> None:
    found = reached(tmp_path, {
        "lib/Net.groovy": ("class Net {\n    static void get() {\n"
                           "        new URL('https://x.example.org').text\n    }\n"
                           "    static void other() { this.get() }\n}\n"),
        "main.nf": f"workflow {{ {call} }}\n"})
    assert {by(finding) for finding in of(found, "service")} == {answer}


def test_a_hook_is_asked_where_its_param_is_set(tmp_path: Path) -> None:
    sources = {"main.nf": ("def tell(hook) {\n    if (hook) {\n"
                           "        new URL(hook).openConnection()\n    }\n}\n"
                           "workflow {\n    main:\n    tell(params.hook_url)\n}\n")}
    off = one(reached(tmp_path, sources, params={"hook_url": None}), "service")
    on = one(reached(tmp_path, sources, params={"hook_url": "https://hook.example.org"}),
             "service")
    assert (off.line, by(off), by(on), on.param) == (3, "code", None, "hook_url")


def test_addresses_in_code_are_used_or_said_or_compared(tmp_path: Path) -> None:
    found = reached(tmp_path, {"main.nf": (
        "workflow {\n"
        "    lists = file('https://x.example.org/rrna.txt')\n"
        "    other = file(\"https://x.example.org/${params.name}\")\n"
        "    log.info('https://said.example.org')\n"
        "    if (params.name == 's3://compared.example.org') { error(\n"
        "        'https://said.example.org/2') }\n"
        "    text = 'Please see\\n' +\n        'https://prose.example.org'\n"
        "    // file('https://comment.example.org')\n"
        "}\n")}, params={"name": "x"})
    assert [(finding.line, finding.what, by(finding)) for finding in of(found, "url")] == [
        (2, "https://x.example.org/rrna.txt", None),
        (3, "https://x.example.org/${params.name}", None)]
    assert len(found.counted["only shown to people"]) == 4


def test_programs_of_the_code_count_for_the_process_that_runs_them(tmp_path: Path) -> None:
    found = reached(tmp_path, {
        "bin/get.py": '#!/usr/bin/env python\n"""See https://doc.example.org."""\n'
                      "import urllib.request\nPLACE = 'https://x.example.org/a'\n"
                      "print('this will download', urllib.request.urlopen(PLACE))\n"
                      "# https://comment.example.org\n",
        "main.nf": 'process GET {\n    script:\n    """\n    get.py\n    """\n}\n'
                   "workflow { GET() }\n"})
    assert [(finding.kind, finding.line, finding.process) for finding in found.sorted()] == [
        ("url", 4, "GET"), ("download", 5, "GET")]


def test_a_program_s_own_modules_count_with_it(tmp_path: Path) -> None:
    found = reached(tmp_path, {
        "bin/net.py": "import urllib.request\nurllib.request.urlopen('x')\n",
        "bin/alone.py": "import urllib.request\nurllib.request.urlopen('x')\n",
        "bin/get.py": "#!/usr/bin/env python\nimport net\n",
        "main.nf": 'process GET {\n    script:\n    """\n    get.py\n    """\n}\n'
                   "workflow { GET() }\n"})
    assert [(finding.file, finding.process, by(finding)) for finding in found.sorted()] == [
        ("bin/alone.py", None, "code"), ("bin/net.py", "GET", None)]
