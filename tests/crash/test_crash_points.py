"""Crash points: a process dies at each in turn, and another one continues as if nothing had happened.

`make test` takes one time that each point is passed, the same at each run; `CRASH_POINTS=all pytest
tests/crash/test_crash_points.py` takes every time, `CRASH_POINTS=40 SEED=7` about that many, drawn at random.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import pytest

from graphengine.engine.fold import fold
from graphengine.engine.frame_tree import place_of
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.steps import Step
from graphengine.errors import StoreMissing
from graphengine.state.json_values import JsonValue
from graphengine.stores.base import RunInfo
from graphengine.stores.sqlite import SQLiteStore
from graphengine.testing.crash_points import Point, names
from tests.crash.deaths import done, never_recorded, order_free, recorded
from tests.crash.features import RUNS, Order
from tests.kit.facts import said

ROOT: Final = Path(__file__).resolve().parents[2]
GIVEN: Final = os.environ.get("CRASH_POINTS", "")
SEED: Final = os.environ.get("SEED", "3")
TAKES_ALL: Final = GIVEN == "all"
PARTS: Final = 8 if TAKES_ALL else 1
"""How many tests share the deaths at one point."""
FEWER: Final = 20
"""How many passes of a point two lives can differ by: work that depends on time can come once more or once less."""


class Nursery:
    """Children that live one life each, one after another."""

    def __init__(self) -> None:
        self.kills = 0
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("features.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def live(self, folder: Path, die_at: Point | None = None) -> tuple[int, int]:
        """Let a child live in a folder. Return its process id and its exit code."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(Order(folder=folder, die_at=die_at).model_dump_json() + "\n")
        self._process.stdin.flush()
        pid, code = self._process.stdout.readline().split()
        return int(pid), int(code)

    def close(self) -> None:
        """Start no more children."""
        self._process.communicate(timeout=60)


@dataclass(frozen=True)
class Log:
    """A recorded run."""

    info: RunInfo
    steps: Sequence[Step]
    state: Mapping[str, JsonValue]
    begun: frozenset[str]

    @property
    def completions(self) -> Counter[tuple[object, ...]]:
        """Return what was recorded as done: pieces of work, attempts, items, nodes, joins."""
        kinds = ("recorded", "node", "item", "attempt", "failed", "joined", "left")
        return Counter(
            (step.kind, step.frame, step.node, step.visit, step.attempt, said(step).get("key"))
            for step in self.steps
            if step.kind in kinds
        )


def logs(folder: Path) -> Mapping[str, Log]:
    """Return all runs of a database; {} if it does not exist yet."""

    async def read() -> Mapping[str, Log]:
        store = SQLiteStore(folder / "runs.db", read_only=True)
        try:
            await store.open()
            return {info.id: _log(info, await store.steps(info.id)) for info in await store.runs()}
        except StoreMissing:
            return {}
        finally:
            await store.close()

    return asyncio.run(read())


def _log(info: RunInfo, steps: Sequence[Step]) -> Log:
    snapshot = fold(steps, Snapshot())
    begun = frozenset(f"{info.id}/{place_of(frame)} {frame.attempt}" for frame in snapshot.frames.values())
    return Log(info, steps, snapshot.root.values, begun)


@dataclass(frozen=True)
class Ideal:
    """The result of lives that are not interrupted."""

    passed: Counter[str]
    runs: Mapping[str, Log]
    done: Counter[str]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """The source of the children."""
    nursery = Nursery()
    yield nursery
    nursery.close()
    sys.stdout.write(f"\n{nursery.kills} kills at crash points\n")


