"""images:layout and images:save against a real registry: what is written, and what is refused."""

from __future__ import annotations

import hashlib
import json
import pickle
import random
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.errors import ImageError, IntegrityError
from tasks.core.registry.client import Access
from tasks.core.schema import read_json
from tasks.images.destination import Destination
from tasks.images.lock import lock_images
from tasks.images.lock_format import read_lock
from tasks.images.oci_layout import lay_out
from tasks.images.save import save_images
from tests.kit import faults, image_steps, machine
from tests.kit import registries as servers
from tests.kit.faults import flip
from tests.kit.image_steps import Steps
from tests.kit.registries import Server
from tests.kit.registry_memory import Memory, Request, serve

SHARED = random.Random(1).randbytes(400_000)
ONE, TWO = "quay.io/bio/one:1.0", "quay.io/bio/two:2--0"
ROOT = Path(__file__).resolve().parents[2]


def steps(folder: Path, url: str, images: list[str]) -> Steps:
    access = Access(registries={"quay.io": f"{url}/quay.io"}, ca=None, authfile=None)
    return image_steps.steps(folder, images, access, Destination(address="none.example.org"))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    servers.need_programs()
    root = tmp_path_factory.mktemp("source")
    with servers.registry(root / "registry") as server:
        for name in (ONE, TWO):
            servers.add_image(server, name, [SHARED, name.encode()])
        servers.add_image(server, "quay.io/bio/big:1", [random.Random(3).randbytes(20 << 20)])
        servers.add_image(server, "quay.io/bio/both:1", [SHARED], platforms=("amd64", "arm64"))
        yield server


def test_archives_are_whole_and_their_bytes_hang_on_the_images_alone(
        source: Server, tmp_path: Path) -> None:
    first, second = (steps(tmp_path / name, source.url, [ONE, TWO]) for name in ("a", "b"))
    assert "2 archives" in first.lock_and_save()
    second.lock_and_save()
    assert first.archives() == second.archives()
    assert len(first.archives()) == 2
    subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=first.save.folder,
                   check=True, capture_output=True)
    image = read_lock(first.lock.merged)[0]
    with tarfile.open(next(first.save.folder.glob("one-1.0-*.tar"))) as archive:
        for member in archive:
            name = member.name.rpartition("/")[2]
            if member.isfile() and member.name.startswith("blobs/sha256/"):
                reader = archive.extractfile(member)
                assert reader is not None
                assert hashlib.sha256(reader.read()).hexdigest() == name
        names = archive.getnames()
        docker = json.loads(archive.extractfile("manifest.json").read())  # type: ignore[union-attr]
    assert docker == [{"Config": f"blobs/{image.config.digest.replace(':', '/')}",
                       "Layers": [f"blobs/{layer.digest.replace(':', '/')}"
                                  for layer in image.layers],
                       "RepoTags": [ONE]}] if image.config else False
    assert {"index.json", "oci-layout", *docker[0]["Layers"]} <= set(names)


def test_each_blob_is_fetched_once(tmp_path: Path) -> None:
    with serve(Memory()) as memory:
        for name in ("one", "two"):
            memory.add_image(f"quay.io/bio/{name}", [SHARED, SHARED])
        at = steps(tmp_path, memory.url, ["quay.io/bio/one:1", "quay.io/bio/two:1"])
        lock_images(at.lock)
        memory.seen.clear()
        lay_out(at.layout)
        digest = "sha256:" + hashlib.sha256(SHARED).hexdigest()
        assert memory.count("GET", f"/blobs/{digest}") == 1
        assert not memory.repeated()
        memory.seen.clear()
        assert "0 B fetched now" in lay_out(at.layout)
        save_images(at.save)
        assert not memory.seen


def test_a_second_save_writes_only_what_is_new(source: Server, tmp_path: Path) -> None:
    at = steps(tmp_path, source.url, [ONE, TWO])
    at.lock_and_save()
    before = {path: path.stat().st_mtime_ns for path in at.save.folder.glob("*.tar")}
    assert "2 archives" in (said := save_images(at.save)) and "0 of them written" in said
    assert before == {path: path.stat().st_mtime_ns for path in at.save.folder.glob("*.tar")}
    (at.save.folder / ".left.part").write_bytes(b"of a killed run")
    at.lock.images.write_text(f"{TWO}\nquay.io/bio/both:1\n")
    assert "1 of them written now" in at.lock_and_save()
    assert sorted(name.partition("-")[0] for name in at.archives()) == ["both", "two"]
    assert not list(at.save.folder.glob(".*"))


def test_an_image_named_by_digest_has_a_name_that_engines_take(
        source: Server, tmp_path: Path) -> None:
    digest = str(servers.inspect(source, "quay.io/bio/one:1.0")["Digest"])
    at = steps(tmp_path, source.url, [f"quay.io/bio/one@{digest}", ONE])
    at.lock_and_save()
    names = [manifest["annotations"]["io.containerd.image.name"]
             for manifest in read_json(at.layout.index, "oci-index")["manifests"]]
    assert sorted(names) == [ONE, f"quay.io/bio/one:{digest.replace(':', '-')}"]


