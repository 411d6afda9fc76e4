"""What `--help` says is so: its examples work, its exit codes are those there are, and it fits a terminal."""

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphengine.cli.helping import Command
from graphengine.cli.main import COMMANDS, MODULES, main
from graphengine.cli.session import Exit
from tests.cli.programs import ROOT, read_until, start
from tests.cli.scratch import RUNS

ENDLESS = {"worker"}
"""Commands whose examples go on until they are stopped."""


def command(name: str) -> Command:
    """The command of this name."""
    found = main.get_command(main.make_context("graphengine", [], resilient_parsing=True), name)
    assert isinstance(found, Command), f"{name}: make it with cls=helping.Command and give it examples"
    return found


def words_of(line: str) -> list[str]:
    """The words of an example behind the program's name, without its comment."""
    first, *words = shlex.split(line, comments=True)
    assert first == "graphengine"
    return words


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_works(tried: Path, name: str) -> None:
    """In the order they stand in, in the project of tests/cli/scratch.py: what they name has to be there."""
    examples = command(name).examples
    assert examples
    for line in examples:
        words = words_of(line)
        assert words[0] == name
        if name in ENDLESS:
            process = start(tried, *words)
            read_until(process, f"{name} for ")
            process.terminate()
            assert process.wait(30) == 0
            continue
        done = CliRunner().invoke(main, words)
        told = {Exit.WAITING} if f"ends waiting, with {int(Exit.WAITING)}" in line else {Exit.FINISHED}
        assert done.exit_code in told, f"{line}\n{done.output}"


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_fits_a_terminal_of_80_columns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is broken by the terminal itself."""
    monkeypatch.setenv("COLUMNS", "80")
    shown = CliRunner().invoke(main, [*filter(None, [name]), "--help"], prog_name="graphengine")
    assert shown.exit_code == 0
    assert [line for line in shown.output.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples_and_exit_codes(name: str) -> None:
    """Behind the options."""
    shown = CliRunner().invoke(main, [name, "--help"]).output
    parts = ["Options:", f"Examples:\n  graphengine {name}", "Exit codes:\n  0 "]
    places = [shown.find(part) for part in parts]
    assert -1 not in places, shown
    assert places == sorted(places)


def test_what_the_list_says_of_a_command_is_its_first_sentence_or_shorter() -> None:
    """So that the two do not tell different things; and every module of a command is there."""
    for name, told in COMMANDS.items():
        first = (command(name).help or "").split("\n\n")[0].replace("\n", " ")
        assert first.split()[0] == told.split()[0], (told, first)
        assert (ROOT / "graphengine" / "cli" / f"{MODULES.get(name, name)}.py").is_file()


def test_the_scratch_projects_runs_are_what_the_examples_say() -> None:
    """Each has an id, so that examples can name it."""
    assert all("--run-id" in line or "--branch-id" in line or line.startswith("export") for line, _ in RUNS)
