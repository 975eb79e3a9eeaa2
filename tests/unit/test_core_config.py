"""Reading the configuration: what wins, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from tasks.core import files
from tasks.core.config import fields
from tasks.core.config.load import load
from tasks.core.config.overrides import ENVIRONMENT
from tasks.core.config.settings import Pipeline, Site
from tasks.core.errors import ConfigError
from tasks.images.reference import complete
from tasks.release.graph import offline_site

ROOT = Path(__file__).resolve().parents[2]


def test_the_local_site_is_the_default(project: Path) -> None:
    config = load({})
    assert config.site.name == "local"
    assert [pipeline.name for pipeline in config.pipelines] == ["hello"]


@pytest.mark.parametrize(("given", "expected"), [
    ({"pipeline": "helo"}, "did you mean 'hello'"),
    ({"site": "locl"}, "did you mean 'local'"),
    ({"pipline": "hello"}, "did you mean 'pipeline'"),
    ({"role": "production"}, "there is no role 'production'"),
])
def test_an_unknown_name_is_answered_with_the_nearest(project: Path, given: dict[str, str],
                                                      expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        load(given)


def carried(folder: Path, site: str = "local") -> None:
    """Make it the folder of a tool that was carried for a site."""
    files.write_json(folder / "tool.json", {
        "kind": "tool", "id": "0123456789ab", "site": site,
        "wheels": [{"name": "a-1-py3-none-any.whl", "sha256": "0" * 64, "size": 1}]})


def test_the_folder_of_a_carried_tool_knows_its_role_and_its_site(
        project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy("config/sites/local.yml", "config/sites/acme.yml")
    assert load({}).role == "online"
    carried(project, "acme")
    monkeypatch.setenv("AIRLOCK_SITE", "elsewhere")
    Path(".env").write_text("AIRLOCK_TRUST=/evil\n")
    for given in ({}, {"role": "prod"}, {"site": "acme"}):
        config = load(given)
        assert (config.role, config.site.name) == ("prod", "acme")
        assert str(config.site.offline.trust) != "/evil"
    assert load({"site": "local"}).site.name == "local"
    with pytest.raises(ConfigError, match="there is no role 'online'"):
        load({"role": "online"})


def test_a_checkout_is_never_taken_for_a_carried_tool(project: Path) -> None:
    carried(project)
    (project / "tasks/release").mkdir(parents=True)
    assert load({}).role == "online"
    assert load({"role": "prod"}).role == "prod"


def test_another_user_is_told_to_have_a_folder_of_their_own(
        project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load({})
    monkeypatch.setattr(os, "access", lambda *_: False)  # as for all but root
    with pytest.raises(ConfigError, match="another user's folder") as caught:
        load({})
    assert "each user unpacks the tool" in str(caught.value)


@pytest.mark.parametrize("given", [{"profile": "slurm"}, {"config": "x.config"}])
def test_settings_of_a_run_are_not_passed_over_online(project: Path, given: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="for runs on an offline host"):
        load(given)
    assert load({"role": "prod", **given}).variables == {"role": "prod", **given}


def test_environment_beats_dotenv_beats_the_file(project: Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    assert load({}).site.store.url == "build/local/store"
    (project / ".env").write_text("AIRLOCK_STORE=/from/dotenv\nAIRLOCK_REGISTRY_PORT=8443\n")
    assert load({}).site.store.url == "/from/dotenv"
    monkeypatch.setenv("AIRLOCK_STORE", "s3://from/environment")
    config = load({})
    assert config.site.store.url == "s3://from/environment"
    assert config.site.own_registry.port == 8443


@pytest.mark.parametrize(("registry", "address"), [
    ({"host": "nexus.example.org"}, "nexus.example.org"),
    ({"host": "nexus.example.org", "port": 443}, "nexus.example.org:443"),
    ({"host": "nexus.example.org", "port": 8443}, "nexus.example.org:8443"),
    ({"host": "10.0.0.7"}, "10.0.0.7"), ({"host": "[fd00::7]"}, "[fd00::7]"),
    ({"host": "nexus"}, "nexus:443"), ({"host": "localhost"}, "localhost:443")])
def test_a_registrys_port_may_be_left_out(project: Path, registry: dict[str, Any],
                                          address: str) -> None:
    """Where an image's name can do without: Docker and Nextflow read a first part as they do."""
    path = project / "config/sites/local.yml"
    raw = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**raw, "registry": registry}))
    config = load({})
    assert config.site.own_registry.address == address
    assert offline_site(config.site)["registry"] == registry
    assert complete(f"{address}/quay.io/a/b:1", "other.example.org").host == address


