"""A run's results are held against its record, and go back whole or not at all."""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files
from tasks.core.errors import AirlockError, CommandError, ConfigError, IntegrityError
from tasks.core.schema import read_json
from tasks.core.trust import checksums, signature
from tasks.offline_host import at_work, export, run, take_back, verify
from tasks.offline_host.run_folder import RunFolder
from tests.kit import runs

WELL = 'mkdir "$out/deep"; echo 3 > "$out/deep/weights.txt"; echo a > "$out/a"; : > "$out/empty"\n'
RESULTS = ["a", "deep/weights.txt", "empty"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def key(name: str) -> Path:
    path = Path(f"keys/{name}").absolute()
    signature.ready(path, create=True, identity=name)
    return path


def signers(path: str, *lines: str) -> Path:
    target = Path(path).absolute()
    files.write_text(target, "".join(f"{line}\n" for line in lines))
    return target


def line(name: str, host: str | None = None, namespace: str = signature.RUN) -> str:
    public = signature.public_key(key(name))
    return f'{host or at_work.this_host()} namespaces="{namespace}" {public}'


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of runs and of keys after a run that ended well, signed by its host's key."""
    folder = tmp_path_factory.mktemp("ran")
    with pytest.MonkeyPatch.context() as there:
        there.chdir(folder)
        runs.ready(runs.stub(folder, WELL))
        assert ", signed" in run.run_test(runs.spec(key=key("host")))
        key("other")
    return folder


@pytest.fixture
def done(here: Path, ran: Path) -> RunFolder:
    """That run, in the test's own folder."""
    for name in ("runs", "keys"):
        shutil.copytree(ran / name, here / name)
    return runs.folders()[0]


def test_a_run_as_it_was_recorded_is_found_so(done: RunFolder) -> None:
    looked = verify.verify(done, signers("s", line("host")))
    assert (looked.differences, looked.count) == ((), 3)
    assert looked.signed.startswith("signed by the key that ")
    assert "no list of signers" in verify.verify(done, None).signed
    subprocess.run(["ssh-keygen", "-Y", "verify", "-f", "s", "-I", at_work.this_host(), "-n",
                    "airlock-run", "-s", done.signature], input=done.sums.read_bytes(), check=True,
                   capture_output=True)


def test_what_has_changed_is_missing_or_was_added_is_named(done: RunFolder) -> None:
    (done.results / "a").write_text("b\n")
    (done.results / "deep/weights.txt").unlink()
    files.write_text(done.results / "more/x.txt", "")
    (done.results / "gone").symlink_to("nowhere")
    done.page.write_text("<p>ended well</p>")
    assert verify.verify(done, None).differences == (
        ("changed", "report.html"), ("changed", "a"), ("missing", "deep/weights.txt"),
        ("added", "gone"), ("added", "more/x.txt"))


def test_a_record_that_was_changed_or_is_not_signed_as_it_must_be_is_told(
        done: RunFolder) -> None:
    trusted = signers("s", line("host"))
    assert verify.verify(done, signers("t", line("other"))).differences == (
        ("not trusted", "SHA256SUMS.sig"),)
    assert verify.verify(done, signers("u", line("host", "elsewhere"))).differences
    assert verify.verify(done, signers("v", line("host", None, "airlock-release"))).differences
    record = read_json(done.record, "run")
    files.write_json(done.record, record | {"user": {"name": "somebody", "id": 7}})
    assert ("changed", "run.json") in verify.verify(done, trusted).differences
    listed = {"run.json": files.sha256(done.record), **{
        f"results/{row['path']}": row["sha256"] for row in record["results"]}}
    files.write_bytes(done.sums, checksums.format_sums(listed))
    assert verify.verify(done, trusted).differences == (("not trusted", "SHA256SUMS.sig"),)
    done.signature.unlink()
    assert verify.verify(done, trusted).differences == (("not trusted", "SHA256SUMS.sig"),)
    assert verify.verify(done, None).differences == ()


def test_a_run_without_an_end_has_nothing_to_hold_against_or_to_pack(done: RunFolder) -> None:
    files.write_json(done.record, {**read_json(done.record, "run"), "results": None})
    with pytest.raises(IntegrityError, match="no list of its results"):
        verify.verify(done, None)
    with pytest.raises(ConfigError, match="no list of its results"):
        export.export(done, Path("x.tar"))


def test_a_packed_run_has_the_same_bytes_each_time_and_satisfies_standard_tools(
        done: RunFolder, here: Path) -> None:
    (here / "usb").mkdir()
    first = export.export(done, here / "usb")
    assert first.name == f"weigh-{done.name}.tar"
    (done.results / "a").touch()
    second = export.export(done, here / "again.tar")
    assert first.read_bytes() == second.read_bytes()
    with pytest.raises(ConfigError, match="a file already"):
        export.export(done, second)
    subprocess.run(["tar", "xf", first], check=True)
    subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=done.name, check=True,
                   capture_output=True)
    packed = subprocess.run(["tar", "tf", first], check=True, capture_output=True, text=True).stdout
    assert packed.split() == [f"{done.name}/{name}" for name in (
        "SHA256SUMS", "SHA256SUMS.sig", "run.json", "report.html",
        *(f"results/{path}" for path in RESULTS))]


