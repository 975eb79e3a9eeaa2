"""What cells and params may hold: folders, several addresses, and how spreadsheets write tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.core import files, schema
from tasks.core.errors import ConfigError, SourceError
from tasks.core.inputs import staged_data
from tasks.data.mirror import mirror
from tasks.data.own_samplesheet import OwnSpec, mirror_own
from tasks.data.sources import Reach
from tasks.reach.findings import Answer
from tasks.reach.staged import Staged
from tests.kit.data import PUBLIC, data_spec
from tests.kit.web import Web

pytestmark = pytest.mark.usefixtures("quick")


def own_spec(tmp_path: Path, web: Web, name: str = "home/sheet.csv", **changes: Any) -> OwnSpec:
    sheet = tmp_path / name
    sheet.parent.mkdir(parents=True, exist_ok=True)
    return OwnSpec(pipeline="p", sheet=sheet, folder=tmp_path / "own" / sheet.stem, limit=None,
                   source=data_spec(tmp_path, web, **changes).source)


def offline(tmp_path: Path, manifest: Path) -> dict[str, Any]:
    """The params as a run offline gets them, everything laid out as a release has it."""
    locate = staged_data.lay_out(manifest, tmp_path / "blobs/sha256", tmp_path / "laid")
    return staged_data.render(manifest, locate, tmp_path / "run")


def below(folder: str) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text()
            for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def test_folders_that_a_sheet_names_are_carried_whole(tmp_path: Path, web: Web) -> None:
    """Beside the sheet, by an absolute path, by file://, by a pattern, by a name alone."""
    home, shared = tmp_path / "home", tmp_path / "shared run"
    for name in ("fq/run1/a.fq", "fq/run1/deep/b.fq", "run2/c.fq", "r/x_1.fq", "r/x_2.fq",
                 "r/y_1.fq", "s1/no.fq"):
        files.write_text(home / name, name)
    files.write_text(shared / "d.fq", "d")
    own = own_spec(tmp_path, web, reach=Reach(folders=(shared,)))
    cells = ["fq/run1", "run2", str(shared), shared.as_uri(), f"{(home / 'run2').as_uri()}/",
             "r/x_{1,2}.fq", "r/*_1.fq", "./run2/"]
    own.sheet.write_text("sample,fastq_dir\n" + "".join(
        f's{number},"{cell}"\n' for number, cell in enumerate(cells, 1)))
    said = mirror_own(own)
    assert "not carried" not in said
    sheet = Path(offline(tmp_path, own.folder / "data.manifest.json")["input"])
    rows = dict(line.split(",", 1) for line in sheet.read_text().splitlines()[1:])
    places = [rows[f"s{number}"].strip('"') for number in range(1, 9)]
    assert below(places[0]) == {"a.fq": "fq/run1/a.fq", "deep/b.fq": "fq/run1/deep/b.fq"}
    assert below(places[1]) == below(places[4]) == below(places[7]) == {"c.fq": "run2/c.fq"}
    assert below(places[2]) == below(places[3]) == {"d.fq": "d"}
    assert places[5].endswith("/x_{1,2}.fq")
    assert sorted(path.name for path in Path(places[5]).parent.iterdir()) == ["x_1.fq", "x_2.fq"]
    assert sorted(path.name for path in Path(places[6]).parent.glob("*_1.fq")) == ["x_1.fq",
                                                                                  "y_1.fq"]


def test_folders_of_buckets_and_of_mapped_addresses(tmp_path: Path, web: Web) -> None:
    """A prefix with and without a slash, a pattern, and a web folder that the site maps."""
    for name in ("run1/a_1.fq", "run1/L1/a_2.fq", "run1/b_1.fq", "index.1.bt2", "index.2.bt2"):
        files.write_text(tmp_path / "runs" / name, name)
    there = f"{(tmp_path / 'runs').as_uri()}/"
    own = own_spec(tmp_path, web, reach=Reach(prefixes={"s3://runs/": there, PUBLIC: there}))
    cells = ["s3://runs/run1", "s3://runs//run1/", "s3://runs/run1/*_1.fq", f"{PUBLIC}run1/",
             "s3://runs/index"]
    own.sheet.write_text("sample,reads\n" + "".join(f"s,{cell}\n" for cell in cells))
    assert "not carried" not in mirror_own(own)
    places = [line.split(",")[1] for line in Path(offline(
        tmp_path, own.folder / "data.manifest.json")["input"]).read_text().splitlines()[1:]]
    whole = {name: f"run1/{name}" for name in ("a_1.fq", "L1/a_2.fq", "b_1.fq")}
    for place in (places[0], places[1], places[3]):
        assert below(place) == whole
        assert Path(place).name == "run1"
    assert [path.name for path in sorted(Path(places[2]).parent.glob("*_1.fq"))] == ["a_1.fq",
                                                                                   "b_1.fq"]
    assert [path.name for path in sorted(Path(places[4]).parent.glob("index.*"))] == [
        "index.1.bt2", "index.2.bt2"]


