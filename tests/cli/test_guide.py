"""What the guide says of the command line is so."""

import re

import pytest

from graphengine.cli.main import COMMANDS
from graphengine.cli.session import Exit
from tests.cli.programs import ROOT, Invoke, document

SECTION = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8").partition("## Command line")[2]


def keys_of(row: str) -> set[str]:
    """The words in code marks of the row of the guide's table that begins so."""
    (line,) = [line for line in SECTION.splitlines() if line.startswith(f"| {row}")]
    return set(re.findall(r"`([a-z_]+)`", line.split("|")[2]))


def test_every_exit_code_is_in_the_guide() -> None:
    """Each has a row of its own."""
    for code in Exit:
        assert f"\n| {int(code)} | " in SECTION


def test_every_command_has_a_document_in_the_guide() -> None:
    """None is left out of the table of documents."""
    for name in COMMANDS:
        assert f"`{name}`" in SECTION.partition("keys of its document")[2]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("`run`,", ["show", "r"]),
        ("`show --step`", ["show", "r", "--step", "1"]),
        ("`show --usage`", ["show", "r", "--usage"]),
        ("`list`", ["list"]),
        ("`check`", ["check", "counter"]),
        ("`render`", ["render", "counter", "-o", "x.txt"]),
        ("`diff`", ["diff", "r", "r", "--at", "1", "--at", "2"]),
        ("any that", ["show", "nobody"]),
    ],
)
def test_a_documents_keys_are_in_the_guide(invoke: Invoke, row: str, words: list[str]) -> None:
    """And `schema` is said to be in each."""
    invoke("run", "counter", "--run-id", "r")
    made = document(invoke(*words, "--json").stdout)
    assert set(made) - {"schema"} <= keys_of(row)


def test_the_keys_of_steps_waits_and_runs_are_in_the_guide(invoke: Invoke) -> None:
    """Each step and each run of the list has keys that the guide names."""
    invoke("run", "counter", "--run-id", "r", "--pause-before", "more")
    named = set(re.findall(r"`([a-z_]+)`", SECTION))
    made = document(invoke("show", "r", "--json").stdout)
    assert set(made["steps"][0]) | set(made["waits"][0]) <= named
    assert set(document(invoke("runs", "--json").stdout)["runs"][0]) <= keys_of("`runs`")