@pytest.mark.parametrize("name", ["results/a", "report.html"])
@pytest.mark.parametrize("change", [
    lambda path: path.write_text("b\n"), lambda path: path.write_text("longer\n"),
    lambda path: path.unlink()])
def test_what_is_not_as_recorded_is_not_packed(
        done: RunFolder, here: Path, change: Callable[[Path], object], name: str) -> None:
    change(done.path / name)
    with pytest.raises(IntegrityError, match=f"{name} is not what was recorded"):
        export.export(done, here / "x.tar")
    assert not list(here.glob("*.tar")) + list(here.glob(".*.part"))


def test_links_are_packed_as_what_they_lead_to(here: Path) -> None:
    runs.ready(runs.stub(here, 'mkdir -p work; echo 3 > work/w; ln -s "$PWD/work/w" "$out/w"; '
                               'ln -s "$PWD/work" "$out/d"\n'))
    run.run_test(runs.spec())
    folder, = runs.folders()
    packed = export.export(folder, here / "x.tar")
    with tarfile.open(packed) as archive:
        assert all(member.isreg() for member in archive)
    taken = take(packed)
    assert [path.read_text() for path in files.tree(taken.folder.results)] == ["3\n", "3\n"]
    assert verify.verify(taken.folder, None).differences == ()


def take(archive: Path, trusted: Path | None = None, known: bool = True) -> take_back.Taken:
    return take_back.take(archive, Path("back"), signers=trusted, is_known=lambda *_: known)


def nothing_left() -> bool:
    return not [path for path in Path("back").rglob("*") if not path.is_dir()] and not list(
        Path("back").glob(".*"))


def test_a_packed_run_comes_back_whole(done: RunFolder, here: Path) -> None:
    packed = export.export(done, here / "x.tar")
    trusted = signers("s", line("host"))
    taken = take(packed, trusted)
    assert taken.folder.path == here / "back/weigh" / done.name
    assert taken.is_new
    assert verify.verify(taken.folder, trusted).differences == ()
    assert taken.folder.page.read_bytes() == done.page.read_bytes()
    assert not take(packed, trusted).is_new
    (taken.folder.sums).write_text("0")
    with pytest.raises(IntegrityError, match="another run is in place"):
        take(packed, trusted)


def test_a_run_that_made_nothing_goes_back_too(here: Path) -> None:
    runs.ready(runs.stub(here, "exit 1\n"))
    files.write_text(here / "mine.csv", "stone\n")
    with pytest.raises(CommandError):
        run.run_own(runs.own_spec(here / "mine.csv"))
    taken = take(export.export(runs.folders()[0], here / "x.tar"))
    assert taken.record["outcome"]["state"] == "failed"
    assert verify.verify(taken.folder, None).differences == ()


