"""Conditions of IAM statements, evaluated as IAM's reference says.

IAM User Guide, "IAM JSON policy elements: Condition operators" and "Conditions with multiple
context keys or values". An operator that is not known here is an error, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from tasks.core.aws.policy import Conditions, values
from tasks.core.errors import AwsError

Context = Mapping[str, str]
"""What a request says of itself, by condition key in lower case; IAM doesn't tell cases apart."""


@lru_cache(maxsize=1024)
def _pattern(text: str, other: str) -> re.Pattern[str]:
    """`*` for any characters and `?` for one, among those that `other` allows."""
    return re.compile("".join({"*": f"{other}*", "?": other}.get(character, re.escape(character))
                              for character in text), re.DOTALL)


def matches(pattern: str, text: str) -> bool:
    """Whether a text is what a pattern with `*` and `?` says."""
    return _pattern(pattern, ".").fullmatch(text) is not None


def arn_matches(pattern: str, arn: str) -> bool:
    """Whether an ARN is what a pattern says: each of the six parts by itself."""
    wanted, given = pattern.split(":", 5), arn.split(":", 5)
    return len(wanted) == len(given) == 6 and all(map(matches, wanted, given))


def _same_case(value: str, given: str) -> bool:
    return value.lower() == given.lower()


COMPARE: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": str.__eq__, "StringEqualsIgnoreCase": _same_case, "StringLike": matches,
    "ArnEquals": arn_matches, "ArnLike": arn_matches, "Bool": _same_case,
}
"""By operator, whether a value of the policy is what the request gives."""
NEGATED = {"StringNotEquals": "StringEquals", "StringNotLike": "StringLike",
           "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
           "ArnNotEquals": "ArnEquals", "ArnNotLike": "ArnLike"}
OPERATORS = {"Null", *COMPARE, *NEGATED}
IF_EXISTS = "IfExists"


def hold(conditions: Conditions, context: Context) -> bool:
    """Whether all of a statement's conditions hold; AwsError where one can't be judged here."""
    return all(_holds(operator, key, values(wanted), context)
               for operator, keys in conditions.items() for key, wanted in keys.items())


def keys(conditions: Conditions) -> Iterable[str]:
    """Return the condition keys that a statement asks for."""
    return (key for wanted in conditions.values() for key in wanted)


def _holds(operator: str, key: str, wanted: list[str], context: Context) -> bool:
    if any("${" in value for value in wanted):
        raise _unknown(f"a policy variable in {operator} {key}")
    given = context.get(key.lower())
    if operator == "Null":
        return str(given is None).lower() in [value.lower() for value in wanted]
    base = operator.removesuffix(IF_EXISTS)
    negated = base in NEGATED
    compare = COMPARE.get(NEGATED.get(base, base))
    if compare is None:
        raise _unknown(f"the condition operator {operator}")
    if given is None:  # a negated operator holds for a key that isn't there
        return negated or operator.endswith(IF_EXISTS)
    return any(compare(value, given) for value in wanted) != negated


def _unknown(what: str) -> AwsError:
    return AwsError(f"{what} is not evaluated here", where="a policy document",
                    todo="ask AWS's policy simulator for this one")