def test_what_is_not_carried_is_told_by_row_and_column(tmp_path: Path, web: Web) -> None:
    own = own_spec(tmp_path, web)
    files.write_text(own.sheet.parent / "a.fq", "a")
    (own.sheet.parent / "empty").mkdir()
    (own.sheet.parent / "lane").mkdir()
    files.write_text(own.sheet.parent / "lane/x.fq", "x")
    web.files = {"/about": b"<html>"}
    web.headers = {"/about": {"Content-Type": "text/html"}}
    own.sheet.write_text(
        "sample,fastq_dir,note\n"
        "s1,a.fq,\n"
        "s2,gone/run,N/A\n"
        "s3,/far/away/run,lane\n"
        f"s4,{PUBLIC}run/,\n"
        f"s5,empty,{PUBLIC}about\n"
        f"s6,,we took it from {PUBLIC}x.fq in spring\n")
    said = mirror_own(own)
    assert "1 files" in said
    for told in ("row 2, column fastq_dir: gone/run: not on this machine",
                 "row 3, column fastq_dir: /far/away/run: not on this machine",
                 "row 3, column note: lane: a folder of that name lies beside the sheet",
                 f"row 4, column fastq_dir: {PUBLIC}run/: HTTP can't list a folder",
                 "row 5, column fastq_dir: empty: the folder is empty",
                 f"row 5, column note: {PUBLIC}about: it answers with a web page",
                 f"row 6, column note: {PUBLIC}x.fq: it stands amid a sentence"):
        assert told in said
    assert "N/A" not in said
    assert "7 not carried:\n" in said


def test_a_sheet_of_which_nothing_can_be_carried_ends_in_an_error(tmp_path: Path,
                                                                  web: Web) -> None:
    own = own_spec(tmp_path, web)
    own.sheet.write_text("sample,fastq_dir\ns1,fq/run1\n")
    with pytest.raises(ConfigError, match=r"row 1, column fastq_dir: fq/run1: not on this machine"):
        mirror_own(own)
    own.sheet.write_text("sample,sex\ns1,female\n")
    assert mirror_own(own).startswith("the sheet alone: none of its cells names a file or folder")


def test_a_folder_with_a_way_out_or_keys_is_refused(tmp_path: Path, web: Web) -> None:
    own = own_spec(tmp_path, web)
    files.write_text(own.sheet.parent / "run/a.fq", "a")
    files.write_text(own.sheet.parent / "run/id_rsa", "x")
    own.sheet.write_text("sample,fastq_dir\ns1,run\n")
    with pytest.raises(ConfigError, match=r"(?s)look private.*id_rsa.*row 1, column fastq_dir"):
        mirror_own(own)
    (own.sheet.parent / "run/id_rsa").unlink()
    (own.sheet.parent / "run/out").symlink_to(tmp_path / "blobs")
    with pytest.raises(SourceError, match="'out' is a link that isn't followed"):
        mirror_own(own)
    (own.sheet.parent / "link").symlink_to(tmp_path)
    own.sheet.write_text("sample,fastq_dir\ns1,link\n")
    with pytest.raises(ConfigError, match=r"(?s)below none of.*    link"):
        mirror_own(own)


