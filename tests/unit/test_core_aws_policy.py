"""IAM's rules as our evaluator and our grammar have them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tasks.core.aws.conditions import hold
from tasks.core.aws.evaluate import Access, Policies, decide
from tasks.core.aws.policy import Statement, document, partition, same
from tasks.core.aws.policy_grammar import check_policy
from tasks.core.errors import AirlockError, AwsError

ROLE = "arn:aws:iam::111122223333:role/pusher"
FOREIGN = "arn:aws:iam::444455556666:role/pusher"
ROOT_ARN = "arn:aws:iam::111122223333:root"
FILE = "arn:aws:s3:::bucket/releases/a"


@pytest.mark.parametrize(("operator", "wanted", "given", "expected"), [
    ("StringEquals", "a", "a", True), ("StringEquals", "a", "A", False),
    ("StringEquals", ["b", "a"], "a", True), ("StringEquals", "a", None, False),
    ("StringEqualsIfExists", "a", None, True), ("StringEqualsIfExists", "a", "b", False),
    ("StringEqualsIgnoreCase", "a", "A", True),
    ("StringNotEquals", "a", "b", True), ("StringNotEquals", ["a", "b"], "b", False),
    ("StringNotEquals", "a", None, True), ("StringNotEqualsIfExists", "a", None, True),
    ("StringLike", "re*/?", "releases/a", True), ("StringLike", "re*/?", "releases/ab", False),
    ("StringLike", "a.c", "abc", False), ("StringNotLike", "a*", "b", True),
    ("Bool", "false", "false", True), ("Bool", False, "false", True), ("Bool", "true", None, False),
    ("BoolIfExists", "true", None, True), ("BoolIfExists", "true", "false", False),
    ("Null", "true", None, True), ("Null", "true", "x", False), ("Null", "false", "x", True),
    ("ArnLike", "arn:aws:iam::*:role/p*", ROLE, True),
    ("ArnEquals", "arn:aws:iam::111122223333:role/*", ROLE, True),
    ("ArnLike", "arn:aws:*:role/pusher", ROLE, False), ("ArnLike", "*", ROLE, False),
    ("ArnNotEquals", ROLE, ROLE, False), ("ArnNotEquals", ROLE, None, True),
])
def test_a_condition_holds_as_iams_reference_says(operator: str, wanted: Any, given: str | None,
                                                  expected: bool) -> None:
    context = {} if given is None else {"aws:key": given}
    assert hold({operator: {"aws:Key": wanted}}, context) is expected


def test_all_conditions_of_a_statement_must_hold() -> None:
    conditions = {"Bool": {"aws:a": "true"}, "StringEquals": {"aws:b": "x", "aws:c": "y"}}
    assert hold(conditions, {"aws:a": "true", "aws:b": "x", "aws:c": "y"})
    assert not hold(conditions, {"aws:a": "true", "aws:b": "x", "aws:c": "z"})
    assert not hold(conditions, {"aws:a": "false", "aws:b": "x", "aws:c": "y"})


@pytest.mark.parametrize("conditions", [
    {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"ForAllValues:StringEquals": {"aws:a": "x"}},
    {"StringEquals": {"aws:a": "${aws:username}"}}])
def test_what_is_not_known_here_is_an_error_and_no_guess(conditions: Any) -> None:
    with pytest.raises(AwsError, match="not evaluated here"):
        hold(conditions, {"aws:sourceip": "10.1.2.3", "aws:a": "x"})


def allow(*actions: str, who: tuple[str, ...] = (), effect: str = "Allow", sid: str = "S",
          on: tuple[str, ...] = ("arn:aws:s3:::bucket/*",), **more: Any) -> dict[str, Any]:
    return document([Statement(sid=sid, effect=effect, actions=actions, resources=on,
                               principals=who, **more)])


def access(principal: str = ROLE, action: str = "s3:GetObject", resource: str = FILE,
           **context: str) -> Access:
    return Access(principal=principal, action=action, resource=resource, owner="111122223333",
                  context=context)


READS = allow("s3:Get*")


@pytest.mark.parametrize(("policies", "who", "expected"), [
    (Policies(), ROLE, False),
    (Policies(identity=[READS]), ROLE, True),
    (Policies(resource=allow("s3:GetObject", who=(ROLE,))), ROLE, True),
    (Policies(resource=allow("s3:GetObject", who=("*",))), ROLE, True),
    (Policies(resource=allow("s3:GetObject", who=(ROOT_ARN,))), ROLE, False),
    (Policies(identity=[READS], resource=allow("s3:GetObject", who=(ROOT_ARN,))), ROLE, True),
    (Policies(identity=[READS]), FOREIGN, False),
    (Policies(resource=allow("s3:GetObject", who=(FOREIGN,))), FOREIGN, False),
    (Policies(identity=[READS], resource=allow("s3:GetObject", who=(FOREIGN,))), FOREIGN, True),
    (Policies(identity=[READS], resource=allow("s3:*", who=("*",), effect="Deny")), ROLE, False),
    (Policies(identity=[READS, allow("s3:*", effect="Deny")]), ROLE, False),
    (Policies(identity=[READS], endpoint=allow("s3:PutObject", who=("*",))), ROLE, False),
    (Policies(identity=[READS], endpoint=allow("s3:GetObject", who=("*",))), ROLE, True),
    (Policies(identity=[allow("s3:getobject")]), ROLE, True),
    (Policies(identity=[allow("s3:GetObject", on=("arn:aws:s3:::other/*",))]), ROLE, False),
    (Policies(identity=[allow("s3:GetObject", on=("*",))]), ROLE, True),
])
def test_policies_are_weighed_as_aws_does(policies: Policies, who: str, expected: bool) -> None:
    assert decide(access(who), policies).allowed is expected


def test_a_deny_names_its_statement() -> None:
    denies = allow("s3:*", who=("*",), effect="Deny", sid="NoWay")
    assert decide(access(), Policies(identity=[READS], resource=denies)).reason == (
        "denied by the resource policy: NoWay")


@pytest.mark.parametrize(("identity", "key", "who", "expected"), [
    (True, None, ROLE, False),
    (False, allow("kms:Decrypt", who=(ROLE,), on=("*",)), ROLE, True),
    (False, allow("kms:Decrypt", who=(ROOT_ARN,), on=("*",)), ROLE, False),
    (True, allow("kms:Decrypt", who=(ROOT_ARN,), on=("*",)), ROLE, True),
    (False, allow("kms:Decrypt", who=(FOREIGN,), on=("*",)), FOREIGN, False),
    (True, allow("kms:Decrypt", who=(FOREIGN,), on=("*",)), FOREIGN, True),
])
def test_a_keys_policy_always_has_a_say(identity: bool, key: Any, who: str,
                                        expected: bool) -> None:
    arn = "arn:aws:kms:us-west-2:111122223333:key/1"
    policies = Policies(identity=[allow("kms:Decrypt", on=(arn,))] if identity else [],
                        resource=key)
    assert decide(access(who, "kms:Decrypt", arn), policies).allowed is expected


def test_notaction_notresource_and_notprincipal_mean_all_others() -> None:
    policy = allow("s3:GetObject", who=("*",), effect="Deny")
    statement = policy["Statement"][0]
    for element in ("Action", "Resource"):
        turned = copy.deepcopy(policy)
        turned["Statement"][0][f"Not{element}"] = turned["Statement"][0].pop(element)
        assert decide(access(), Policies(identity=[READS], resource=turned)).allowed
    statement["NotPrincipal"] = {"AWS": ROLE}
    del statement["Principal"]
    assert decide(access(), Policies(identity=[READS], resource=policy)).allowed
    other = f"{ROLE}2"
    assert not decide(access(other), Policies(identity=[READS], resource=policy)).allowed


def test_documents_are_the_same_in_whatever_form_aws_gives_them_back() -> None:
    one = document([Statement(sid="A", effect="Deny", actions=("s3:*",), resources=("x", "y"),
                              principals=("*",), conditions={"Bool": {"aws:SecureTransport":
                                                                      "false"}}),
                    Statement(sid="B", effect="Allow", actions=("s3:GetObject",),
                              resources=("x",), principals=(ROLE,))])
    other = {"Statement": [
        {"Sid": "B", "Effect": "Allow", "Principal": {"AWS": [ROLE]}, "Action": ["s3:GetObject"],
         "Resource": "x"},
        {"Sid": "A", "Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "s3:*",
         "Resource": ["y", "x"], "Condition": {"Bool": {"aws:SecureTransport": [False]}}}],
        "Version": "2012-10-17"}
    assert same(one, other)
    other["Statement"][1]["Resource"] = ["x"]  # type: ignore[index]
    assert not same(one, other)


@pytest.mark.parametrize(("region", "expected"), [
    ("us-west-2", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-east-1", "aws-us-gov")])
def test_a_region_names_its_partition(region: str, expected: str) -> None:
    assert partition(region) == expected


GOOD = {"Version": "2012-10-17", "Statement": [{
    "Sid": "A", "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject",
    "Resource": "arn:aws:s3:::bucket/*", "Condition": {"Null": {"s3:if-none-match": "true"}}}]}


@pytest.mark.parametrize(("path", "value", "expected"), [
    (("Version",), "2012-10-18", "Version"), (("Extra",), 1, "Extra"),
    (("Statement",), [], "short|non-empty"),
    (("Statement", 0, "Effect"), "Forbid", "Effect"), (("Statement", 0, "Sid"), "a b", "Sid"),
    (("Statement", 0, "Action"), "PutObject", "PutObject"),
    (("Statement", 0, "Action"), "s3:PutObjects", "no action s3:PutObjects"),
    (("Statement", 0, "Action"), "s3:ListBucket", "about objects|no resource is the bucket"),
    (("Statement", 0, "Action"), [], "Action"), (("Statement", 0, "Principal"), None, "Principal"),
    (("Statement", 0, "Principal"), {"AWS": "somebody"}, "somebody"),
    (("Statement", 0, "Resource"), "bucket/*", "bucket"),
    (("Statement", 0, "Resource"), "arn:aws:s3:::bucket", "about the bucket"),
    (("Statement", 0, "Condition"), {"Nil": {"s3:if-none-match": "true"}}, "operator Nil"),
    (("Statement", 0, "Condition"), {"Null": {"s3:if-any-match": "true"}}, "condition key"),
    (("Statement", 0, "Condition"), {"Null": {"s3:if-none-match": "yes"}}, "true or false"),
    (("Statement", 0, "Condition"), {"NullIfExists": {"s3:if-none-match": "true"}}, "operator"),
    (("Statement", 0, "Condition"), {"Bool": {"s3:prefix": "true"}}, "doesn't fit"),
    (("Statement", 0, "Condition"), {"StringEquals": {"aws:SecureTransport": "true"}}, "fit"),
    (("Statement", 0, "Condition"), {"ArnLike": {"aws:PrincipalArn": "role/x"}}, "is an ARN"),
    (("Statement", 0, "Condition"), {"ArnLike": {"s3:prefix": "arn:aws:s3:::b/c"}}, "fit"),
    (("Statement", 0, "NotAction"), "s3:GetObject", "valid under"),
])
def test_what_aws_would_refuse_is_refused_here(path: tuple[Any, ...], value: Any,
                                               expected: str) -> None:
    check_policy(GOOD, "bucket")
    policy: Any = copy.deepcopy(GOOD)
    place = policy
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    with pytest.raises(AirlockError, match=expected):
        check_policy(policy, "bucket")


def test_each_kind_of_policy_has_its_own_elements() -> None:
    with pytest.raises(AwsError, match="names no principal"):
        check_policy(GOOD, "role")
    without: Any = copy.deepcopy(GOOD)
    del without["Statement"][0]["Principal"]
    with pytest.raises(AwsError, match="principal is missing"):
        check_policy(without, "bucket")
    with pytest.raises(AwsError, match="its resource is"):
        check_policy(GOOD, "key")
    twice: Any = copy.deepcopy(GOOD)
    twice["Statement"] *= 2
    with pytest.raises(AwsError, match="stands twice"):
        check_policy(twice, "bucket")
    long: Any = copy.deepcopy(GOOD)
    long["Statement"][0]["Resource"] = [f"arn:aws:s3:::bucket/{number:0400}/*"
                                        for number in range(60)]
    with pytest.raises(AwsError, match="characters"):
        check_policy(long, "bucket")