@pytest.fixture(scope="module")
def ideal(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Ideal:
    """Two lives; for each point, the passes that both have."""
    counts: list[Counter[str]] = []
    folders = [tmp_path_factory.mktemp("ideal") for _ in range(2)]
    for folder in folders:
        _, code = nursery.live(folder)
        assert code == 0
        passed = json.loads((folder / "passed.json").read_text(encoding="utf-8"))
        counts.append(Counter(name for name, _ in passed))
    first = folders[0]
    return Ideal(counts[0] & counts[1], logs(first), Counter(what for _, what in done(first / "effects")))


def test_the_scenario_passes_every_point(ideal: Ideal) -> None:
    """A method of the Store protocol that no life here calls is reported by name."""
    missed = [name for name in names() if not ideal.passed[name]]
    assert not missed, f"call these in `live` of tests/crash/features.py: {missed}"


def test_the_undisturbed_lives_are_as_they_should_be(ideal: Ideal) -> None:
    """Every run is finished and all work is done once, so the other tests have a sound reference."""
    assert {run_id: log.info.status for run_id, log in ideal.runs.items()} == dict.fromkeys(RUNS, "finished")
    assert set(ideal.done.values()) == {1}
    assert all(set(log.completions.values()) == {1} for log in ideal.runs.values())
    assert ideal.runs["after"].state["lessons"] == ["branch", "main"]


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", names())
def test_a_death_at_any_point_repeats_only_work_in_flight(
    name: str, part: int, tmp_path: Path, nursery: Nursery, ideal: Ideal
) -> None:
    """States, logs and work are those of uninterrupted lives; the work in flight is done once more."""
    often = ideal.passed[name]
    for number in numbers(name, often)[part::PARTS]:
        folder = tmp_path / str(number)
        folder.mkdir()
        pid, point = die(nursery, folder, Point(name, number))
        try:
            check(folder, nursery, ideal, pid)
        except AssertionError as error:
            error.add_note(f"died at {point}")
            raise


def numbers(name: str, often: int) -> Sequence[int]:
    """Return at which passes of a point to die."""
    if TAKES_ALL:
        return range(1, often + 1)
    random = Random(f"{SEED} {name}")  # noqa: S311 - repeatable, not for security
    count = int(int(GIVEN) / len(names()) + random.random()) if GIVEN else 1
    return sorted(random.sample(range(1, often + 1), min(count, often)))


def die(nursery: Nursery, folder: Path, point: Point) -> tuple[int, Point]:
    """Let a child die at a point, or at its last earlier pass. Return its process id and that point."""
    for less in range(FEWER):
        here = folder / f"{less}"
        here.mkdir()
        earlier = point._replace(number=max(1, point.number - less))
        pid, code = nursery.live(here, earlier)
        if code == -9:
            nursery.kills += 1
            (folder / "here").symlink_to(here)
            return pid, earlier
        assert code == 0
    message = f"no child passed {point}"
    raise AssertionError(message)


def check(folder: Path, nursery: Nursery, ideal: Ideal, dead: int) -> None:
    """Let another child continue after the dead one, and compare."""
    here = folder / "here"
    left = logs(here)
    heir, code = nursery.live(here)
    assert code == 0, "the heir failed"
    check_work(here, left, (dead, heir), ideal)
    runs = logs(here)
    assert runs.keys() == ideal.runs.keys()
    for run_id, log in runs.items():
        known = ideal.runs[run_id]
        assert (log.info.status, log.state) == (known.info.status, known.state), run_id
        assert [step.seq for step in log.steps] == list(range(1, len(log.steps) + 1)), "the log is not dense"
        was = left[run_id].steps if run_id in left else []
        assert list(log.steps[: len(was)]) == list(was), "recorded steps were changed"
        assert log.completions == known.completions, "not everything is recorded exactly once"
    assert order_free(runs["main"].steps) == order_free(ideal.runs["main"].steps)


def check_work(here: Path, left: Mapping[str, Log], lives: tuple[int, int], ideal: Ideal) -> None:
    """Check that recorded work is not repeated, other work is, and no work began before the log recorded its start."""
    effects = done(here / "effects")
    before, after = (Counter(what for worker, what in effects if worker == pid) for pid in lives)
    known = sum((recorded(log.steps, run_id) for run_id, log in left.items()), Counter[str]())
    begun = frozenset[str]().union(*(log.begun for log in left.values()))
    assert max([*before.values(), *after.values()], default=0) <= 1, "one process did the same work twice"
    lost = [what for what in before if what not in known]
    early = [what for what in lost if not never_recorded(what) and " ".join(what.split(" ")[:2]) not in begun]
    assert not early, f"begun before the log recorded its start: {early}"
    again = [what for what in after if what in before and what in known]
    assert not again, f"recorded, but repeated: {again}"
    whole = {what for what in before | after if not never_recorded(what)}
    assert whole == {what for what in ideal.done if not never_recorded(what)}, "some work was not done"
