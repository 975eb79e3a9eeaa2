"""The graph is true: who is stale, who is behind, and which settings a step reads."""

from __future__ import annotations

import ast
import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.core.config.load import load
from tasks.core.graph import rooms
from tasks.core.graph.step import group, step
from tests.kit.graph import Build

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class CopySpec:
    pipeline: str
    source: Path
    target: Path
    suffix: str = ""


def copy_file(spec: CopySpec) -> None:
    spec.target.write_text(spec.source.read_text().strip() + spec.suffix)


def chain(suffix: str = "") -> list[dict[str, Any]]:
    return [
        group("one", "first"),
        step("one:p", "", copy_file, CopySpec(pipeline="p", source=Path("a"), target=Path("b"),
                                              suffix=suffix),
             needs=[Path("a")], makes=[Path("b")]),
        group("two", "second"),
        step("two:p", "", copy_file, CopySpec(pipeline="p", source=Path("b"), target=Path("c")),
             needs=[Path("b")], makes=[Path("c")]),
        step("asked:p", "", copy_file, CopySpec(pipeline="p", source=Path("c"), target=Path("d")),
             needs=[Path("c")], makes=[Path("d")], asked=True),
        step("look:p", "", copy_file, CopySpec(pipeline="p", source=Path("c"), target=Path("c")),
             needs=[Path("c")], look=True),
        group("all", "both", ["one", "two"]),
    ]


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("a").write_text("x")
    build = Build(chain(), tmp_path / "state.db")
    for name in ("one:p", "two:p"):
        task = build.control.tasks[name]
        copy_file(task.actions[0].args[2])
        build.succeed(name)
    return tmp_path


def test_all_is_fresh_after_a_build(built: Path) -> None:
    states = Build(chain(), built / "state.db").states()
    assert {states[name] for name in ("one:p", "two:p", "one", "two", "all")} == {"fresh"}
    assert states["look:p"] == "-"


def test_what_is_made_on_request_has_a_state_from_then_on(built: Path) -> None:
    build = Build(chain(), built / "state.db")
    assert build.states()["asked:p"] == "-"
    Path("d").write_text("x")
    build.succeed("asked:p")
    assert build.states()["asked:p"] == "fresh"
    Path("a").write_text("y")
    assert Build(chain(), built / "state.db").states()["asked:p"] == "behind"


def test_what_stands_behind_a_stale_step_is_behind(built: Path) -> None:
    Path("a").write_text("y")
    states = Build(chain(), built / "state.db").states()
    assert (states["one:p"], states["two:p"], states["all"]) == ("stale", "behind", "stale")


def test_a_rebuild_to_the_same_bytes_stops_there(built: Path) -> None:
    Path("a").write_text("x\n")
    build = Build(chain(), built / "state.db")
    copy_file(build.control.tasks["one:p"].actions[0].args[2])
    build.succeed("one:p")
    assert set(build.states().values()) == {"fresh", "-"}


def test_a_changed_setting_is_stale_and_named(built: Path) -> None:
    build = Build(chain(suffix="!"), built / "state.db")
    assert build.states()["one:p"] == "stale"
    assert build.reasons().own("one:p") == ["suffix '' → !"]


def test_a_lost_target_is_stale(built: Path) -> None:
    Path("b").unlink()
    states = Build(chain(), built / "state.db").states()
    assert (states["one:p"], states["two:p"]) == ("stale", "behind")


def all_tasks() -> list[dict[str, Any]]:
    """The rooms of both roles; their task names and files are apart."""
    return [task for role in ("online", "prod") for task in rooms.tasks(load({"role": role}))]


def table_of_verbs(path: Path) -> dict[str, str]:
    """Each verb that stands beside a function in a table of a room's graph."""
    tree = ast.parse(path.read_text())
    return {str(key.value): ast.unparse(value.elts[1])
            for table in ast.walk(tree) if isinstance(table, ast.Dict)
            for key, value in zip(table.keys, table.values, strict=True)
            if isinstance(key, ast.Constant) and isinstance(value, ast.Tuple)}


def test_each_verb_of_a_pipeline_stands_beside_its_function(project: Path) -> None:
    tables = [table_of_verbs(path) for path in ROOT.glob("tasks/*/*graph.py")]
    assert sum(map(len, tables)) == len({verb for table in tables for verb in table})
    for table in tables:
        assert len(set(table.values())) == len(table), "two verbs share a function"
    verbs = {task["basename"] for task in all_tasks() if task.get("name")}
    # Only sites that carry the images in another way have two of them, and hello has no configs.
    assert {"images:load", "images:sif", "stage:configs", *verbs} == {
        verb for table in tables for verb in table}


