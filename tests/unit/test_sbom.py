"""What a release consists of, as CycloneDX and SPDX: held against their own validators."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from tasks.core import files
from tasks.core.bill import licences
from tasks.core.paths import SBOM_CYCLONEDX, SBOM_SPDX
from tasks.images import labels
from tasks.sbom import jars
from tasks.sbom.make import SbomSpec, make
from tests.kit.jars import jar
from tests.kit.releases import DATA, IMAGE, VERSION, Staged, stage

SOURCE = "quay.io/airlock/tool:1"
POM = b"""<project xmlns="http://maven.apache.org/POM/4.0.0"><licenses>
  <license><name>Licence of the Larch</name></license></licenses></project>"""


def maven(group: str, name: str, version: str, pom: bytes = b"<project/>") -> dict[str, bytes]:
    """What Maven puts into a jar."""
    place = f"META-INF/maven/{group}/{name}"
    return {f"{place}/pom.xml": pom, f"{place}/pom.properties":
            f"groupId={group}\nartifactId={name}\nversion={version}\n".encode()}


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Staged:
    """A pipeline whose runtime and plugin hold jars."""
    monkeypatch.chdir(tmp_path)
    staged = stage()
    at = staged.layout
    lib = f"nextflow-{VERSION}/lib"
    held = {f"nextflow-{VERSION}.jar": jar({"a.class": b""}),
            "larch-2.1.jar": jar({**maven("org.larch", "larch", "2.1", POM),
                                  **maven("org.twig", "twig", "0.9")}),
            "birch-1.0.jar": jar({"META-INF/MANIFEST.MF":
                                  b'Bundle-License: "MIT";link="https://x.org/a,\r\n b"\r\n'}),
            "stump.jar": b"no zip at all"}
    files.write_tar(at.runtime(VERSION), Path(), [], extra={
        f"nextflow-{VERSION}/nextflow": b"#!/bin/sh\n",
        **{f"{lib}/{name}": data for name, data in held.items()}})
    declare(staged, {name: {"name": name, "sha256": files.sha256_bytes(data), "licences": []}
                     for name, data in held.items()},
            **{f"nextflow-{VERSION}.jar": {"group": "io.nextflow", "artifact": "nextflow",
                                           "version": VERSION}})
    files.write_tar(at.plugins, Path(), [], extra={
        "nf-hello-1.0.0/classes/META-INF/MANIFEST.MF":
            b"Plugin-Id: nf-hello\nPlugin-License: Apache-2.0\n",
        "nf-hello-1.0.0/lib/moss-3.jar": jar(maven("org.moss", "moss", "3"))})
    write_labels(staged, {"org.opencontainers.image.licenses": "mit OR apache-2.0",
                          "org.opencontainers.image.base.name": "docker.io/library/debian:12"})
    return staged


def declare(staged: Staged, jars: Mapping[str, Mapping[str, Any]],
            **more: Mapping[str, Any]) -> None:
    """What Maven's poms say of the runtime's jars."""
    files.write_json(staged.layout.runtime_jars(VERSION), {"version": VERSION, "jars": [
        {**entry, **more.get(name, {})} for name, entry in jars.items()]})


def declared(staged: Staged) -> dict[str, dict[str, Any]]:
    content = json.loads(staged.layout.runtime_jars(VERSION).read_text())
    return {entry["name"]: entry for entry in content["jars"]}


def write_labels(staged: Staged, said: Mapping[str, str]) -> None:
    files.write_json(staged.layout.images_labels, {
        "images": [{"source": SOURCE, "digest": IMAGE, "labels": dict(said)}]})


def spec(staged: Staged) -> SbomSpec:
    return SbomSpec(pipeline="hello", layout=staged.layout, runtime=VERSION)


def made(staged: Staged) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Components and packages by their names, once both documents have passed."""
    make(spec(staged))
    at = staged.layout
    text = at.sbom(SBOM_CYCLONEDX).read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert validate_full_spdx_document(parse_file(str(at.sbom(SBOM_SPDX))), "SPDX-2.3") == []
    packages = json.loads(at.sbom(SBOM_SPDX).read_text())["packages"]
    return ({entry["name"]: entry for entry in json.loads(text)["components"]},
            {entry["name"]: entry for entry in packages})


