"""The turns of `make soak`: the size of each search, when it ends, and how a failure is reported."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from scripts.soak import HANGS, ROOT, Outcome, Search, Soak, launched, searches

UNITS = {"tries": r"(\d+) tries"}
ENDS_WITHIN_SECONDS = 100.0
LIMIT_SECONDS = 0.25


@dataclass
class World:
    """A machine on which one try takes this many seconds, and each turn some more seconds."""

    seconds_each: Callable[[str], float] = lambda _: 0.1
    startup_seconds: float = 3.0
    codes: Mapping[int, int] = field(default_factory=dict)
    output: str = ""
    time: float = 1000.0
    lines: list[str] = field(default_factory=list)
    commands: list[Sequence[str]] = field(default_factory=list)
    variables: list[Mapping[str, str]] = field(default_factory=list)

    def launch(self, command: Sequence[str], variables: Mapping[str, str], limit_seconds: float) -> Outcome:
        """Take as long as the search needs, or up to its limit."""
        tries = int(variables.get("TRIES", "10"))
        seconds = self.startup_seconds + tries * self.seconds_each(command[5])
        self.commands.append(command)
        self.variables.append(variables)
        self.time += min(seconds, limit_seconds)
        if seconds > limit_seconds:
            return Outcome(None, "somewhere")
        return Outcome(self.codes.get(len(self.commands), 0), self.output or f"..{tries} tries of it")

    def soak(self, waiting: Sequence[Search], seconds: float) -> Soak:
        """Return a soak in this world."""
        return Soak(waiting, seconds, 7, self.launch, lambda: self.time, self.lines.append)


def some(count: int = 3, least: int = 1) -> list[Search]:
    """Return searches with different names."""
    return [Search(f"s{at}", (f"t{at}.py",), UNITS, "TRIES", least, {"SEED": "{seed}"}) for at in range(count)]


def test_each_turn_has_a_seed_of_its_own() -> None:
    """The seed increases from turn to turn, and is passed to hypothesis and to the test."""
    world = World()
    assert world.soak(some(), 200.0).go() == 0
    turns = len(world.commands)
    assert turns > 6
    assert [variables["SEED"] for variables in world.variables] == [str(7 + turn) for turn in range(turns)]
    assert [command[-1] for command in world.commands] == [f"--hypothesis-seed={7 + turn}" for turn in range(turns)]


def test_the_size_of_a_turn_is_learned() -> None:
    """The first turn is small, the next ones grow up to their share of the time and not beyond it."""
    world = World(startup_seconds=1.0)
    world.soak(some(1), 300.0).go()
    amounts = [int(variables["TRIES"]) for variables in world.variables]
    assert amounts[:3] == [1, 4, 16]
    assert max(amounts) == amounts[-2]
    assert 400 < amounts[-2] < 600  # the share is a minute


@pytest.mark.parametrize("seconds", [20.0, 120.0, 600.0])
@pytest.mark.parametrize("slowness", [0.05, 1.0, 7.0])
def test_a_soak_ends_soon_after_its_time(seconds: float, slowness: float) -> None:
    """On a slow machine, or if every search hangs, it ends in time except for one turn's overtime."""
    for each in (slowness, 1e9):
        world = World(lambda _, each=each: each, startup_seconds=3 * slowness)  # type: ignore[misc]
        world.soak(some(12), seconds).go()
        assert world.time - 1000.0 <= seconds + ENDS_WITHIN_SECONDS


def test_no_turn_begins_that_would_end_too_late() -> None:
    """A search whose shortest turn is longer than the time left is skipped in favour of others."""
    world = World(lambda name: 50.0 if name == "t0.py" else 0.1)
    world.soak(some(2), 130.0).go()
    slow = [turn for turn, command in enumerate(world.commands) if command[5] == "t0.py"]
    assert len(slow) == 2
    assert world.time - 1000.0 < 135.0