def test_a_run_of_a_release_that_nobody_knows_is_refused(done: RunFolder, here: Path) -> None:
    packed = export.export(done, here / "x.tar")
    with pytest.raises(IntegrityError, match=f"knows the release {runs.RELEASE} of weigh"):
        take(packed, known=False)
    assert nothing_left()


def test_a_run_that_no_trusted_host_has_signed_is_refused(done: RunFolder, here: Path) -> None:
    packed = export.export(done, here / "x.tar")
    for trusted in (signers("t", line("other")), signers("u", line("host", "elsewhere")),
                    signers("v", line("host", None, "airlock-release"))):
        with pytest.raises(IntegrityError, match="it can't be trusted"):
            take(packed, trusted)
    members = [member for member in read(packed) if not member[0].name.endswith(".sig")]
    write(here / "stripped.tar", members)
    with pytest.raises(IntegrityError, match="not signed"):
        take(here / "stripped.tar", signers("s", line("host")))
    assert take(here / "stripped.tar").signed == "not signed"


Members = list[tuple[tarfile.TarInfo, bytes]]


def read(archive: Path) -> Members:
    with tarfile.open(archive) as opened:
        return [(member, stream.read()) for member in opened
                if (stream := opened.extractfile(member))]


def write(archive: Path, members: Members) -> None:
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as opened:
        for about, data in members:
            about.size = len(data) if about.isreg() else 0
            opened.addfile(about, io.BytesIO(data))