TABLES = {
    "semicolon.csv": "sample;fastq;ratio\r\ns1;@1.fq.gz;1,5\r\n\r\n\"s;2\"; \"@2.fq.gz\" ;2,5\r\n",
    "headless.csv": "s1;@1.fq.gz;l1\ns2;@2.fq.gz;l2",
    "tab.csv": "sample\tfastq\ns1\t@1.fq.gz\ns2\t@2.fq.gz\n",
    "bar.csv": "sample|fastq\ns1|@1.fq.gz\ns2|@2.fq.gz\n",
    "comment.tsv": "# from the core lab\nsample\tfastq\ns1\t@1.fq.gz\ns2\t@2.fq.gz\n",
    "spaces.txt": "s1   @1.fq.gz\ns2  @2.fq.gz\n",
    "tab.txt": "sample\tfastq\ns1\t@1.fq.gz\ns2\t@2.fq.gz\n",
    "comma.tsv": "sample,fastq\ns1,@1.fq.gz\ns2,@2.fq.gz\n",
    "one_cell.csv": "sample,fastq\ns1,@1.fq.gz;@2.fq.gz\n",
    "joined.csv": 'sample,fastq\ns1,"@1.fq.gz, @2.fq.gz"\n',
    "spaced.csv": "sample,fastq\ns1,@1.fq.gz @2.fq.gz\n",
    "named.csv": "sample,fastq\ns1,R1=@1.fq.gz;R2=@2.fq.gz\n",
    "list.csv": "sample,fastq\ns1,\"['@1.fq.gz', '@2.fq.gz']\"\n",
    "deep.yaml": "# theirs\nsamples:\n  s1: {reads: [ '@1.fq.gz' ]}   # first\n"
                 "  s2:\n    lanes:\n    - reads: @2.fq.gz\n    ratio: 1.50\n",
    "deep.json": '{"samples": {"s1": [{"reads": "@1.fq.gz"}],\n'
                 ' "s2": {"x": "@2.fq.gz", "n": 1e3}}}',
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_each_address_is_carried_and_all_else_stays_as_it_is_written(
        tmp_path: Path, web: Web, name: str, encoding: str, caplog: pytest.LogCaptureFixture
        ) -> None:
    web.files = {"/1.fq.gz": b"1", "/2.fq.gz": b"2"}
    own = own_spec(tmp_path, web, f"home/{name}")
    text = TABLES[name].replace("@", PUBLIC)
    own.sheet.write_bytes(text.encode(encoding))
    assert mirror_own(own).startswith("2 files, 2 B\n")
    rendered = Path(offline(tmp_path, own.folder / "data.manifest.json")["input"])
    assert rendered.suffix == own.sheet.suffix
    assert ("is UTF-16" in caplog.text) == (encoding == "utf-16")
    written = rendered.read_bytes().decode(encoding)
    listed = json.loads((own.folder / "data.manifest.json").read_text())["files"]
    for file in listed:
        written = written.replace(str((tmp_path / "laid" / file["path"]).absolute()), file["url"])
    assert written == text
    assert rendered.read_bytes()[:2] == own.sheet.read_bytes()[:2]


def test_an_address_and_a_path_in_one_cell(tmp_path: Path, web: Web) -> None:
    web.files = {"/1.fq.gz": b"1"}
    own = own_spec(tmp_path, web)
    files.write_text(own.sheet.parent / "l1.fq", "l")
    own.sheet.write_text(f"sample,fastq\ns1,{PUBLIC}1.fq.gz;l1.fq;l2.fq\n")
    said = mirror_own(own)
    assert said.startswith("2 files")
    assert "row 1, column fastq: l2.fq: not on this machine" in said
    cell = Path(offline(tmp_path, own.folder / "data.manifest.json")["input"]
                ).read_text().splitlines()[1].split(",")[1].split(";")
    assert [Path(path).read_text() for path in cell[:2]] == ["1", "l"]
    assert cell[2] == "l2.fq"


@pytest.mark.parametrize("value", [
    f"{PUBLIC}v.vcf.gz;{PUBLIC}v.vcf.gz.tbi", f"{PUBLIC}v.vcf.gz,{PUBLIC}v.vcf.gz.tbi",
    f"{PUBLIC}v.vcf.gz {PUBLIC}v.vcf.gz.tbi", [f"{PUBLIC}v.vcf.gz", f"{PUBLIC}v.vcf.gz.tbi"],
    {"vcf": f"{PUBLIC}v.vcf.gz", "tbi": f"{PUBLIC}v.vcf.gz.tbi", "n": 3},
    [{"id": "a", "file": f"{PUBLIC}v.vcf.gz"}, {"id": "b", "file": f"{PUBLIC}v.vcf.gz.tbi"}]])
def test_several_addresses_in_one_param(tmp_path: Path, web: Web, params: dict[str, Any],
                                        value: Any) -> None:
    params |= {"pair": value}
    web.files = {"/v.vcf.gz": b"vcf", "/v.vcf.gz.tbi": b"tbi"}
    assert mirror(data_spec(tmp_path, web)) == "3 files, 6 B"  # the index also beside its file
    manifest = schema.read_json(tmp_path / "data.manifest.json", "data-manifest")
    assert manifest["params"]["pair"]["kind"] == "several"
    answer = Staged(params=manifest["params"], plugins={}, toggles={}).param("pair")
    assert answer == Answer(by="data", what="the files that it names are carried")
    local = json.dumps(offline(tmp_path, tmp_path / "data.manifest.json")["pair"])
    for path, text in ((f"{tmp_path}/laid/{file['path']}", file["url"])
                       for file in sorted(manifest["files"], key=lambda file: -len(file["url"]))):
        assert Path(path).is_file()
        local = local.replace(f"{path}", text)
    assert json.loads(local) == value


def test_a_catalogue_of_addresses_is_told_and_not_carried(
        tmp_path: Path, web: Web, params: dict[str, Any]) -> None:
    params |= {"sets": {"small": {"db": f"{PUBLIC}s.tar"}, "big": {"db": f"{PUBLIC}b.tar"}},
               "cache": "s3://caches/vep/", "note": f"see {PUBLIC}a.html for more about it"}
    said = mirror(data_spec(tmp_path, web))
    assert "params.sets: " in said
    assert "the first of a catalogue of 2 addresses" in said
    assert "params.cache: s3://caches/vep/: a folder, null offline" in said
    assert "note" not in said


def test_of_a_catalogue_that_is_carried_which_another_param_chooses(
        tmp_path: Path, web: Web, params: dict[str, Any]) -> None:
    params |= {"set": "small", "sets": {
        "small": {"db": [f"{PUBLIC}s.tar", f"{PUBLIC}t.tar"],
                  "cite": "Somebody and others, a paper, https://doi.example.org/x.1"},
        "big": {"db": f"{PUBLIC}b.tar"}}}
    web.files = {"/s.tar": b"s", "/t.tar": b"t"}
    assert mirror(data_spec(tmp_path, web)) == "2 files, 2 B"
    sets = offline(tmp_path, tmp_path / "data.manifest.json")["sets"]
    assert [Path(path).read_bytes() for path in sets["small"]["db"]] == [b"s", b"t"]
    assert sets["small"]["cite"].endswith("https://doi.example.org/x.1")
    assert sets["big"] == {"db": f"{PUBLIC}b.tar"}


def test_folders_of_this_machine_that_our_config_gives(
        tmp_path: Path, web: Web, params: dict[str, Any]) -> None:
    for name in ("ref/db/a.txt", "ref/db/b/c.txt", "ref/g.fa", "ref/r_1.fq", "ref/r_2.fq"):
        files.write_text(tmp_path / name, name)
    given = {"db": f"{tmp_path}/ref/db", "fasta": f"{tmp_path}/ref/g.fa", "gone": "/not/there.fa",
             "reads": f"{tmp_path}/ref/r_{{1,2}}.fq", "more": f"file://{tmp_path}/ref/db/b",
             "pair": f"{tmp_path}/ref/g.fa;{tmp_path}/ref/db/a.txt",
             "list": [f"{tmp_path}/ref/g.fa", "/not/listed.fa", {"db": f"{tmp_path}/ref/db"}]}
    params |= given
    said = mirror(data_spec(tmp_path, web, given=given, reach=Reach(folders=(tmp_path / "ref",))))
    assert "params.gone: /not/there.fa: a path that is not carried" in said
    assert "params.list: /not/listed.fa: a path that is not carried" in said
    rendered = offline(tmp_path, tmp_path / "data.manifest.json")
    assert [Path(path).read_text() for path in rendered["pair"].split(";")] == ["ref/g.fa",
                                                                               "ref/db/a.txt"]
    assert Path(rendered["list"][0]).read_text() == "ref/g.fa"
    assert rendered["list"][1] == "/not/listed.fa"
    assert below(rendered["list"][2]["db"]) == {"a.txt": "ref/db/a.txt",
                                                "b/c.txt": "ref/db/b/c.txt"}
    assert below(rendered["db"]) == {"a.txt": "ref/db/a.txt", "b/c.txt": "ref/db/b/c.txt"}
    assert below(rendered["more"]) == {"c.txt": "ref/db/b/c.txt"}
    assert Path(rendered["fasta"]).read_text() == "ref/g.fa"
    assert sorted(path.name for path in Path(rendered["reads"]).parent.iterdir()) == ["r_1.fq",
                                                                                     "r_2.fq"]
    assert rendered["gone"] == "/not/there.fa"


NO_SHEETS = {
    "README.txt": f"This is about our data.\nSee {PUBLIC}paper.pdf for more about it.\n",
    "schema.json": json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema",
                               "items": {"default": f"{PUBLIC}x.fa"}}),
    "multiqc.yml": f"custom_logo_url: {PUBLIC}logo.png\nreport_comment: >\n  See {PUBLIC}a.pdf\n",
    "genes.txt": f"#!genome {PUBLIC}g.fa.gz\n1\tensembl\tgene\n1\tensembl\texon\n",
    "links.tsv": f"tool\thomepage\nx\t{PUBLIC}x/index.html\n",
    "meta.yml": f"name: x\nhomepage: {PUBLIC}x.tar.gz\ndoi: https://doi.org/10.1\n",
}


