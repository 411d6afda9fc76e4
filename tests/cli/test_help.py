"""`--help` is correct: its examples work, its exit codes exist, and it fits a terminal."""

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphengine.cli.context import Exit
from graphengine.cli.main import COMMANDS, main
from graphengine.cli.options import Command
from tests.cli.programs import read_until, start
from tests.cli.scratch import RUNS, add_failure

ENDLESS = {"worker": "worker for ", "inspect": "inspecting ", "serve": "serving "}
"""Commands whose examples run until they are stopped, and the text with which they show that they run."""
FOR_TESTS = {"inspect": ["--no-open"], "serve": ["--port", "0"]}


def command(name: str) -> Command:
    """Return the command of this name."""
    found = main.get_command(main.make_context("graphengine", [], resilient_parsing=True), name)
    assert isinstance(found, Command), f"{name}: make it with cls=helping.Command and give it examples"
    return found


def words_of(line: str) -> list[str]:
    """Return the words of an example after the program's name, without its comment."""
    first, *words = shlex.split(line, comments=True)
    assert first == "graphengine"
    return words


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_works(tried: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every example works, in order, in the project of tests/cli/scratch.py, which must contain what they name."""
    examples = command(name).examples
    assert examples
    monkeypatch.setenv("HOOK_SECRET", "a secret")
    if name == "prove":
        add_failure(tried)
    for line in examples:
        words = words_of(line)
        assert " ".join(words).startswith(name)
        if name in ENDLESS:
            process = start(tried, *words, *FOR_TESTS.get(name, []))
            read_until(process, ENDLESS[name])
            process.terminate()
            assert process.wait(30) == 0
            continue
        done = CliRunner().invoke(main, words)
        expected = {Exit.WAITING} if f"exits with {int(Exit.WAITING)}, waiting" in line else {Exit.FINISHED}
        assert done.exit_code in expected, f"{line}\n{done.output}"


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_fits_a_terminal_of_80_columns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is wider than the terminal."""
    monkeypatch.setenv("COLUMNS", "80")
    shown = CliRunner().invoke(main, [*name.split(), "--help"], prog_name="graphengine")
    assert shown.exit_code == 0
    assert [line for line in shown.output.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples_and_exit_codes(name: str) -> None:
    """Help has examples and exit codes after the options."""
    shown = CliRunner().invoke(main, [*name.split(), "--help"]).output
    parts = ["Options:", f"Examples:\n  graphengine {name}", "Exit codes:\n  0 "]
    places = [shown.find(part) for part in parts]
    assert -1 not in places, shown
    assert places == sorted(places)


def test_the_list_describes_a_command_by_its_first_sentence_or_less() -> None:
    """The list describes a command by its first sentence or less, so that the two agree; every command is listed."""
    for name, (_, message, *_) in COMMANDS.items():
        first = (command(name).help or "").split("\n\n")[0].replace("\n", " ")
        assert first.split()[0] == message.split()[0], (message, first)


def test_the_scratch_project_has_the_runs_of_the_examples() -> None:
    """Each run of the scratch project has an id, so that examples can name it."""
    assert all("--run-id" in line or line.startswith(("export", "schedule")) for line, _ in RUNS)