def member(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> Any:
    about = tarfile.TarInfo(name)
    about.type, about.linkname = kind, link
    return about, data


def at(members: Members, end: str) -> int:
    return next(number for number, (about, _) in enumerate(members) if about.name.endswith(end))


def replaced(end: str, made: Callable[[str, bytes], Any]) -> Callable[[Members], Members]:
    def change(members: Members) -> Members:
        number = at(members, end)
        about, data = members[number]
        return [*members[:number], made(about.name, data), *members[number + 1:]]

    return change


HOSTILE: dict[str, Callable[[Members], Members]] = {
    "a changed byte": replaced("results/a", lambda name, _: member(name, b"b\n")),
    "a longer file": replaced("results/a", lambda name, data: member(name, data * 9)),
    "a link in a result's place": replaced("results/a", lambda name, _: member(
        name, kind=tarfile.SYMTYPE, link="/etc/passwd")),
    "a hard link": replaced("results/a", lambda name, _: member(
        name, kind=tarfile.LNKTYPE, link="x")),
    "a device": replaced("results/a", lambda name, _: member(name, kind=tarfile.CHRTYPE)),
    "a pipe": replaced("results/a", lambda name, _: member(name, kind=tarfile.FIFOTYPE)),
    "a folder": replaced("results/a", lambda name, _: member(name, kind=tarfile.DIRTYPE)),
    "a link for the folder of results": lambda members: [
        *members[:4], member(f"{members[0][0].name.split('/')[0]}/results", kind=tarfile.SYMTYPE,
                             link="/etc"), *members[4:]],
    "a file above": lambda members: [*members, member("../above", b"x")],
    "an absolute file": lambda members: [*members, member("/etc/above", b"x")],
    "a file beside": lambda members: [*members, member(
        members[0][0].name.replace("SHA256SUMS", "results/more"), b"x")],
    "a result twice": lambda members: [*members, members[at(members, "results/a")]],
    "a result left out": lambda members: members[:-1],
    "a changed record": replaced("run.json", lambda name, data: member(
        name, data.replace(b'"success"', b'"failed"'))),
    "a list without the record": replaced("SHA256SUMS", lambda name, data: member(
        name, b"".join(row + b"\n" for row in data.splitlines() if b"run.json" not in row))),
    "a changed page": replaced("report.html", lambda name, data: member(
        name, data.replace(b"<script>", b"<script>alert(1);"))),
    "a page left out": lambda members: [*members[:3], *members[4:]],
    "a page twice": lambda members: [*members[:4], *members[3:]],
    "a page that the list doesn't name": replaced("SHA256SUMS", lambda name, data: member(
        name, b"".join(row + b"\n" for row in data.splitlines() if b"report.html" not in row))),
    "results first": lambda members: [*members[4:], *members[:4]],
    "two runs": lambda members: [*members[:2], member("20260102T030405Z-x/run.json", b"{}")],
    "another name": lambda members: [
        (member(about.name.replace("-test", "-best"))[0], data) for about, data in members],
    "a name that leads out": lambda members: [
        (member(f"../{about.name}")[0], data) for about, data in members],
    "nothing": lambda members: [],
    "a record alone": lambda members: members[2:3],
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("is_signed", [True, False])
def test_a_hostile_archive_is_refused_and_nothing_is_left(
        done: RunFolder, here: Path, name: str, is_signed: bool) -> None:
    packed = export.export(done, here / "x.tar")
    write(here / "hostile.tar", HOSTILE[name](read(packed)))
    with pytest.raises(AirlockError) as caught:
        take(here / "hostile.tar", signers("s", line("host")) if is_signed else None)
    assert isinstance(caught.value, IntegrityError), caught.value
    assert nothing_left()
    assert not (here.parent / "above").exists()


def test_a_torn_or_packed_archive_is_refused(done: RunFolder, here: Path) -> None:
    whole = export.export(done, here / "x.tar").read_bytes()
    for number, data in enumerate((b"", whole[:700], whole[:-10240 - 600], gzip.compress(whole),
                                   b"\0" * 10240, b"x" * 5000)):
        (here / f"{number}.tar").write_bytes(data)
        with pytest.raises(IntegrityError):
            take(here / f"{number}.tar")
    with pytest.raises(ConfigError, match="no such file"):
        take(here / "none.tar")
    assert nothing_left()


def forged(done: RunFolder, **changed: Any) -> Members:
    """A run that its host's own key has signed, with another record."""
    record = {**read_json(done.record, "run"), **changed}
    data = files.json_bytes(record)
    rows = record["results"] if isinstance(record["results"], list) else []
    listed = checksums.format_sums({"run.json": files.sha256_bytes(data), **{
        f"results/{row['path']}": row["sha256"] for row in rows if "\n" not in row["path"]}})
    seal = signature.sign(key("host"), listed, namespace=signature.RUN)
    return [member(f"{done.name}/{name}", content) for name, content in (
        ("SHA256SUMS", listed), ("SHA256SUMS.sig", seal), ("run.json", data))]


@pytest.mark.parametrize("changed", [
    {"results": None}, {"name": "20260102T030405Z-other"}, {"pipeline": "../up"},
    {"kind": "release"}, {"results": [{"path": "a", "sha256": "0" * 64, "size": -1}]},
    {"results": [{"path": "a\nb", "sha256": "0" * 64, "size": 1}]},
    {"results": [{"path": "a", "sha256": "0" * 64, "size": 1}] * 2},
    {"results": [{"path": "a", "sha256": "0" * 64, "size": 10**30}]}])
def test_a_trusted_host_cannot_sign_what_is_no_record(
        done: RunFolder, here: Path, changed: dict[str, Any]) -> None:
    write(here / "forged.tar", forged(done, **changed))
    with pytest.raises(AirlockError):
        take(here / "forged.tar", signers("s", line("host")))
    assert nothing_left()


@pytest.mark.parametrize("path", ["./a", "a//b", ".", "a/"])
def test_a_result_has_one_name_alone(done: RunFolder, here: Path, path: str) -> None:
    """By another one it would be in place, and missing all the same."""
    row = {"path": path, "sha256": files.sha256_bytes(b"x"), "size": 1}
    write(here / "forged.tar", [*forged(done, results=[row]),
                                member(f"{done.name}/results/{path}", b"x")])
    with pytest.raises(IntegrityError, match="by its plain path"):
        take(here / "forged.tar")
    assert nothing_left()