def test_every_fault_of_every_file_is_reported_at_once(project: Path) -> None:
    site = project / "config/sites/local.yml"
    raw = yaml.safe_load(site.read_text())
    raw["registry"]["port"] = "https"
    raw["colour"] = "blue"
    site.write_text(yaml.safe_dump(raw))
    pipeline = project / "config/pipelines/hello.yml"
    pipeline.write_text(pipeline.read_text().replace("rows: 2", "rows: -1"))
    with pytest.raises(ConfigError) as caught:
        load({})
    message = str(caught.value)
    assert "config/sites/local.yml" in message
    assert "registry.port: 'https' is not of type 'integer'" in message
    assert "'colour' was unexpected" in message
    assert "config/pipelines/hello.yml" in message
    assert "data.rows: -1 is less than the minimum of 0" in message


@pytest.mark.parametrize(("key", "value"), [("pipelines", "hello"), ("pipelines", None),
                                            ("pipelines", [1]), ("store", "a folder"),
                                            ("registry", [])])
def test_a_key_of_the_wrong_kind_is_a_fault(project: Path, monkeypatch: pytest.MonkeyPatch,
                                            key: str, value: object) -> None:
    monkeypatch.setenv("AIRLOCK_STORE", "/elsewhere")
    site = project / "config/sites/local.yml"
    site.write_text(yaml.safe_dump({**yaml.safe_load(site.read_text()), key: value}))
    with pytest.raises(ConfigError, match=key):
        load({})


def test_keys_that_contradict_each_other_are_refused(project: Path) -> None:
    site = project / "config/sites/local.yml"
    raw = yaml.safe_load(site.read_text())
    raw["registry"]["repositories"] = {"quay.io": "nexus.example.org:8443/quay"}
    site.write_text(yaml.safe_dump(raw))
    load({})
    site.write_text(yaml.safe_dump({**raw, "images": {"carry": "store"}}))
    with pytest.raises(ConfigError, match=r"registry\.repositories can't be kept"):
        load({})


def test_who_signs_is_no_approver(project: Path) -> None:
    site = project / "config/sites/local.yml"
    raw = yaml.safe_load(site.read_text())
    raw["signing"]["approvers"] = {"bert": "ssh-ed25519 AAAA bert"}
    site.write_text(yaml.safe_dump(raw))
    assert load({}).site.signing.approvers == {"bert": "ssh-ed25519 AAAA bert"}
    raw["signing"]["approvers"] = {raw["signing"]["identity"]: "ssh-ed25519 AAAA"}
    site.write_text(yaml.safe_dump(raw))
    with pytest.raises(ConfigError, match="can't be an approver as well"):
        load({})


def test_a_fault_is_reported_again_on_the_second_try(project: Path) -> None:
    load({})
    pipeline = project / "config/pipelines/hello.yml"
    pipeline.write_text(pipeline.read_text().replace("rows: 2", "rows: many"))
    for _ in range(2):
        with pytest.raises(ConfigError, match="'many' is not of type 'integer'"):
            load({})


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", ""])
def test_what_is_no_mapping_is_refused(project: Path, text: str) -> None:
    (project / "config/sites/local.yml").write_text(text)
    with pytest.raises(ConfigError, match=r"local\.yml|YAML|mapping"):
        load({})


def test_the_template_lists_every_variable() -> None:
    template = (ROOT / ".env.template").read_text()
    for name in [*ENVIRONMENT, "AIRLOCK_SITE"]:
        assert f"#{name}=" in template


@pytest.mark.parametrize(("given", "further"), [
    ("all", ("all",)), ("linux/arm64", ("linux/arm64",)), ("linux/amd64", ()),
    (["linux/amd64", "linux/arm64", "linux/arm/v7"], ("linux/arm/v7", "linux/arm64"))])
def test_platforms_of_images_are_one_several_or_all(project: Path, given: object,
                                                    further: tuple[str, ...]) -> None:
    path = project / "config/sites/local.yml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()),
                                    "images": {"platforms": given}}))
    assert load({}).site.image_platforms == further


def test_a_place_needs_a_host_that_differs_from_a_path(project: Path) -> None:
    path = project / "config/sites/local.yml"
    raw = yaml.safe_load(path.read_text())
    raw["registry"]["repositories"] = {"quay.io": "nexus:8443/quay", "docker.io": "hub.example.org"}
    path.write_text(yaml.safe_dump(raw))
    assert load({}).site.own_registry.repositories["quay.io"] == "nexus:8443/quay"
    raw["registry"]["repositories"] = {"quay.io": "nexus/quay"}
    raw["images"] = {"platforms": "amd64"}
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(ConfigError) as caught:
        load({})
    assert "nexus/quay" in str(caught.value)
    assert "images.platforms" in str(caught.value)


