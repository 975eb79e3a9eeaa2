"""`batch:doctor`: whether a pipeline's jobs would run on Batch, before any is submitted.

Nothing is changed, and no instance is started. What can't be looked at from here is said to be not
known, which is no fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tasks.batch import (
    doctor_bucket,
    doctor_compute,
    doctor_fusion,
    doctor_images,
    doctor_network,
    doctor_rights,
)
from tasks.batch.doctor_images import ImageSpec
from tasks.batch.infra_settings import InfraSpec
from tasks.core import files
from tasks.core.aws.session import Session
from tasks.core.config.aws_settings import FUSION
from tasks.core.errors import AirlockError, AwsError
from tasks.core.findings import FAIL, OK, UNKNOWN, WARN, Finding, in_words, report, unknown
from tasks.core.frozen import frozen
from tasks.core.schema import check, read_json

Check = Callable[[], Iterator[Finding]]


@frozen
class DoctorSpec:
    """What the doctor looks at. `head_role` is the role of the machine with Nextflow, by name or
    ARN, where that isn't whoever asks; `resolved` is the pipeline's config.
    """

    pipeline: str
    infra: InfraSpec
    head_role: str | None
    images: ImageSpec
    resolved: Path
    output: Path
    has_token: bool = False


def doctor(spec: DoctorSpec) -> str:
    """Print a line for each thing, and write doctor.json; AwsError where something fails."""
    session = Session(spec.infra.aws)
    account = session.account()
    findings = [finding for name, look in _checks(spec, session)
                for finding in _looked(name, look)]
    files.write_json(spec.output, check({
        "pipeline": spec.pipeline, "mode": spec.infra.batch.mode, "account": account,
        "region": spec.infra.aws.region,
        "findings": [finding.as_json for finding in findings]}, "doctor", where=spec.output))
    counts = report(findings)
    words = in_words(counts, FAIL, WARN, UNKNOWN, OK)
    if counts[FAIL]:
        raise AwsError(f"{spec.pipeline}'s jobs would not run on Batch: {words}",
                       where=spec.output, todo="do what the lines above say, then ask again")
    return f"{spec.pipeline} on Batch: {words}"


def _checks(spec: DoctorSpec, session: Session) -> Iterator[tuple[str, Check]]:
    infra = spec.infra
    yield "rights", lambda: doctor_rights.rights(session, infra, spec.head_role)
    yield "bucket", lambda: doctor_bucket.buckets(session, infra)
    yield "network", lambda: doctor_network.network(session, infra)
    yield "compute", lambda: doctor_compute.compute(session, infra)
    yield "settings", lambda: doctor_compute.settings(session, infra)
    yield "sizes", lambda: _sizes(spec, session)
    yield "images", lambda: doctor_images.images(session, spec.images)
    if infra.batch.mode == FUSION:
        yield "fusion", lambda: doctor_fusion.fusion(has_token=spec.has_token)


def _sizes(spec: DoctorSpec, session: Session) -> Iterator[Finding]:
    if not spec.resolved.is_file():
        yield Finding(check="sizes", status=UNKNOWN, cure=f"doit resolve:{spec.pipeline}",
                      text="the pipeline's config wasn't resolved yet")
        return
    config = read_json(spec.resolved, "resolved")["config"]
    yield from doctor_compute.sizes(session, spec.infra, config)


def _looked(name: str, look: Check) -> list[Finding]:
    """Return a check's lines; where it comes to no end, those so far and why."""
    findings: list[Finding] = []
    try:
        for finding in look():
            findings.append(finding)
    except AirlockError as error:
        findings.append(unknown(name, error))
    return findings
