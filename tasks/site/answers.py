"""The answers to a site's questions: from the command line, and from a terminal where there is one.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping

from tasks.core.errors import ConfigError
from tasks.core.machine_names import MACHINES, architecture
from tasks.site.questions import QUESTIONS, Question, fault_of

Ask = Callable[[str], str]
"""Shows a question and returns what was typed."""


class Incomplete(ConfigError):
    """What is missing or wrong on a command line with nobody to ask: all of it at once."""


def from_words(given: Mapping[str, str]) -> dict[str, str]:
    """All answers from NAME=VALUE; Incomplete names each that is missing or wrong."""
    answers: dict[str, str] = {}
    faults = []
    for question in QUESTIONS:
        if not question.applies(answers):
            if question.unfit and question.name in given:
                faults.append(f"{question.name}={given[question.name]}: {question.unfit}")
            continue
        answer = given.get(question.name, _assumed(question) or "")
        if fault := fault_of(question, answer, answers):
            faults.append(_shown(question, given, fault))
        answers[question.name] = answer
    if faults:
        raise Incomplete("this is missing, or can't be taken:\n  " + "\n  ".join(faults),
                         todo="add them as NAME=VALUE, or type the command at a terminal, "
                              "which is asked")
    return answers


def _shown(question: Question, given: Mapping[str, str], fault: str) -> str:
    if question.name in given:
        return f"{question.name}={given[question.name]}: {fault}"
    return f"{question.name}=…: {question.text}"


def from_terminal(given: Mapping[str, str], ask: Ask, say: Callable[[str], None]) -> dict[str, str]:
    """All answers, those that were not given asked for, again where they can't be taken."""
    answers: dict[str, str] = {}
    for question in QUESTIONS:
        if not question.applies(answers):
            continue
        assumed = _assumed(question)
        answer = given.get(question.name, (assumed or "") if not question.prompted else None)
        while answer is None or (fault := fault_of(question, answer, answers)):
            if answer is not None:
                say(f"  {question.name}: {fault}")
            shown = f" [{assumed}]" if assumed else " (none: just Enter)" if assumed == "" else ""
            answer = ask(f"{question.text}{shown}: ").strip() or assumed or ""
        answers[question.name] = answer
    return answers


def _assumed(question: Question) -> str | None:
    """What is taken where nothing is said: of the offline hosts, that they are as this machine."""
    if question.name == "platform":
        own = f"linux/{architecture()}"
        return own if own in MACHINES else "linux/amd64"
    if question.name == "python":
        return ".".join(platform.python_version_tuple()[:2])
    return question.assumed
