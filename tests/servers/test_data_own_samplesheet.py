"""A user's own sheet: carried with its files, and found again offline."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import pytest

from tasks.core import files, schema
from tasks.core.errors import ConfigError
from tasks.data.own_samplesheet import OwnSpec, mirror_own
from tasks.data.sources import Reach
from tasks.offline_host.fetch import fetch
from tasks.offline_host.run import own_params
from tasks.release import release
from tests.kit import releases as staged
from tests.kit.data import PUBLIC, data_spec, sha256
from tests.kit.locks import lock_at
from tests.kit.web import Web


@pytest.mark.parametrize("ending", ["csv", "tsv", "json"])
def test_a_user_s_own_sheet_is_carried_and_found_offline(
        tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """Relative, absolute and remote cells, each row; what is elsewhere on the machine is not."""
    monkeypatch.chdir(tmp_path)
    ready = staged.stage()
    theirs = tmp_path / "home/run 1"
    for name, data in {"reads/a.fq": b"a", "b.bam": b"b", "b.bam.bai": b"bai"}.items():
        files.write_bytes(theirs / name, data)
    web.files = {"/c.fq": b"c"}
    sheet = theirs / f"cohort-1.{ending}"
    cells = {"a": "reads/a.fq", "b": str(theirs / "b.bam"), "c": f"{PUBLIC}c.fq"}
    mark = {"csv": ",", "tsv": "\t"}.get(ending)
    sheet.write_text(f"sample{mark}file\n" + "".join(
        f"{name}{mark}{cell}\n" for name, cell in cells.items()) if mark else json.dumps(
        [{"sample": name, "file": cell} for name, cell in cells.items()]))
    source = dataclasses.replace(data_spec(tmp_path, web).source, blobs=ready.layout.of_site.blobs,
                                 lock=lock_at(tmp_path / "locks", "own-cohort-1"))
    own = OwnSpec(pipeline="hello", sheet=sheet, source=source, limit=None,
                  folder=ready.layout.own / "cohort-1")
    assert "input=cohort-1" in mirror_own(own)
    assert ready.layout.own_names() == ("cohort-1",)
    release.make(dataclasses.replace(ready.release_spec(), own=ready.layout.own_names()))
    ready.push()
    ready.trust_key()
    fetch(ready.fetch_spec())
    place = ready.prod.release(ready.id())
    params = own_params("cohort-1", None, release=place, folder=tmp_path / "launch")
    assert params["input"].endswith(f".{ending}")
    text = Path(params["input"]).read_text()
    rows = (list(csv.DictReader(text.splitlines(), delimiter=mark)) if mark
            else json.loads(text))
    assert [Path(row["file"]).read_bytes() for row in rows] == [b"a", b"b", b"c"]
    assert Path(rows[1]["file"]).with_name("b.bam.bai").read_bytes() == b"bai"
    assert all(Path(row["file"]).is_relative_to(place.absolute()) for row in rows)
    with pytest.raises(ConfigError, match="cohort-1"):
        own_params("cohort-2", None, release=place, folder=tmp_path / "launch")


def test_own_files_come_from_allowed_folders_alone(tmp_path: Path, web: Web,
                                                   caplog: pytest.LogCaptureFixture) -> None:
    """All that lie elsewhere are named at once; what is not on this machine stays, and is named."""
    for name in ("home/sheet.csv", "home/a.fq", "shared/b.fq", "other/c.fq"):
        files.write_text(tmp_path / name, name)
    (tmp_path / "home/link.fq").symlink_to(tmp_path / "other/c.fq")
    own = OwnSpec(pipeline="p", sheet=tmp_path / "home/sheet.csv", folder=tmp_path / "own/sheet",
                  limit=None, source=data_spec(tmp_path, web, reach=Reach(
                      folders=(tmp_path / "shared",))).source)
    cells = ["a.fq", "../shared/b.fq", str(tmp_path / "shared/b.fq"), "/data/there.fq", "v1.2"]
    own.sheet.write_text("file\n" + "".join(f"{cell}\n" for cell in cells))
    mirror_own(own)
    manifest = schema.read_json(own.folder / "data.manifest.json", "data-manifest")
    assert {file["path"].rpartition("/")[2] for file in manifest["files"]} == {"a.fq", "b.fq"}
    rows = (own.folder / "inputs.csv").read_text().split()[1:]
    assert rows[1] == rows[2] == f"data/{sha256(b'shared/b.fq')}/b.fq"
    assert rows[3:] == cells[3:]
    assert "left as they are: /data/there.fq\n" in caplog.text
    outside = ["link.fq", "../other/c.fq", str(tmp_path / "other/c.fq")]
    own.sheet.write_text("file\n" + "".join(f"{cell}\n" for cell in outside))
    with pytest.raises(ConfigError) as caught:
        mirror_own(own)
    assert all(f"    {cell}\n" in str(caught.value) for cell in outside)
    own.sheet.write_text("file\na.fq\n")
    with pytest.raises(ConfigError, match=r"the data are 9 B, more than the 8 B"):
        mirror_own(dataclasses.replace(own, limit=8))
