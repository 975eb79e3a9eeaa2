"""A fault at every call in turn: nothing is made without a record, and the next run goes on."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.batch import infra_apply, infra_plan
from tasks.batch.infra_settings import InfraSpec
from tasks.core.aws.session import Session
from tasks.core.errors import AirlockError
from tests.kit import infra
from tests.kit.aws import Fault, Front
from tests.kit.infra import at_aws

Action = Callable[[InfraSpec], str]
ERRORS = {"throttled": "slower pace", "expired": "have expired", "denied": "AWS denied it",
          "quota": "quota", "cut before": "gave no answer", "cut after": "gave no answer"}
"""What the user reads of each fault."""


@pytest.fixture
def front(empty_aws: Front, monkeypatch: pytest.MonkeyPatch) -> Front:
    """AWS, with the clients of one session that asks once only, since making them takes long."""
    monkeypatch.setattr(infra_apply, "PAUSE", 0.0)
    session = Session(empty_aws.aws, attempts=1)
    for module in (infra_apply, infra_plan):
        monkeypatch.setattr(module, "Session", lambda _: session)
    return empty_aws


def recorded(spec: InfraSpec) -> list[str]:
    """The calls that the journal says were begun."""
    if not spec.at.journal.exists():
        return []
    lines = [json.loads(line) for line in spec.at.journal.read_text().splitlines()]
    return [line["action"] for line in lines if line["state"] == "begun"]


def changed(front: Front) -> list[str]:
    """The calls that changed something, as the journal names them."""
    return [f"{call.service}:{call.operation}" for call in front.calls if call.has_changed]


def run(front: Front, action: Action, spec: InfraSpec, *faults: Fault) -> int | None:
    """Run it with these faults; return the number of the first call that one befell, if any did.

    What changed stands in the journal, and what the user reads is the fault's own error.
    """
    front.calls.clear()
    front.faults[:] = faults
    spec.at.journal.unlink(missing_ok=True)
    try:
        action(spec)
    except AirlockError as error:
        assert ERRORS[faults[0].kind] in str(error), str(error)
        assert error.todo
    finally:
        front.faults.clear()
    assert len(changed(front)) <= len(recorded(spec))
    assert set(changed(front)) <= set(recorded(spec)), "changed without a record"
    return next((number for number, call in enumerate(front.calls) if call.fault), None)


def try_all(front: Front, action: Action, spec: InfraSpec) -> list[str]:
    """Try every fault at every call, until there is nothing more to do; return what changed.

    A life that is cut short at every call: at each, first all faults that leave it as it was, also
    at the calls that look before it, then a network that is gone once the call took effect.
    """
    all_changed: list[str] = []
    kinds = itertools.cycle(ERRORS)
    for _ in range(60):
        number = run(front, action, spec, Fault(kind="denied", changes=True))
        if number is None:
            return all_changed
        for kind in ("throttled", "expired", "quota", "cut before"):
            assert run(front, action, spec, Fault(kind=kind, after=number)) == number
            assert changed(front) == []
        for look in range(number if not all_changed else max(0, number - 4), number):
            down = Fault(kind=next(kinds), after=look, times=None)
            assert run(front, action, spec, down) == look
            assert changed(front) == []
        run(front, action, spec, Fault(kind="cut after", after=number),
            Fault(kind="cut before", after=number, times=None))
        assert len(changed(front)) == 1
        all_changed += changed(front)
    raise AssertionError("it comes to no end")


def test_a_fault_at_any_call_leaves_a_record_and_the_next_run_goes_on(
        front: Front, tmp_path: Path) -> None:
    front.mends.unsettled = 0  # so that the same run makes the same calls
    spec = infra.spec(front.aws, tmp_path, endpoints=("jobs",), mode="fusion")
    session = Session(front.aws)
    empty = at_aws(session)
    run(front, infra_apply.apply, spec)
    whole, creating = at_aws(session), changed(front)
    assert len(creating) == 12
    run(front, infra_apply.destroy, spec)
    removing = changed(front)
    assert at_aws(session) == empty
    assert try_all(front, infra_apply.apply, spec) == creating, "each call took effect once"
    assert at_aws(session) == whole
    infra_plan.show_plan(spec)
    assert {line["state"] for line in json.loads(spec.at.plan.read_text())["resources"]} == {
        "present"}
    assert try_all(front, infra_apply.destroy, spec) == removing
    assert at_aws(session) == empty


@pytest.mark.parametrize("action", [infra_apply.apply, infra_apply.destroy])
def test_a_cut_after_each_call_took_effect_is_overcome_at_once(front: Front, tmp_path: Path,
                                                               action: Action) -> None:
    """What took effect is seen to, so nothing is made twice and nothing is an error."""
    spec = infra.spec(front.aws, tmp_path, endpoints=("jobs",), mode="fusion")
    session = Session(front.aws)
    infra_apply.apply(spec)
    whole = at_aws(session)
    if action is infra_apply.apply:
        infra_apply.destroy(spec)
    front.calls.clear()
    front.faults.append(Fault(kind="cut after", changes=True, times=None))
    action(spec)
    assert {call.fault for call in front.calls if call.has_changed} == {"cut after"}
    front.faults.clear()
    if action is infra_apply.apply:
        assert at_aws(session) == whole


def test_botocores_own_retry_after_a_cut_makes_nothing_twice(
        front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends in AWS's "already exists", for what is ours."""
    session = Session(front.aws, attempts=2)
    for module in (infra_apply, infra_plan):
        monkeypatch.setattr(module, "Session", lambda _: session)
    spec = infra.spec(front.aws, tmp_path)
    for operation in ("CreateRole", "CreateInstanceProfile", "AddRoleToInstanceProfile",
                      "CreateSecurityGroup", "CreateLaunchTemplate", "CreateComputeEnvironment",
                      "CreateJobQueue"):
        front.faults.append(Fault(kind="cut after", operation=operation))
    infra_apply.apply(spec)
    assert len([call for call in front.calls if call.fault]) == 7
    at_rest = at_aws(session)
    infra_apply.destroy(spec)
    infra_apply.apply(spec)
    assert at_aws(session) == at_rest


def test_a_role_that_may_not_create_roles_reads_what_to_do(front: Front, tmp_path: Path) -> None:
    front.faults.append(Fault(kind="denied", operation="CreateRole", times=None))
    spec = infra.spec(front.aws, tmp_path)
    with pytest.raises(AirlockError, match="AWS denied it") as caught:
        infra_apply.apply(spec)
    assert caught.value.where == "iam:CreateRole"
    assert "allowed for the role that you work as" in str(caught.value)
    assert not spec.at.receipt.exists()