@pytest.mark.parametrize("name", NO_SHEETS)
def test_a_file_that_merely_holds_an_address_is_no_sheet(
        tmp_path: Path, web: Web, params: dict[str, Any], name: str) -> None:
    params |= {"thing": f"{PUBLIC}{name}", "input": f"{PUBLIC}sheet.csv"}
    web.files = {f"/{name}": NO_SHEETS[name].encode(), "/sheet.csv": b"sample\na\n"}
    assert mirror(data_spec(tmp_path, web)).startswith("1 files, ")
    manifest = schema.read_json(tmp_path / "data.manifest.json", "data-manifest")
    assert (manifest["params"]["thing"]["kind"], manifest["sheets"]) == ("file", [])


def test_addresses_for_people_are_left_and_told(tmp_path: Path, web: Web) -> None:
    own = own_spec(tmp_path, web)
    web.files = {"/a.fq": b"a", "/b.fq": b"b"}
    own.sheet.write_text(f"sample,reads,homepage,url\na,{PUBLIC}a.fq,{PUBLIC}x/,{PUBLIC}b.fq\n"
                         f"b,,{PUBLIC}y/index.html,\n")
    said = mirror_own(own)
    assert said.startswith("2 files, 2 B\n2 not carried:\n")
    assert f"row 2, column homepage: {PUBLIC}y/index.html: by its column it is for people" in said