def test_further_platforms_are_in_the_layout_and_the_hosts_own_in_the_archive(
        source: Server, tmp_path: Path) -> None:
    at = steps(tmp_path, source.url, ["quay.io/bio/both:1"])
    at = replace(at, lock=replace(at.lock, platforms=("linux/arm64",)))
    at.lock_and_save()
    image = read_lock(at.lock.merged)[0]
    for digest in image.manifests:
        plain = digest.removeprefix("sha256:")
        assert files.sha256(at.layout.blobs / plain / plain) == plain
    with tarfile.open(next(at.save.folder.glob("*.tar"))) as archive:
        assert f"blobs/{image.manifest.replace(':', '/')}" in archive.getnames()
        assert f"blobs/{image.others[0].manifest.replace(':', '/')}" not in archive.getnames()


def test_two_images_under_one_name_are_refused(source: Server, tmp_path: Path) -> None:
    digest = str(servers.inspect(source, "quay.io/bio/one:1.0")["Digest"])
    tag = digest.replace(":", "-")
    servers.add_image(source, f"quay.io/bio/one:{tag}", [b"other"])
    at = steps(tmp_path / "p", source.url, [f"quay.io/bio/one@{digest}", f"quay.io/bio/one:{tag}"])
    with pytest.raises(ImageError, match=f"would both be quay.io/bio/one:{tag}"):
        at.lock_and_save()
    assert not at.archives()


def test_a_flipped_byte_in_an_archive_is_named_and_mended(source: Server, tmp_path: Path) -> None:
    at = steps(tmp_path, source.url, [ONE, TWO])
    at.lock_and_save()
    whole = at.archives()
    bad = next(at.save.folder.glob("two-*.tar"))
    flip(bad)
    seen = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=at.save.folder,
                          capture_output=True, text=True, check=False)
    assert seen.returncode and f"{bad.name}: FAILED" in seen.stdout
    assert f"{bad.name} had changed, and was written anew" in save_images(at.save)
    assert at.archives() == whole


def test_a_flipped_byte_in_a_blob_is_refused_and_named_and_the_next_run_completes(
        source: Server, tmp_path: Path) -> None:
    at = steps(tmp_path, source.url, [ONE, TWO])
    lock_images(at.lock)
    lay_out(at.layout)
    digest = read_lock(at.lock.merged)[1].layers[1].digest.removeprefix("sha256:")
    flip(at.layout.blobs / digest / digest)
    with pytest.raises(IntegrityError) as caught:
        save_images(at.save)
    assert digest in str(caught.value) and "run the same command again" in str(caught.value)
    assert not list(at.save.folder.glob("two-*"))
    assert not at.layout.index.exists()  # so images:layout is stale
    said = lay_out(at.layout)
    assert "; 0 B fetched" not in said
    assert "2 archives" in save_images(at.save)


def test_a_flipped_byte_at_the_source_is_refused_and_named(tmp_path: Path) -> None:
    with servers.registry(tmp_path / "registry") as server:
        servers.add_image(server, "quay.io/bio/spoiled:1", [SHARED])
        at = steps(tmp_path / "p", server.url, ["quay.io/bio/spoiled:1"])
        lock_images(at.lock)
        digest = read_lock(at.lock.merged)[0].layers[0].digest
        blob = server.blob(digest)
        whole = blob.read_bytes()
        flip(blob)
        with pytest.raises(IntegrityError, match=f"quay.io/bio/spoiled@{digest}"):
            lay_out(at.layout)
        assert not at.layout.index.exists()
        plain = digest.removeprefix("sha256:")
        assert not list((at.layout.blobs / plain).iterdir())
        blob.write_bytes(whole)
        at.lock_and_save()


def test_a_body_that_breaks_off_is_fetched_again(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.core.net.request.backoff", lambda attempt: 0.0)
    layer = hashlib.sha256(SHARED).hexdigest()
    broken: list[str] = []

    with serve(Memory()) as memory:
        def spoil(request: Request) -> tuple[int, dict[str, str], bytes] | None:
            if request.method == "GET" and request.path.endswith(layer) and len(broken) < 2:
                broken.append(request.path)
                return 200, {"Content-Length": str(len(SHARED))}, SHARED[:100_000]
            return None

        memory.add_image("quay.io/bio/x", [SHARED])
        memory.spoil = spoil
        at = steps(tmp_path, memory.url, ["quay.io/bio/x:1"])
        at.lock_and_save()
        assert len(broken) == 2


def test_a_full_disk_is_reported_and_the_next_run_completes(source: Server, tmp_path: Path) -> None:
    at = steps(tmp_path, source.url, [ONE, "quay.io/bio/big:1"])
    lock_images(at.lock)

    def on_a_small_disk(folder: Path, function: str, spec: object, before: str = "") -> str:
        """Run a step with `folder` on 8 MB; the next run has the true disk again."""
        folder.mkdir(exist_ok=True)
        code = ("import pickle, sys\nfrom tasks.core.graph.step import perform\n"
                f"from tasks.core import disk\n{before}\n"
                "from tasks.images import oci_layout, save\n"
                f"print(perform('x', {function}, pickle.load(sys.stdin.buffer)))\n")
        small = "mount --bind \"$0\" \"$0\"; mount -t tmpfs -o size=8m tmpfs \"$0\"; exec \"$@\""
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", small, str(folder), sys.executable, "-c", code],
            input=pickle.dumps(spec), capture_output=True, check=False, cwd=ROOT)
        assert not done.returncode, done.stderr.decode()
        return done.stdout.decode()

    machine.need_root()
    foreseen = on_a_small_disk(at.layout.blobs, "oci_layout.lay_out", at.layout)
    assert "8.4 MB free, and needed are" in foreseen and str(at.layout.blobs) in foreseen
    assert not [*at.layout.blobs.iterdir()]
    said = on_a_small_disk(at.layout.blobs, "oci_layout.lay_out", at.layout,
                           "disk.hold = lambda *_: None  # another fills it meanwhile")
    assert "No space left on device" in said and str(at.layout.blobs) in said
    assert "free space" in said
    assert not at.layout.index.exists()
    lay_out(at.layout)
    said = on_a_small_disk(at.save.folder, "save.save_images", replace(
        at.save, config=at.layout.marker))
    assert "No space left on device" in said and "big-1-" in said
    assert not at.archives()
    assert "2 archives" in save_images(at.save)