def keys(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in schema.get("properties", {}).items():
        if "x-readers" in value:
            yield (*path, key)
        else:
            yield from keys(value, (*path, key))


def node(schema: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    for key in path:
        schema = schema["properties"][key]
    return schema


OTHER: dict[tuple[str, ...], Any] = {
    ("pipelines",): ["hello", "twin"],
    ("python",): ["3.12"], ("prune", "keep"): 7, ("prune", "pinned"): ["dev-0123456789ab"],
    **{("prune", key): "60 days" for key in ("recent", "grace")},
    ("signing", "colleagues"): {"ann": "ssh-ed25519 AAAA ann"},
    ("signing", "approvers"): {"bert": "ssh-ed25519 AAAA bert"},
    ("platform",): "linux/arm64",
    ("images", "carry"): "store",
    ("offline", "engine"): "podman",
    ("hosts", "registries"): {"quay.io": "http://127.0.0.1:1/q"},
    ("hosts", "urls"): {"https://data.hello.example.org/": "http://127.0.0.1:1/d/"},
    ("hosts", "buckets"): {"reads": "https://s3.example.org"},
    ("hosts", "inside"): ["mirror.example.org"],
    ("hosts", "folders"): ["/srv/reads"],
    ("plugins", "index"): "https://elsewhere.example.org/plugins.json",
    ("plugins", "registry"): "https://elsewhere.example.org/api",
    ("plugins",): ["nf-amazon"],
    ("store", "endpoint"): "https://s3.example.org",
    ("offline", "store", "endpoint"): "https://s3.example.org",
    ("store", "encryption"): "aws:kms",
    ("store", "checksums"): "metadata",
    ("store", "conditional"): "none",
    ("store", "kms_key"): "alias/other",
    ("engine",): "unix:///elsewhere.sock",
    ("isolation",): "none",
    ("aws", "region"): "eu-central-1",
    ("aws", "endpoint"): "https://aws.example.org",
    ("aws", "account"): "111122223333",
    ("aws", "work_days"): 7,
    ("aws", "vpc_endpoint"): "vpce-0123456789abcdef0",
    ("batch", "mode"): "fusion",
    ("batch", "images"): {"basic": "registry.example.org/ubuntu@sha256:0"},
    ("batch", "cli", "source"): "aws",
    ("batch", "cli", "version"): "2.31.0",
    ("batch", "cli", "sha256"): "0" * 64,
    ("batch", "cli", "store", "endpoint"): "https://s3.example.org",
    ("batch", "cli", "store", "encryption"): "aws:kms",
    ("batch", "cli", "store", "kms_key"): "alias/other",
    ("batch", "cli", "store", "checksums"): "metadata",
    ("batch", "cli", "store", "conditional"): "none",
    ("batch", "instance_types"): ["m5"],
    ("batch", "max_vcpus"): 8,
    ("batch", "disk"): 300,
    ("batch", "vpc"): "vpc-0123",
    ("batch", "subnets"): ["subnet-0123"],
    ("batch", "security_groups"): ["sg-0123"],
    ("batch", "endpoints"): ["jobs", "head"],
    ("batch", "instance_role"): "ecsInstanceRole",
    ("batch", "service_role"): "arn:aws:iam::123456789012:role/batch",
    ("batch", "parity"): True,
    ("batch", "buckets"): ["lab-results"],
    ("batch", "limits", "memory"): "15 GB",
    ("batch", "limits", "cpus"): 4,
    ("sandbox", "network"): "10.89.99.0/30",
    ("sandbox", "interface"): "veth9",
    ("signing", "create"): False,
    ("signing", "valid"): "30 days",
    ("smoke",): "none",
    ("source",): "examples/other",
    ("nextflow", "version"): "24.10.4",
    ("nextflow", "coordinates"): ["io.nextflow:nextflow:24.10.4"],
    ("nextflow", "dist"): "https://example.org/nextflow-24.10.5-dist",
    ("nextflow", "sha256"): "0" * 64,
    ("images",): {"SEQSTATS_COUNTS": "quay.io/airlock/other:2"},
    ("registry", "prefix"): "team/mirror",
    ("registry", "repositories"): {"quay.io": "127.0.0.1:8443/quay"},
    ("registry", "connections"): 16,
    ("images", "platforms"): ["linux/amd64", "linux/arm64"],
    ("images", "licences"): {"*/airlock/*": "ours"},
    ("run",): "stub",
    ("data", "limit"): "7 GB",
    ("data", "folders"): {"cache": ["part"]},
    ("params",): {"depth": 30},
    ("sha256",): "0" * 64,
    ("configs",): {"source": "https://git.example.org/configs", "revision": "main"},
    ("references",): {"genome": "GRCh38"},
}
"""Another value that is valid, for keys where a changed text or number would not be."""

INSTEAD: dict[tuple[str, ...], tuple[str, ...]] = {
    ("plugins", "registry"): ("plugins", "index"),
    ("nextflow", "dist"): ("nextflow", "coordinates"),
    ("nextflow", "sha256"): ("nextflow", "coordinates"),
}
"""Keys that can't stand beside another one, which goes."""


ALONG: dict[tuple[str, ...], dict[tuple[str, ...], Any]] = {
    ("batch", "cli", "source"): {("batch", "cli", "version"): "2.31.0",
                                 ("batch", "cli", "sha256"): "0" * 64},
    ("batch", "cli", "version"): {("batch", "cli", "source"): "aws",
                                  ("batch", "cli", "sha256"): "0" * 64},
    ("batch", "cli", "sha256"): {("batch", "cli", "source"): "aws",
                                 ("batch", "cli", "version"): "2.31.0"},
    ("sha256",): {("source",): "https://example.org/hello.tar.gz"},
    ("nextflow", "sha256"): {("nextflow", "dist"): "https://example.org/nextflow-dist"},
    ("store", "kms_key"): {("store", "encryption"): "aws:kms"},
    ("aws", "roles", "online"): {("aws", "roles", "offline"): "reads"},
    ("aws", "roles", "offline"): {("aws", "roles", "online"): "writes"},
    ("aws", "roles", "jobs"): {("aws", "roles", "online"): "writes",
                               ("aws", "roles", "offline"): "reads"},
    ("aws", "roles", "admin"): {("aws", "roles", "online"): "writes",
                                ("aws", "roles", "offline"): "reads"},
}
"""What a key can't be changed without."""

OF_SITE = ("tool", "tool:sign", "aws:policies")
"""Steps of the site, which has one of each, whose readers the schema names too."""


def changed(value: Any, key: tuple[str, ...]) -> Any:
    if key in OTHER:
        return OTHER[key]
    return value + 1 if isinstance(value, int) else f"{value or 'x'}-other"


def put(raw: dict[str, Any], key: tuple[str, ...], value: Any) -> None:
    for part in key[:-1]:
        raw = raw.setdefault(part, {})
    raw[key[-1]] = value


def get(raw: Any, key: tuple[str, ...]) -> Any:
    for part in key:
        raw = raw.get(part) if isinstance(raw, dict) else None
    return raw


OF_IMAGE_FILES = {("offline", "library")}
"""Keys that only a site with image files may have, whose readers test_images_sif_graph.py holds."""

CASES = [(kind, key) for kind in ("site", "pipeline")
         for key in keys(json.loads((ROOT / f"schemas/{kind}.schema.json").read_text()))
         if key not in OF_IMAGE_FILES]


@pytest.fixture
def done(project: Path) -> Path:
    """The whole graph of the local site, declared done: every target there, every state saved."""
    (project / "examples/other").mkdir()
    (project / "examples/other/main.nf").write_text("workflow {}\n")
    twin = (project / "config/pipelines/hello.yml").read_text()
    (project / "config/pipelines/twin.yml").write_text(twin)
    build = Build(all_tasks(), project / "state.db")
    build.declare_done()
    stale = {name for name, state in build.states().items() if state in ("stale", "behind")}
    assert not stale
    return project


def test_after_a_relock_to_the_same_bytes_nothing_is_stale(done: Path) -> None:
    again = list(rooms.tasks(load({"role": "online", "relock": "1"})))
    relocked = Build(again, done / "state.db")
    for name in ("images:lock", "mirror:data", "plugins:cache", "runtime"):
        assert relocked.states()[f"{name}:hello"] == "-", "it runs each time"
        relocked.succeed(f"{name}:hello")
    states = Build(all_tasks(), done / "state.db").states()
    assert not {name for name, state in states.items() if state in ("stale", "behind")}


def test_each_key_of_the_configuration_makes_its_readers_stale_and_no_other(done: Path) -> None:
    files = {"site": done / "config/sites/local.yml",
             "pipeline": done / "config/pipelines/hello.yml"}
    schemas = {kind: json.loads((ROOT / f"schemas/{kind}.schema.json").read_text())
               for kind in files}
    wrong = {}
    for kind, key in CASES:
        before = files[kind].read_text()
        raw = yaml.safe_load(before)
        put(raw, key, changed(copy.deepcopy(get(raw, key)), key))
        for other, value in ALONG.get(key, {}).items():
            put(raw, other, value)
        if key in INSTEAD:
            get(raw, INSTEAD[key][:-1]).pop(INSTEAD[key][-1])
        files[kind].write_text(yaml.safe_dump(raw))
        states = Build(all_tasks(), done / "state.db").states()
        files[kind].write_text(before)
        stale = {name for name, state in states.items() if state == "stale"}
        verbs = {name.removesuffix(":hello") for name in stale
                 if name.endswith(":hello") or name in OF_SITE or name.startswith("batch:")}
        declared = set(node(schemas[kind], key)["x-readers"])
        if verbs != declared:
            wrong[f"{kind}: {'.'.join(key)}"] = (sorted(verbs - declared),
                                                 sorted(declared - verbs))
    assert not wrong, "key: (stale but not declared, declared but not stale)\n" + "\n".join(
        f"  {key}: {verbs}" for key, verbs in wrong.items())