def faults(cls: Any, schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Where a dataclass and its part of a schema differ, or a default stands twice or nowhere."""
    fields = {field.name: field for field in dataclasses.fields(cls) if field.name != "name"}
    nodes = schema["properties"]
    yield from (f"{path}{key} is in one of the two alone" for key in fields.keys() ^ nodes.keys())
    for key in fields.keys() & nodes.keys():
        field = fields[key]
        section = next((kind for kind in [field.type, *get_args(field.type)]
                        if dataclasses.is_dataclass(kind)), None)
        defaults = [*([field.default] if field.default is not dataclasses.MISSING else []),
                    *([{}] if field.default_factory is dict else [])]
        if any(default not in (None, (), "", False, {}) for default in defaults):
            yield f"{path}{key} has a default in its class that belongs into the schema"
        if len(defaults) + ("default" in nodes[key]) != (
                key not in schema.get("required", []) and section is not field.type):
            yield f"{path}{key} needs one default if it may be left out, and none if not"
        if section is not None and f"{path}{key}" != "offline.store":  # filled up from the store
            yield from faults(section, nodes[key], f"{path}{key}.")


@pytest.mark.parametrize(("cls", "name"), [(Site, "site"), (Pipeline, "pipeline")])
def test_the_classes_have_the_shape_of_the_schemas(cls: type, name: str) -> None:
    schema = json.loads((ROOT / f"schemas/{name}.schema.json").read_text())
    assert list(faults(cls, schema)) == []


def test_a_key_that_differs_is_a_fault_of_the_shape() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Part:
        size: int = 7
        colour: str
        extra: bool = False

    schema = {"required": ["colour"], "properties": {
        "size": {"default": 8}, "colour": {}, "shape": {}}}
    assert [line.partition(" ")[0] for line in sorted(faults(Part, schema))] == [
        "extra", "shape", "size", "size"]


def test_every_environment_variable_leads_to_a_key() -> None:
    schema = json.loads((ROOT / "schemas/site.schema.json").read_text())
    for key in ENVIRONMENT.values():
        node = schema
        for part in key.split("."):
            node = node["properties"][part]


def test_a_class_is_filled_by_the_types_of_its_fields(project: Path) -> None:
    path = project / "config/sites/local.yml"
    raw = yaml.safe_load(path.read_text())
    raw["hosts"]["inside"], raw["hosts"]["folders"] = ["Mirror.Example.org"], ["/srv/reads"]
    raw["signing"]["valid"] = "2 weeks"
    path.write_text(yaml.safe_dump(raw))
    pipeline = project / "config/pipelines/hello.yml"
    pipeline.write_text(pipeline.read_text().replace(
        "rows: 2", "rows: 2\n  limit: 1.5 kB\n  folders: {cache: [one, two]}"))
    config = load({})
    site, hello = config.site, config.pipelines[0]
    assert (site.hosts.inside, site.hosts.folders) == (("mirror.example.org",),
                                                       (Path("/srv/reads"),))
    assert site.signing.valid == 2 * 7 * 86400
    assert site.ca == Path("build/local/sandbox/trust/ca.crt")
    assert site.offline.store.url == "/srv/airlock/store"
    assert (site.images.carry, site.smoke, hello.run) == ("registry", "stub", "test")
    assert (hello.data.limit, dict(hello.data.folders)) == (1500, {"cache": ("one", "two")})
    assert (hello.configs, hello.references) == (None, None)


def test_a_section_that_is_left_out_is_read_of_its_defaults() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Part:
        size: int

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Whole:
        part: Part
        other: Part | None = None

    for field, kind in zip(dataclasses.fields(Whole), (Part, Part | None), strict=True):
        field.type = kind  # this module's annotations are text, those of config.py are types
    schema = {"properties": {key: {"properties": {"size": {"default": 3}}}
                             for key in ("part", "other")}}
    assert fields.read(Whole, {}, schema) == Whole(part=Part(size=3))
    assert fields.read(Whole, {"other": {"size": 1}}, schema).other == Part(size=1)


@pytest.mark.parametrize(("given", "meant"), [("1", 1), ("12345678", 12345678),
                                              ("1" * 64, "1" * 64), ("a0" * 32, "a0" * 32)])
def test_after_is_a_number_or_the_digest_of_a_promotion(project: Path, given: str,
                                                        meant: int | str) -> None:
    del project
    assert load({"after": given}).after == meant
    assert load({}).after is None


@pytest.mark.parametrize("given", ["0", "-1", "123456789", "x", "1" * 63, "A0" * 32, ""])
def test_nothing_else_is(project: Path, given: str) -> None:
    del project
    with pytest.raises(ConfigError, match="no promotion's number"):
        load({"after": given})
