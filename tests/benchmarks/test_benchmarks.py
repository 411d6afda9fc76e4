import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from benchmarks import big, inspecting, served
from benchmarks.__main__ import main
from benchmarks.measure import Figure, Outcome, Settings, alternate
from benchmarks.programs import PROGRAMS
from benchmarks.report import page, report
from tests.kit import forks

QUICK = Settings(quick=True, peers=False)


class Popen:
    """A Python program that is a fork, used as benchmarks use `subprocess.Popen`."""

    def __init__(self, words: Sequence[str], *, env: Mapping[str, str] | None = None, **_: Any) -> None:
        python, option, module, *rest = words
        assert (python, option) == (sys.executable, "-m")
        self._child = forks.start(module, *rest, variables=env, loads=forks.INSPECTOR)
        self.pid, self.stdout = self._child.pid, self._child.stdout
        self.kill = self._child.kill

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.communicate()

    def terminate(self) -> None:
        self._child.send_signal(signal.SIGTERM)

    def communicate(self, text: str = "") -> tuple[str, str]:
        if text:
            self._child.stdin.write(text)
        return self._child.communicate() if self._child.returncode is None else ("", "")


@pytest.fixture
def forked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the Python programs of benchmarks as forks: what a test checks is that each runs, not its time."""

    def run(
        words: Sequence[str],
        *,
        check: bool,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        **_: Any,
    ) -> "subprocess.CompletedProcess[str]":
        python, option, program, *rest = words
        assert python == sys.executable
        if option == "-c":
            (tmp_path / "program.py").write_text(program, encoding="utf-8")
            program = str(tmp_path / "program.py")
        ended = forks.run(program, *rest, folder=cwd, variables=env, loads=["graphengine.render.svg"])
        if check:
            assert ended.returncode == 0, ended.stderr
        return ended

    monkeypatch.setattr(subprocess, "run", run)
    for module in (big, inspecting, served):  # not in `subprocess` itself, which asyncio uses
        monkeypatch.setattr(module, "subprocess", SimpleNamespace(Popen=Popen, PIPE=subprocess.PIPE))


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("name", PROGRAMS)
async def test_every_program_gives_figures(name: str) -> None:
    """Our side of each program runs, returns a positive figure per round, and is in the report."""
    outcome = await PROGRAMS[name](QUICK)

    assert outcome.figures
    assert all(figure.rounds and min(figure.rounds) > 0 for figure in outcome.figures.values())
    text = report({name: outcome})
    assert all(f"| {said} |" in text for said in outcome.ratios)
    assert all(f"| {figure.side} |" in text for figure in outcome.figures.values())


def test_a_page_keeps_the_parts_that_were_not_measured() -> None:
    """What was measured again replaces its part; the others stay as they are, in the order of the page."""

    def outcome(title: str, figure: float) -> Outcome:
        return Outcome(title, {"graphengine": Figure("graphengine", "ms", (figure,))})

    both = page({"wings": outcome("Imports", 2.0), "full": outcome("At FULL", 1.0)})
    again = page({"full": outcome("At FULL", 3.0)}, both)
    (before, imports), (after, imports_again) = both.split("## Imports"), again.split("## Imports")
    assert imports == imports_again
    assert ("| 1 ms |" in before, "| 1 ms |" in after, "| 3 ms |" in after) == (True, False, True)
    assert page({}, again) == again


def test_help_lists_every_program(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m benchmarks --help` names what can be run."""
    monkeypatch.setattr("sys.argv", ["benchmarks", "--help"])

    with pytest.raises(SystemExit) as left:
        main()

    assert left.value.code == 0
    listed = " ".join(capsys.readouterr().out.split())
    assert f"one of {', '.join(PROGRAMS)}" in listed


def test_the_command_prints_what_a_process_of_its_own_has_measured() -> None:
    """A program begins in a new process, whose memory no other has used."""
    command = [sys.executable, "-m", "benchmarks", "step", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "| graphengine |" in done.stdout


async def test_items_at_a_time_share_commits() -> None:
    """One at a time, each item has its own commit; sixteen at a time, they share commits."""
    found = (await PROGRAMS["commits"](QUICK)).figures

    assert found["commits 1"].median >= 1
    assert found["commits 16"].median <= found["commits 1"].median / 2


async def test_the_sides_take_turns() -> None:
    """Sides alternate, and the first round of each is a warm-up."""
    calls: list[str] = []

    async def left() -> float:
        calls.append("left")
        return float(len(calls))

    async def right() -> float:
        calls.append("right")
        return float(len(calls))

    found = await alternate({"left": left, "right": right}, "s", 2)

    assert calls == ["left", "right"] * 3
    assert found["left"].rounds == (3.0, 5.0)


async def test_a_single_round_has_no_warm_up() -> None:
    """A quick run calls each side once."""
    calls: list[str] = []

    async def side() -> float:
        calls.append("side")
        return 1.0

    assert (await alternate({"one": side}, "s", 1))["one"].rounds == (1.0,)
    assert calls == ["side"]


def test_a_ratio_is_of_neighbouring_rounds() -> None:
    """A round that is slow for every side does not change the ratio."""
    ours, theirs = Figure("ours", "s", (1.0, 9.0, 2.0)), Figure("theirs", "s", (3.0, 27.0, 6.0))

    assert theirs.against(ours) == 3.0
