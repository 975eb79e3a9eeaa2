"""What one name stands for, and which names lie beside it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.errors import SourceError
from tasks.core.inputs import globs
from tasks.data import companions
from tasks.data.sources import Reach, at, expand, path_of

plain = st.text("ab01._-/", max_size=4)
texts = st.recursive(
    plain, lambda inner: st.builds(
        lambda before, group, after: f"{before}{{{','.join(group)}}}{after}",
        plain, st.lists(inner, min_size=2, max_size=3), inner), max_leaves=6)


@settings(max_examples=20)
@given(st.lists(texts, min_size=20, max_size=20))
def test_brace_groups_stand_for_what_bash_makes_of_them(written: list[str]) -> None:
    script = "".join(f"printf '%s\\0' x{text}\nprintf '\\1\\0'\n" for text in written)
    output = subprocess.run(["bash", "--norc", "-f", "-c", script], check=True, capture_output=True,
                            text=True).stdout
    of_bash = [part.split("\0")[:-1] for part in output.replace("\0\1\0", "\0\1").split("\1")[:-1]]
    assert [globs.braces(f"x{text}") for text in written] == of_bash


@pytest.mark.parametrize("text", ["{a}", "a{", "a}", "{a,b", "{a,{b}", "{a,b}}", "{}", "{1..3}",
                                  "{a,b}" * 20])
def test_braces_that_stand_for_nothing_or_too_much_are_refused(text: str) -> None:
    with pytest.raises(SourceError, match="brace group"):
        globs.braces(text)


def test_the_brace_globs_of_igenomes_are_expanded_without_a_network() -> None:
    url = ("s3://ngi-igenomes/igenomes//GATK/{Mills_and_1000G_gold_standard.indels.hg38,"
           "beta/known_indels}.vcf.gz")
    assert expand(url, Reach()) == (
        "s3://ngi-igenomes/igenomes//GATK/Mills_and_1000G_gold_standard.indels.hg38.vcf.gz",
        "s3://ngi-igenomes/igenomes//GATK/beta/known_indels.vcf.gz")


@settings(max_examples=40)
@given(st.text("ab/.*?", max_size=8), st.lists(st.text("ab/.", max_size=6), max_size=8))
def test_wildcards_match_as_in_a_shell_within_one_folder(pattern: str, names: list[str]) -> None:
    if "**" in pattern:
        return
    script = "shopt -s extglob\n" + "".join(
        f"[[ $(tr -d -c / <<<'{name}') == $(tr -d -c / <<<'{pattern}') ]] && "
        f"case '{name}' in {pattern or chr(39) * 2}) echo y;; *) echo n;; esac || echo n\n"
        for name in names)
    lines = subprocess.run(["bash", "--norc", "-f", "-c", script], check=True, capture_output=True,
                           text=True).stdout.split()
    found = ["y" if globs.matcher(pattern).fullmatch(name) else "n" for name in names]
    # A shell's `*` in `case` may cross slashes, so ours never matches more than that does.
    assert [ours for ours, shell in zip(found, lines, strict=True) if shell == "n"] == (
        ["n"] * lines.count("n"))


def test_two_stars_cross_folders_and_one_does_not() -> None:
    assert globs.matcher("**.fa").fullmatch("a/b/c.fa")
    assert not globs.matcher("*.fa").fullmatch("a/c.fa")
    assert not globs.matcher("a?.fa").fullmatch("a/.fa")
    assert globs.base("s3://b/x/y*/z?.fa") == "s3://b/x/"


@pytest.mark.parametrize(("name", "beside"), [
    ("x.fa", ["x.fa.fai"]), ("x.fasta.gz", ["x.fasta.gz.fai", "x.fasta.gz.gzi"]),
    ("x.bam", ["x.bam.bai", "x.bai", "x.bam.csi"]), ("X.BAM", ["X.BAM.bai", "X.bai", "X.BAM.csi"]),
    ("x.cram", ["x.cram.crai", "x.crai"]), ("x.vcf.gz", ["x.vcf.gz.tbi", "x.vcf.gz.csi"]),
    ("x.bed.bgz", ["x.bed.bgz.tbi", "x.bed.bgz.csi"]), ("x.bcf", ["x.bcf.csi"]),
    ("x.fastq.gz", []), ("x.vcf", []), ("x.gz", []), ("fa", []), ("", [])])
def test_indexes_lie_beside_by_their_names(name: str, beside: list[str]) -> None:
    assert list(companions.names(name)) == beside


@pytest.mark.parametrize("url", [
    "gs://bucket/x", "az://container/x", "sftp://host/x", "gopher://host/x", "javascript:x",
    "s3:///x", "s3://a b/x", "https://[x/y", "ftp://host:99999999/x", "https://host/a%0d%0ab",
    "ftp://host/a\nb", "file:///etc/passwd", "file://host/x"])
def test_other_addresses_are_refused_without_being_asked(url: str) -> None:
    with pytest.raises(SourceError):
        source, reached = at(url, Reach())
        source.look(reached)


def test_the_kind_of_storage_is_named_where_it_is_not_supported() -> None:
    with pytest.raises(SourceError, match=r"gs:// is not supported \(Google Cloud Storage\)"):
        at("gs://bucket/x", Reach())


def test_a_key_of_s3_is_quoted_where_a_map_leads_to_the_web() -> None:
    reach = Reach(prefixes={"s3://bucket/": "https://mirror.example.org/b/"})
    assert at("s3://bucket//a b/ü?#%41.fa", reach)[1] == (
        "https://mirror.example.org/b/a%20b/%C3%BC%3F%23%2541.fa")
    assert path_of("s3://bucket//a b/ü?#%41.fa") == "a b/ü?#%41.fa"


def test_a_site_s_own_map_is_not_left_by_dots_or_links(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "secret").write_text("x")
    (tmp_path / "data/in.fa").write_text("x")
    (tmp_path / "data/link.fa").symlink_to("in.fa")
    (tmp_path / "data/out.fa").symlink_to("../secret")
    reach = Reach(prefixes={"https://d.example.org/": f"file://{tmp_path}/data/"})

    def there(name: str) -> bool:
        source, reached = at(f"https://d.example.org/{name}", reach)
        return source.look(reached) is not None

    assert there("in.fa")
    assert there("link.fa")
    assert not there("none.fa")
    for name in ("../secret", "%2e%2e/secret", "out.fa", "/etc/passwd/../../../secret"):
        with pytest.raises(SourceError, match=r"hosts\.folders"):
            there(name)


def test_a_folder_is_listed_with_odd_names_and_without_leaving_it(tmp_path: Path) -> None:
    for name in ("a b.fa", "sub/ü#1.fa", "sub/x?.txt"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    reach, root = Reach(folders=(tmp_path / "data",)), f"file://{tmp_path}/data/"
    assert expand(root, reach) == tuple(
        root + name for name in ("a%20b.fa", "sub/%C3%BC%231.fa", "sub/x%3F.txt"))
    assert expand(f"{root}*.fa", reach) == (f"{root}a%20b.fa",)
    assert expand(f"{root}**.fa", reach) == (f"{root}a%20b.fa", f"{root}sub/%C3%BC%231.fa")
    with pytest.raises(SourceError, match="nothing is found"):
        expand(f"{root}*.bam", reach)
    (tmp_path / "data/etc").symlink_to("/etc")
    with pytest.raises(SourceError, match=r"hosts\.folders"):
        expand(root, reach)