def test_a_deep_yaml_that_a_param_names_is_a_sheet(
        tmp_path: Path, web: Web, params: dict[str, Any]) -> None:
    params |= {"databases": f"{PUBLIC}dbs.yml"}
    web.files = {"/dbs.yml": f"kraken:\n  small: {{file: {PUBLIC}k.tar.gz}}\n".encode(),
                 "/k.tar.gz": b"k"}
    mirror(data_spec(tmp_path, web))
    tree = yaml.safe_load(Path(offline(tmp_path, tmp_path / "data.manifest.json")["databases"]
                               ).read_text())
    assert Path(tree["kraken"]["small"]["file"]).read_bytes() == b"k"


def test_a_sheet_of_the_code_names_folders_of_the_code(
        tmp_path: Path, web: Web, params: dict[str, Any]) -> None:
    code = tmp_path / "project"
    for name in ("assets/run/a.fq", "assets/b.fq"):
        files.write_text(code / name, name)
    files.write_text(code / "assets/sheet.csv",
                     "sample,reads\ns1,assets/run\ns2,${projectDir}/assets/b.fq\ns3,b.fq\n")
    params |= {"input": "assets/sheet.csv"}
    assert mirror(data_spec(tmp_path, web)).startswith("2 files")
    rows = Path(offline(tmp_path, tmp_path / "data.manifest.json")["input"]
                ).read_text().splitlines()[1:]
    assert below(rows[0].split(",")[1]) == {"a.fq": "assets/run/a.fq"}
    assert {Path(row.split(",")[1]).read_text() for row in rows[1:]} == {"assets/b.fq"}
