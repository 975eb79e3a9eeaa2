"""What is quoted of a failed run: its cause, in what Nextflow of several lines prints."""

from __future__ import annotations

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.nextflow import failures

TASK = """\
    N E X T F L O W  ~  version 25.10.4
    Launching `../code/main.nf` [odd_name] DSL2 - revision: c1
    [79/4fed02] Submitted process > ALIGN:SORT (s1)
    WARN: a warning of no weight
    [79/4fed03] NOTE: Process `ALIGN:SORT (s2)` terminated with an error exit status (1) -- again
    ERROR ~ Error executing process > 'ALIGN:SORT (s1)'

    Caused by:
      Process `ALIGN:SORT (s1)` terminated with an error exit status (127)


    Command executed [/code/templates/sort.sh]:

      sorter --in a.bam > b.bam

    Command exit status:
      127

    Command output:
      (empty)

    Command error:
      .command.sh: line 2: sorter: command not found

    Work dir:
      /work/79/4fed02

    Container:
      quay.io/q/sorter:1

    Tip: view the complete command output by changing to the process work dir

     -- Check '.nextflow.log' file for details
    WARN: Got an interrupted exception while taking agent result
    Execution cancelled -- Finishing pending tasks before exit
    -[q/aligner] Pipeline completed with errors-
"""
STRICT = """\
    N E X T F L O W  ~  version 26.04.6
    Launching `../code/main.nf` [odd_name] - revision: c1

    Error main.nf:2:18: `nosuch` is not defined
    │   2 |  script: "echo ${nosuch}" }
    ╰     |                  ^^^^^^


    ERROR ~ Script compilation failed

     -- Check '.nextflow.log' file for details
"""
SCHEMA = """\
    \x1b[1;34m  input \x1b[0m: sheet.csv
    ERROR ~ Validation of pipeline parameters failed!

     -- Check '.nextflow.log' file for details
    \x1b[0;31mThe following invalid input values have been detected:

    * --input (sheet.csv): the file or directory 'sheet.csv' does not exist\x1b[0m

     -- Check script '/code/main.nf' at line: 88 or see '.nextflow.log' file for more details
"""
PLAIN = """\
    N E X T F L O W  ~  version 24.10.5
    Launching `../code/main.nf` [odd_name] DSL2 - revision: c1
    the sheet has no sample: look at column 2
"""


def cause(text: str) -> list[str]:
    return failures.quoted(textwrap.dedent(text).encode())


def test_a_task_that_failed_is_told_with_process_command_status_and_last_words() -> None:
    assert cause(TASK) == [
        "ERROR ~ Error executing process > 'ALIGN:SORT (s1)'", "Caused by:",
        "  Process `ALIGN:SORT (s1)` terminated with an error exit status (127)",
        "Command executed [/code/templates/sort.sh]:", "  sorter --in a.bam > b.bam",
        "Command exit status:", "  127", "Command error:",
        "  .command.sh: line 2: sorter: command not found", "Work dir:", "  /work/79/4fed02",
        "Container:", "  quay.io/q/sorter:1"]


@pytest.mark.parametrize(("text", "first", "last"), [
    (STRICT, "Error main.nf:2:18: `nosuch` is not defined", "ERROR ~ Script compilation failed"),
    (SCHEMA, "ERROR ~ Validation of pipeline parameters failed!",
     " -- Check script '/code/main.nf' at line: 88 or see '.nextflow.log' file for more details"),
    (PLAIN, *["the sheet has no sample: look at column 2"] * 2)],
    ids=["strict parser", "nf-schema", "error()"])
def test_an_error_without_a_task_is_told_from_its_first_line(text: str, first: str,
                                                             last: str) -> None:
    told = cause(text)
    assert (told[0], told[-1]) == (first, last)
    assert "\x1b" not in "".join(told)


def test_the_detail_of_an_error_behind_its_tip_is_told() -> None:
    detail = "* --input (sheet.csv): the file or directory 'sheet.csv' does not exist"
    assert detail in cause(SCHEMA)


def test_the_first_of_two_tasks_is_told_before_an_error_that_was_only_logged() -> None:
    text = textwrap.dedent(TASK)
    told = cause("ERROR ~ only logged\n" + text + text.replace("SORT", "LATER"))
    assert told == cause(TASK)


def test_long_sections_and_lines_are_cut_where_they_say_least() -> None:
    shown = cause("\n".join([
        "ERROR ~ Error executing process > 'A'", "Command executed:",
        *(f"  step {number}" for number in range(100)), "Command error:",
        *(f"  said {number}" for number in range(100)), f"  {'x' * 10_000}", "Work dir:", "  /w"]))
    assert "  step 0" in shown and "  step 50" not in shown
    assert "  said 99" in shown and "  said 50" not in shown
    assert "  … 92 lines are left out" in shown and "  … 89 lines are left out" in shown
    assert shown[-1] == "  /w"
    assert max(map(len, shown)) <= failures.MAX_LENGTH + 1


def test_a_progress_bar_ends_no_section() -> None:
    bar = "\r".join(f"{part} %" for part in range(1000))
    told = cause(TASK.replace(".command.sh: line 2", f"{bar}\x0b\r\n      .command.sh: line 2"))
    assert "  999 %" in told
    assert told[-5:] == cause(TASK)[-5:]


def test_many_errors_are_counted() -> None:
    shown = cause("\n".join(f"Error a.nf:{number}:1: odd" for number in range(100)))
    assert len(shown) == failures.MAX_LINES + 1
    assert shown[-1] == "… 60 more lines in the log"


def test_the_strict_parser_s_errors_are_picked_with_their_place() -> None:
    lines = textwrap.dedent(STRICT).splitlines()
    assert failures.errors(["before", *lines, "[{}]"]) == lines[3:6]


def test_what_a_run_was_at_is_its_last_task() -> None:
    said = textwrap.dedent(TASK).splitlines()
    assert failures.last(said[:3]) == "[79/4fed02] Submitted process > ALIGN:SORT (s1)"
    assert failures.last([]) == ""


@given(st.binary(max_size=2000))
def test_whatever_is_printed_is_quoted_within_bounds(output: bytes) -> None:
    shown = failures.quoted(output)
    assert len(shown) <= failures.MAX_LINES + 1
    assert all(line.strip() and len(line) <= failures.MAX_LENGTH + 1 for line in shown)
