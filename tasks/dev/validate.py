"""`dev:validate`: line by line, whether the release would run offline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TypeVar

from tasks.core import files
from tasks.core.config import engines
from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.image_settings import Registry
from tasks.core.errors import AirlockError, ConfigError, IntegrityError, RegistryError
from tasks.core.inputs.staged_data import blob as file_of
from tasks.core.net.network import Network
from tasks.core.nextflow import isolation
from tasks.core.nextflow.machine import Machine, this_machine
from tasks.core.parallel import run_all
from tasks.core.paths import PipelinePaths
from tasks.core.registry.client import Access, Registries
from tasks.core.schema import check, read_json
from tasks.core.store.store import open_store
from tasks.dev import resolved

Subject = TypeVar("Subject")


@dataclass(frozen=True, kw_only=True)
class ValidateSpec:
    """What the look is taken at: the registry only where it spans the gap, the image files where
    such are carried, and institutional configs where some are.
    """

    pipeline: str
    profile: str
    runtime: str
    layout: PipelinePaths
    registry: Registry | None
    carry: str
    store: StoreAt
    configs: bool = False
    network: Network = field(default_factory=Network)
    isolation: str = isolation.FULL
    machine: Machine = field(default_factory=this_machine)


@dataclass(frozen=True, kw_only=True)
class Line:
    """What is said of one subject, and whether all is well with it."""

    subject: str
    ok: bool
    message: str


def validate(spec: ValidateSpec) -> str:
    """Print a line for each subject, then what is only warned of; write the same as JSON.

    AirlockError with the names of all subjects that failed, after all were looked at.
    """
    at = spec.layout
    looks: dict[str, Callable[[ValidateSpec], str]] = {
        **({"registry": registry, "images": images} if spec.carry == engines.REGISTRY else {}),
        **({"images": image_files} if spec.carry == engines.FILES else {}),
        "store": store, "inputs": inputs}
    lines = [_line(name, look, spec) for name, look in looks.items()]
    try:
        config = resolved.resolve(at, spec.runtime, profile=spec.profile, machine=spec.machine,
                                  configs=spec.configs, least=spec.isolation,
                                  carry=spec.carry)
        lines += [_line(name, look, config) for name, look in resolved.SUBJECTS.items()]
        warnings = resolved.warnings(config)
    except AirlockError as error:
        lines.append(Line(subject="config", ok=False, message=str(error)))
        warnings = []
    for line in lines:
        print(f"{'ok    ' if line.ok else 'FAILED'}  {line.subject}: {line.message}", flush=True)
    for warning in warnings:
        print(f"warning {warning}", flush=True)
    report = {"pipeline": spec.pipeline, "warnings": warnings,
              "subjects": [asdict(line) for line in lines]}
    files.write_json(at.validate, check(report, "validate", where=at.validate))
    failed = [line.subject for line in lines if not line.ok]
    if failed:
        raise AirlockError(f"{spec.pipeline} would not run offline yet: {', '.join(failed)}",
                           todo="mend what is printed above, then run the same command again")
    return f"{len(lines)} subjects, all well; {len(warnings) or 'no'} warnings"


def _line(subject: str, look: Callable[[Subject], str], subject_of: Subject) -> Line:
    try:
        return Line(subject=subject, ok=True, message=look(subject_of))
    except AirlockError as error:
        return Line(subject=subject, ok=False, message=str(error))


def registry(spec: ValidateSpec) -> str:
    """Each registry that holds images answers, by a trusted certificate, and takes our login."""
    held = read_json(spec.layout.images_receipt, "images-receipt")["images"]
    addresses = sorted({image["destination"].partition("/")[0] for image in held}
                       or ({spec.registry.address} if spec.registry else ()))
    for address in addresses:
        _client(spec).at(address).ping()
    return f"{' and '.join(addresses)}: there, and the login is taken"


def images(spec: ValidateSpec) -> str:
    """Every image of the receipt is there by its digest."""
    held = read_json(spec.layout.images_receipt, "images-receipt")["images"]
    client = _client(spec)

    def missing(image: dict[str, str]) -> str | None:
        address, _, path = image["destination"].partition("/")
        digest = client.at(address).manifest_digest(path, image["digest"])
        return None if digest == image["digest"] else image["source"]

    lost = [source for source in run_all(missing, held) if source]
    if lost:
        raise RegistryError(f"the registry lacks {', '.join(lost)}",
                            where=spec.layout.images_receipt,
                            todo=f"`doit images:verify:{spec.pipeline}`, then "
                                 f"`doit images:mirror:{spec.pipeline}`")
    return f"{len(held)} there by digest"


def image_files(spec: ValidateSpec) -> str:
    """Every image file is there with its promised bytes."""
    listed = read_json(spec.layout.sif_index, "sif")["images"]
    blobs = spec.layout.of_site.blobs
    paths = {file_of(blobs, image["sha256"], image["file"]): image["sha256"] for image in listed}
    hashes = files.sha256_of_all(path for path in paths if path.is_file())
    wrong = [str(path) for path, digest in paths.items() if hashes.get(path) != digest]
    if wrong:
        raise IntegrityError(f"missing or changed: {', '.join(wrong)}", where=blobs,
                             todo=f"remove {spec.layout.sif_index}, then "
                                  f"`doit images:sif:{spec.pipeline}`, which makes them anew")
    return f"{len(listed)} by their files, each with its bytes"


def store(spec: ValidateSpec) -> str:
    """The store answers; a folder that is not there yet is made by the first push."""
    there = open_store(spec.store).head(f"releases/{spec.pipeline}/current.json")
    return f"{spec.store.url} {'holds a release' if there else 'holds no release yet'}"


def inputs(spec: ValidateSpec) -> str:
    """Every staged file is there with its promised bytes."""
    manifest = read_json(spec.layout.data_manifest, "data-manifest")
    staged = [*manifest["files"], *manifest["sheets"]]
    blobs = spec.layout.of_site.blobs
    wrong = []
    for file in staged:
        path = file_of(blobs, file["sha256"], file["path"].rpartition("/")[2])
        if not path.is_file() or files.sha256(path) != file["sha256"]:
            wrong.append(str(path))
    if wrong:
        raise IntegrityError(f"missing or changed: {', '.join(wrong)}", where=blobs,
                             todo=f"`doit forget mirror:data:{spec.pipeline}`, then "
                                  f"`doit mirror:data:{spec.pipeline}`")
    return f"{len(staged)} files, {files.human_size(sum(file['size'] for file in staged))}"


def _client(spec: ValidateSpec) -> Registries:
    at = spec.registry
    if at is None:
        raise ConfigError("the site names no registry")
    places = (f"https://{address}" for address in (at.address, *at.repositories.values()))
    return Registries(Access(registries={}, ca=at.ca, authfile=at.authfile,
                             network=spec.network.naming(*places)))