def test_a_turn_that_takes_far_too_long_is_cut_and_tried_with_less() -> None:
    """A search that is slow once continues; twice in a row counts as hanging, which is a failure."""
    slow_turns = {3}
    world = World()
    world.seconds_each = lambda _: 100.0 if len(world.commands) in slow_turns else 0.1
    searches = some(1, least=2)
    assert world.soak(searches, 300.0).go() == 0
    amounts = [int(variables["TRIES"]) for variables in world.variables]
    assert amounts[3] > amounts[4] == 2
    world = World(lambda _: 1e9)
    assert world.soak(some(1), 600.0).go() == 1
    assert len(world.commands) == 2
    assert any(HANGS in line for line in world.lines)


def test_an_interrupted_last_turn_is_reported() -> None:
    """The summary names a search whose last turn had no result."""
    world = World(lambda _: 1e9)
    assert world.soak(some(1), 20.0).go() == 0
    assert "cut short and not tried again: s0" in world.lines[-1]


def test_a_failure_ends_it_and_shows_how_to_repeat_it() -> None:
    """The exit code is 1; the output, the variables and the seed are shown."""
    world = World(codes={2: 1}, output="E  assert 1 == 2\n5 tries")
    assert world.soak(some(), 200.0).go() == 1
    assert len(world.commands) == 2
    text = "\n".join(world.lines)
    assert "assert 1 == 2" in text
    assert f"SEED=8 TRIES=1 {sys.executable} -m pytest -q -x -s t1.py --hypothesis-seed=8" in text
    assert world.lines[-1].endswith("1 failure")
    assert "steps lost" not in text


def test_a_search_that_counts_nothing_has_failed() -> None:
    """A test that was renamed or did nothing is a failure."""
    world = World(output="1 passed")
    assert world.soak(some(), 200.0).go() == 1
    assert "did nothing" in "\n".join(world.lines)


def test_the_summary_adds_up_what_the_tests_counted() -> None:
    """They are added by unit, over all turns."""
    world = World(output="2 tries, then 3 tries")
    soak = world.soak(some(), 100.0)
    assert soak.go() == 0
    assert f"{soak.turns} turns in" in world.lines[-1]
    assert f"{5 * soak.turns} tries; steps lost: 0" in world.lines[-1]


def test_every_search_exists_and_takes_a_seed() -> None:
    """Every search's file exists, and each turn differs, by a variable or by the seed of hypothesis."""
    for search in searches():
        path = ROOT / search.tests[0]
        assert path.exists(), search.name
        files = [path] if path.is_file() else list(path.glob("test_*.py"))
        text = "".join(file.read_text(encoding="utf-8") for file in files)
        for name in search.extra:
            assert name in text, (search.name, name)
        assert search.variable in text
        assert "{seed}" in "".join(search.extra.values()) or "hypothesis" in text, search.name


def test_a_command_is_ended_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted command leaves no process, though its children keep its output open."""
    program, ready = tmp_path / "parent.py", tmp_path / "pid"
    program.write_text(
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('begun', flush=True)\n"
        f"open({str(tmp_path / 'writing')!r}, 'w').write(str(child.pid))\n"
        f"os.rename({str(tmp_path / 'writing')!r}, {str(ready)!r})\n"
        "time.sleep(600)\n"
    )

    class Begun(subprocess.Popen[bytes]):
        """A program whose limit of time begins when it is ready."""

        def wait(self, timeout: float | None = None) -> int:
            while timeout == LIMIT_SECONDS and not ready.exists():
                assert self.poll() is None
                time.sleep(0.01)
            return super().wait(timeout)

    monkeypatch.setattr("scripts.soak.subprocess.Popen", Begun)
    code, output = launched([str(program)], {}, LIMIT_SECONDS)
    assert code is None
    assert output.startswith("begun")
    child = int(ready.read_text())
    give_up_at = time.monotonic() + 60.0
    while is_alive(child):
        assert time.monotonic() < give_up_at


def is_alive(pid: int) -> bool:
    """Return whether a process exists and has not ended."""
    try:
        os.kill(pid, 0)
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()[:200]
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_command_has_its_exit_code_and_its_variables() -> None:
    """A command has its exit code, its variables, and both streams as its output."""
    code, output = launched(["-c", "import os, sys; sys.exit(os.environ['WORD'])"], {"WORD": "bye"}, 20.0)
    assert (code, output) == (1, "bye\n")