def test_killed_at_any_time_the_next_run_completes(source: Server, tmp_path: Path) -> None:
    images = [ONE, TWO, "quay.io/bio/big:1"]
    whole = steps(tmp_path / "whole", source.url, images)
    whole.lock_and_save()
    at = steps(tmp_path / "killed", source.url, images)
    lock_images(at.lock)
    code = ("from tasks.core import files\n"
            "from tasks.images import blobs, oci_layout, save\n"
            "checked = blobs.checked\n"
            "def slow(*given):\n"
            "    for chunk in checked(*given):\n"
            "        time.sleep(0.01)\n"
            "        yield chunk\n"
            "blobs.checked = slow\n"
            "write = blobs.Blobs.write\n"
            "def slower(self, digest, chunks):\n"
            "    write(self, digest, (time.sleep(0.01) or chunk for chunk in chunks))\n"
            "blobs.Blobs.write = slower\n"
            "one, two = pickle.load(sys.stdin.buffer)\n"
            "oci_layout.lay_out(one)\nsave.save_images(two)\n")
    killed = 0
    for pause in (0.4, 0.7, 1.0, 1.3):
        process = faults.start(code, (at.layout, at.save))
        time.sleep(pause)
        killed += faults.kill(process)
        for path in at.layout.blobs.glob("*/[0-9a-f]*"):
            assert files.sha256(path) == path.name
        for name, digest in at.archives().items():
            assert whole.archives()[name] == digest
    assert killed >= 2
    lay_out(at.layout)
    save_images(at.save)
    assert at.archives() == whole.archives()
    assert not list(at.layout.blobs.rglob(".*.part"))
    assert not list(at.save.folder.glob(".*.part"))


def test_a_large_layer_takes_little_memory(tmp_path: Path) -> None:
    """A layer of 400 MB within 150 MB of memory, from the registry to the archive."""
    servers.need_programs()
    with servers.registry(tmp_path / "registry") as server:
        at = steps(tmp_path / "p", server.url, ["quay.io/bio/large:1"])
        servers.push_large(server, "quay.io/bio/large", 400)
        lock_images(at.lock)
        # The peak of this very program: ru_maxrss would give its parent's, if that is larger.
        code = ("import pickle, sys\n"
                "from tasks.images import oci_layout, save\n"
                "one, two = pickle.load(sys.stdin.buffer)\n"
                "oci_layout.lay_out(one)\nsave.save_images(two)\n"
                "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n")
        done = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT,
                              input=pickle.dumps((at.layout, at.save)), capture_output=True)
        assert int(done.stdout) < 150_000, f"{int(done.stdout)} kB"
        assert next(at.save.folder.glob("*.tar")).stat().st_size > 400_000_000


def test_schema_1_is_saved_converted_and_only_once(tmp_path: Path) -> None:
    with servers.registry(tmp_path / "registry", schema1=True) as server:
        servers.add_image(server, "quay.io/bio/old:0.7", [SHARED, b"old"], form="v2s1")
        at = steps(tmp_path / "p", server.url, ["quay.io/bio/old:0.7"])
        at.lock_and_save()
        locked = read_lock(at.lock.merged)[0]
        entry = read_json(at.layout.index, "oci-index")["manifests"][0]
        assert entry["annotations"]["airlock.converted-from"] == locked.manifest
        assert entry["digest"] != locked.manifest
        before = at.archives()
        assert "0 B fetched now" in lay_out(at.layout)
    output = subprocess.run(["skopeo", "inspect",
                             f"oci-archive:{next(at.save.folder.glob('*.tar'))}"],
                            check=True, capture_output=True).stdout
    assert json.loads(output)["Digest"] == entry["digest"]
    assert [layer.digest for layer in locked.layers[:2]] == json.loads(output)["Layers"]
    assert "0 of them written" in save_images(at.save) and at.archives() == before