def said(component: Mapping[str, Any], name: str) -> str | None:
    """The value of a property of ours."""
    return next((entry["value"] for entry in component["properties"]
                 if entry["name"] == f"airlock:{name}"), None)


def test_every_part_of_a_release_is_listed_in_both_forms(ready: Staged) -> None:
    components, packages = made(ready)
    kinds = {name: said(entry, "kind") for name, entry in components.items()}
    data = {name for name, kind in kinds.items() if kind == "data"}
    assert {name.rpartition("/")[2] for name in data} == set(DATA)
    assert {name: kind for name, kind in kinds.items() if name not in data} == {
        "hello": "pipeline", "quay.io/airlock/tool": "image", "nf-hello": "plugin",
        "larch": "jar", "twig": "jar", "birch": "jar", "stump": "jar", "moss": "jar",
        "nextflow": "runtime"}
    at = ready.layout
    listed = json.loads(at.sbom(SBOM_CYCLONEDX).read_text())["components"]
    assert len(json.loads(at.sbom(SBOM_SPDX).read_text())["packages"]) == len(listed) + 1
    assert f"jar:nextflow/nextflow-{VERSION}/lib/nextflow-{VERSION}.jar" in {
        entry["bom-ref"] for entry in listed}
    assert {"org.larch:larch", "io.nextflow:nextflow", "hello", "nextflow"} < packages.keys()


def test_an_image_is_named_by_digest_with_what_it_says_of_itself(ready: Staged) -> None:
    components, packages = made(ready)
    image, package = components["quay.io/airlock/tool"], packages["quay.io/airlock/tool"]
    assert image["purl"] == (f"pkg:oci/tool@{IMAGE}?arch=amd64&os=linux"
                             "&repository_url=quay.io/airlock/tool&tag=1")
    assert image["hashes"] == [{"alg": "SHA-256", "content": IMAGE.removeprefix("sha256:")}]
    assert image["licenses"] == [{"expression": "MIT OR Apache-2.0", "acknowledgement": "declared"}]
    assert (said(image, "base"), said(image, "platform"), said(image, "size"),
            said(image, "source")) == ("docker.io/library/debian:12", "linux/amd64", "3", SOURCE)
    assert package["licenseDeclared"] == "MIT OR Apache-2.0"
    assert package["externalRefs"][0]["referenceLocator"] == image["purl"]


def test_a_jar_is_named_by_its_own_files(ready: Staged) -> None:
    components, packages = made(ready)
    assert components["larch"]["purl"] == "pkg:maven/org.larch/larch@2.1"
    assert components["larch"]["licenses"] == [
        {"license": {"name": "Licence of the Larch", "acknowledgement": "declared"}}]
    assert components["birch"]["licenses"] == [
        {"license": {"id": "MIT", "acknowledgement": "declared"}}]
    assert components["twig"]["purl"] == "pkg:maven/org.twig/twig@0.9"
    assert "hashes" not in components["twig"]
    assert said(components["twig"], "packed-into") == "larch-2.1.jar"
    assert "version" not in components["stump"]
    assert "purl" not in components["stump"]
    reference = packages["org.larch:larch"]["licenseDeclared"]
    assert re.fullmatch(r"LicenseRef-Licence-of-the-Larch-[0-9a-f]{8}", reference)
    extracted = json.loads(ready.layout.sbom(SBOM_SPDX).read_text())["hasExtractedLicensingInfos"]
    assert [(entry["licenseId"], entry["extractedText"]) for entry in extracted] == [
        (reference, "Licence of the Larch")]


def by_pom(licence: str, of: str = "org.forest:parent:7") -> dict[str, Any]:
    """What a pom says of a jar, in which its parent names the licence."""
    return {"group": "org.forest", "artifact": "tree", "version": "1.0", "licences": [licence],
            "licences_of": of}


def test_mavens_poms_tell_of_jars_that_say_nothing_themselves(ready: Staged) -> None:
    declare(ready, declared(ready), **{
        "stump.jar": by_pom("Licence of the Forest"), "larch-2.1.jar": by_pom("MIT")})
    make(spec(ready))
    listed = {entry["bom-ref"].rpartition("/")[2]: entry for entry in json.loads(
        ready.layout.sbom(SBOM_CYCLONEDX).read_text())["components"]}
    stump = listed["stump.jar"]
    assert stump["purl"] == "pkg:maven/org.forest/tree@1.0"
    assert stump["licenses"][0]["license"]["name"] == "Licence of the Forest"
    assert said(stump, "licence-by") == "the pom of org.forest:parent:7"
    assert said(stump, "licence") is None
    assert listed["larch-2.1.jar"]["licenses"][0]["license"]["id"] == "MIT"


