"""batch:config: the settings of the profile that runs on Batch, and a patch that includes them.

Both are of the grammar that Nextflow's two config parsers share: blocks, assignments of plain
values, and includeConfig.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.batch import patch
from tasks.batch.mounted import CLI_PATH
from tasks.core import files, nofollow
from tasks.core.archives import unpacking
from tasks.core.config.aws_settings import CARRIED_CLI
from tasks.core.errors import ConfigError
from tasks.core.nextflow import image_selectors
from tasks.core.nextflow.image_selectors import quoted
from tasks.core.schema import read_json
from tasks.core.source.configs import MAIN
from tasks.core.source.files import MAX_GROOVY

INCLUDED = "conf/airlock-aws.config"
"""The file that the patch adds to the pipeline's code."""


@dataclass(frozen=True, kw_only=True)
class ConfigSpec:
    """What batch:config reads. `receipt` says where images are mirrored, `lock` what their tags
    mean at the source: the one is for carried-cli, the other for fusion.

    `cpus` and `memory` (bytes) are the largest job that the environment can place, where known;
    `endpoint` is what stands in for S3.
    """

    pipeline: str
    profile: str
    mode: str
    queue: str
    work: str
    region: str
    code: Path
    scan: Path
    config: Path
    patch: Path
    receipt: Path | None = None
    lock: Path | None = None
    endpoint: str | None = None
    cpus: int | None = None
    memory: int | None = None


def make(spec: ConfigSpec) -> str:
    """Write aws.config and aws.patch.

    ImageError where a process's image isn't mirrored, or not locked.
    """
    images = _images(spec)
    scan = read_json(spec.scan, "images-scan")
    text = render(spec, image_selectors.render(image_selectors.of_scan(scan), images))
    change = _patch(spec, text)
    files.write_text(spec.config, text)
    files.write_bytes(spec.patch, change.encode(errors="surrogateescape"))
    return (f"{spec.mode}, {len(images)} images by digest; "
            + (f"git apply {spec.patch}" if change else "the code includes it already"))


def render(spec: ConfigSpec, selectors: list[str]) -> str:
    """Return the settings; `selectors` are the lines of process that give images by digest."""
    lines = [f"// Made by nf-airlock for {spec.pipeline} on AWS Batch, mode {spec.mode}; change "
             "the site's file instead.",
             f"// Include it in profile {spec.profile}, or give it by -c in runs on Batch alone.",
             "", f"workDir = {quoted(spec.work)}", "", "aws {",
             f"    region = {quoted(spec.region)}"]
    if spec.mode == CARRIED_CLI:
        lines += ["    batch {", f"        cliPath = {quoted(CLI_PATH)}", "    }"]
    if spec.endpoint:
        lines += ["    client {", f"        endpoint = {quoted(spec.endpoint)}",
                  "        s3PathStyleAccess = true", "    }"]
    lines += ["}", "", *_wave_and_fusion(spec.mode), "process {", "    executor = 'awsbatch'",
              f"    queue = {quoted(spec.queue)}", *_process(spec), *selectors, "}", "",
              "// There is a selector for each process of the code; a run calls some of them.",
               "nextflow.enable.configProcessNamesValidation = false", ""]
    return "\n".join(lines)


def _wave_and_fusion(mode: str) -> Iterator[str]:
    if mode == CARRIED_CLI:
        yield "// None of these has a server to ask in a network without internet."
    on = "false" if mode == CARRIED_CLI else "true"
    yield f"wave.enabled = {on}"
    yield f"fusion.enabled = {on}"
    if mode == CARRIED_CLI:
        yield "tower.enabled = false"
    yield ""


def _process(spec: ConfigSpec) -> Iterator[str]:
    if spec.mode != CARRIED_CLI:
        yield "    // By Fusion's guide: it is the work folder itself that is fast."
        yield "    scratch = false"
    limits = [f"cpus: {spec.cpus}"] if spec.cpus else []
    limits += [f"memory: {spec.memory // 2**20}.MB"] if spec.memory else []
    if limits:
        yield "    // A larger job fits no instance, and Nextflow would wait for it for ever."
        yield f"    resourceLimits = [{', '.join(limits)}]"


def _images(spec: ConfigSpec) -> Mapping[str, str]:
    """Return the pull reference of each image by the name that the scan gives it."""
    if spec.receipt is not None:
        return image_selectors.mirrored(read_json(spec.receipt, "images-receipt"))
    if spec.lock is None:
        raise ConfigError("neither a receipt nor a lock says what the images are")
    return {image["source"]: f"{_repository(image['source'])}@{image['index'] or image['manifest']}"
            for image in read_json(spec.lock, "images-lock")["images"]}


def _repository(source: str) -> str:
    """The reference without tag and digest."""
    name = source.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name


def _patch(spec: ConfigSpec, text: str) -> str:
    """Return the unified diff that adds the settings and the profile to the pipeline's code."""
    with files.scratch(spec.config.parent, "patch") as folder:
        unpacking.unpack_tar(spec.code, folder / "code")
        main, included = (_content(folder / "code" / name) for name in (MAIN, INCLUDED))
    return (patch.difference(INCLUDED, included, text)
            + patch.difference(MAIN, main, patch.with_profile(main or "", spec.profile, INCLUDED)))


def _content(path: Path) -> str | None:
    """Return a file's text with its own line ends, and with what is not UTF-8 in escapes."""
    if not path.is_file() or path.is_symlink():
        return None
    return nofollow.read(path, most=MAX_GROOVY).decode(errors="surrogateescape")
