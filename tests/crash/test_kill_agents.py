"""An agent's process is killed during a conversation of twelve turns: no recorded work is repeated."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.kit import forks

PROGRAM = Path(__file__).with_name("agent_victim.py")
NESTED = Path(__file__).with_name("nested_victim.py")
APPROVED = Path(__file__).with_name("approval_victim.py")
ALL = [f"{what} {turn}" for turn in range(1, 13) for what in ("model", "tool")]


def life(folder: Path, die: str, program: Path = PROGRAM) -> subprocess.CompletedProcess[str]:
    """Run one process of the run, to its end or its death."""
    words = (str(folder / "runs.db"), str(folder / "effects"), *([die] if die else []))
    return forks.run(program, *words, loads=("jsonschema", "tests.crash.agents_life"))


@pytest.mark.parametrize(
    "deaths", [["model 1", "tool 4", "model 7", "tool 12"], ["tool 1", "model 2", "tool 2", "model 13"]]
)
def test_a_killed_agent_repeats_nothing_that_was_recorded(deaths: list[str], tmp_path: Path) -> None:
    """Only the call that a death interrupted is repeated, and each turn is paid once in the records."""
    for die in deaths:
        assert life(tmp_path, die).returncode == -9
    last = life(tmp_path, "")
    assert last.stdout.split() == ["finished", "13", "0.13", *(str(number) for number in range(1, 13))], last.stderr
    done = Counter((tmp_path / "effects").read_text(encoding="utf-8").split("\n")[:-1])
    assert done == Counter([*ALL, "model 13", *deaths])


def test_a_killed_agent_that_asks_another_repeats_no_turn_of_either(tmp_path: Path) -> None:
    """The calling tool is called once more for each death inside it; the agent that it asks continues where it was."""
    deaths = ["consult 1", "inner 1.2", "look 3", "inner 4.1"]
    for die in deaths:
        assert life(tmp_path, die, NESTED).returncode == -9
    last = life(tmp_path, "", NESTED)
    assert last.stdout.split() == ["finished", "13", "0.13", "1", "2", "3", "4"], last.stderr
    done = Counter((tmp_path / "effects").read_text(encoding="utf-8").split("\n")[:-1])
    each = [line for n in range(1, 5) for line in (f"consult {n}", f"inner {n}.1", f"look {n}", f"inner {n}.2")]
    again = ["consult 1", "consult 3", "consult 4"]  # for the deaths inside them; the first one is a death itself
    assert done == Counter([*each, *(f"outer {n}" for n in range(1, 6)), *deaths, *again])


@pytest.mark.parametrize("deaths", [["asked", "answered 1", "begins 3"], ["pay 3", "answered 1", "pay 5", "model 3"]])
def test_a_payment_that_a_person_approved_keeps_its_key_and_is_not_asked_about_again(
    deaths: list[str], tmp_path: Path
) -> None:
    """A death between the question, the answer, the call and its record repeats the call in flight, with its key."""
    for die in deaths:
        assert life(tmp_path, die, APPROVED).returncode == -9
    last = life(tmp_path, "", APPROVED)
    assert last.stdout.split() == ["finished", "3", "done"], last.stderr
    lines = (tmp_path / "effects").read_text(encoding="utf-8").splitlines()
    done = Counter(lines)
    assert done["begins 3"] == 1 + ("begins 3" in deaths) + ("pay 3" in deaths)
    assert done["begins 5"] == 1 + ("pay 5" in deaths)
    assert done["ruled 5"] == 2  # once for each call
    assert len({line for line in lines if line.startswith("key ")}) == 2