def test_an_identifier_in_the_jar_goes_before_a_name_in_a_pom(ready: Staged) -> None:
    declare(ready, declared(ready), **{"birch-1.0.jar": by_pom("The MIT Licence, roughly")})
    birch = made(ready)[0]["tree"]
    assert birch["licenses"] == [{"license": {"id": "MIT", "acknowledgement": "declared"}}]
    assert said(birch, "licence-by") is None


def test_what_is_said_of_other_bytes_is_not_said_of_a_jar(ready: Staged) -> None:
    declare(ready, declared(ready), **{
        "stump.jar": {**by_pom("MIT"), "sha256": "0" * 64}})
    stump = made(ready)[0]["stump"]
    assert said(stump, "licence") == "unknown"
    assert "purl" not in stump


def test_a_plugin_has_both_digests_and_the_licence_of_its_manifest(ready: Staged) -> None:
    plugin = made(ready)[0]["nf-hello"]
    assert [entry["alg"] for entry in plugin["hashes"]] == ["SHA-256", "SHA-512"]
    assert plugin["licenses"][0]["license"]["id"] == "Apache-2.0"
    held = {entry["ref"]: entry.get("dependsOn", []) for entry in json.loads(
        ready.layout.sbom(SBOM_CYCLONEDX).read_text())["dependencies"]}
    assert held["plugin:nf-hello@1.0.0"] == ["jar:nf-hello/lib/moss-3.jar"]
    assert "plugin:nf-hello@1.0.0" in held["release"]


def test_what_nothing_tells_is_unknown_in_both(ready: Staged) -> None:
    write_labels(ready, {})
    components, packages = made(ready)
    for name, package in (("quay.io/airlock/tool",) * 2, ("moss", "org.moss:moss"),
                          ("hello",) * 2):
        assert "licenses" not in components[name]
        assert said(components[name], "licence") == "unknown"
        assert packages[package]["licenseDeclared"] == "NOASSERTION"
    assert said(components["quay.io/airlock/tool"], "base") is None


def test_equal_content_has_equal_bytes_and_other_content_another_number(ready: Staged) -> None:
    at = ready.layout
    make(spec(ready))
    first = [path.read_bytes() for path in (at.sbom(SBOM_CYCLONEDX), at.sbom(SBOM_SPDX))]
    make(spec(ready))
    assert [path.read_bytes() for path in (at.sbom(SBOM_CYCLONEDX), at.sbom(SBOM_SPDX))] == first
    write_labels(ready, {})
    make(spec(ready))
    second = [path.read_bytes() for path in (at.sbom(SBOM_CYCLONEDX), at.sbom(SBOM_SPDX))]
    for key, before, after in zip(("serialNumber", "documentNamespace"), first, second,
                                  strict=True):
        assert json.loads(before)[key] != json.loads(after)[key]
    assert b"timestamp" not in second[0]


@pytest.mark.parametrize(("contents", "licence", "place"), [
    ({"CITATION.cff": b"cff-version: 1.2.0\nlicense: MIT\n"}, "MIT", "CITATION.cff"),
    ({"ro-crate-metadata.json": json.dumps({"@graph": [
        {"@id": "./", "license": "GPL-3.0-only"}]}).encode()}, "GPL-3.0-only",
     "ro-crate-metadata.json"),
    ({"LICENSE": b"The MIT License\n", "CITATION.cff": b"license: [\n"}, None, None),
    ({"ro-crate-metadata.json": b'{"@graph": {"license": "MIT"}}'}, None, None),
])
def test_the_licence_of_the_code_is_what_its_files_name(
        ready: Staged, contents: dict[str, bytes], licence: str | None, place: str | None) -> None:
    files.write_tar(ready.layout.code, Path(), [], extra={"main.nf": b"workflow {}\n", **contents})
    component = made(ready)[0]["hello"]
    assert [entry["license"]["id"] for entry in component.get("licenses", [])] == (
        [licence] if licence else [])
    assert said(component, "licence-by") == place
    assert said(component, "licence-text") == ("LICENSE" if "LICENSE" in contents else None)


def test_the_licence_in_the_config_comes_first(ready: Staged) -> None:
    files.write_json(ready.layout.resolved, {
        "pipeline": "hello", "profile": "test", "isolation": "namespaces",
        "config": {"manifest": {"license": "BSD-3-Clause"}}})
    component = made(ready)[0]["hello"]
    assert (component["licenses"][0]["license"]["id"], said(component, "licence-by")) == (
        "BSD-3-Clause", "manifest.license")


def test_hostile_labels_leave_both_documents_whole(ready: Staged) -> None:
    """A text that looks like an identifier of ours, a name with quotes, one of another script."""
    for text in ("LicenseRef-larch", 'a "quoted" <licence> & more', "лицензия", "MIT AND",
                 "x" * 500):
        write_labels(ready, {"org.opencontainers.image.licenses": text})
        components, packages = made(ready)
        assert components["quay.io/airlock/tool"]["licenses"][0]["license"]["name"] == text
        assert packages["quay.io/airlock/tool"]["licenseDeclared"].startswith("LicenseRef-")


@pytest.mark.parametrize(("text", "expression"), [
    ("MIT", "MIT"), ("apache-2.0", "Apache-2.0"),
    ("GPL-2.0-only WITH Classpath-exception-2.0",) * 2,
    ("Apache 2", None), ("https://www.apache.org/licenses/LICENSE-2.0.txt", None),
    ("BSD", None), ("MIT, Apache-2.0", None), ("NOASSERTION", None), ("(MIT", None)])
def test_only_expressions_are_taken_for_expressions(text: str, expression: str | None) -> None:
    assert licences.expression(text) == expression


def test_a_pom_that_would_grow_names_no_licence(tmp_path: Path) -> None:
    bomb = b"""<!DOCTYPE p [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>
    <project><licenses><license><name>&b;</name></license></licenses></project>"""
    path = tmp_path / "oak-1.jar"
    path.write_bytes(jar(maven("org.oak", "oak", "1", bomb)))
    own, packed = jars.read(path, path.name)
    assert (own, packed) == (jars.Jar(group="org.oak", name="oak", version="1", licences=()), [])


def test_annotations_of_the_image_come_before_labels_that_it_may_have_of_its_base() -> None:
    manifest = {"annotations": {"org.opencontainers.image.licenses": "MIT", "else": "x"}}
    config = {"config": {"Labels": {"org.opencontainers.image.licenses": "GPL-2.0-only",
                                    "org.opencontainers.image.base.name": "debian:12",
                                    "org.opencontainers.image.base.digest": "a\nb"}}}
    assert labels.of(json.dumps(manifest).encode(), json.dumps(config).encode()) == {
        "org.opencontainers.image.licenses": "MIT",
        "org.opencontainers.image.base.name": "debian:12"}
    for odd in (b"", b"[]", b'{"config": []}', b'{"config": {"Labels": null}}', b"\xff"):
        assert labels.of(odd, odd) == {}


def test_institutional_configs_and_image_files_are_listed(ready: Staged) -> None:
    at = ready.layout
    files.write_json(at.configs_manifest, {
        "pipeline": "hello", "source": "https://configs.example.org/c.git", "revision": "main",
        "commit": "a" * 40, "date": None, "sha256": "c" * 64, "files": 1})
    files.write_bytes(at.configs, b"configs")
    files.write_json(at.sif_index, {"images": [{
        "source": SOURCE, "container": SOURCE, "file": "tool.img", "sha256": "d" * 64, "size": 9,
        "platform": "linux/amd64", "manifest": IMAGE}]})
    make(replace(spec(ready), configs=True, sif=at.sif_index))
    components = {entry["name"]: entry for entry in json.loads(
        at.sbom(SBOM_CYCLONEDX).read_text())["components"]}
    assert said(components["institutional configs"], "commit") == "a" * 40
    assert said(components["quay.io/airlock/tool"], "file") == "sif/tool.img"
    assert said(components["quay.io/airlock/tool"], "file-sha256") == "d" * 64
