"""Crash points: a process dies at each in turn, and another one continues as if nothing had happened.

`make test` takes one time that each point is passed, the same at each run, and lets several lives of a chain die, each
at another point, before the last one finishes. `CRASH_POINTS=all pytest tests/crash/test_crash_points.py` takes every
time, `CRASH_POINTS=40 SEED=7` about that many, drawn at random; there, one death is followed by the life that finishes.
"""

import asyncio
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import pytest

from graphengine.databases.sqlite import SQLiteStore
from graphengine.engine.fold import fold
from graphengine.engine.frame_tree import place_of
from graphengine.engine.published import find_published, publication_in
from graphengine.engine.snapshot import CRASHES, Snapshot
from graphengine.engine.steps import Step
from graphengine.errors import StoreMissing
from graphengine.state.json_values import JsonValue
from graphengine.stores.base import RunInfo
from tests.crash.deaths import done, never_recorded, order_free, recorded
from tests.crash.features import RUNS, Order
from tests.kit.crash_points import Point, names
from tests.kit.facts import said

ROOT: Final = Path(__file__).resolve().parents[2]
GIVEN: Final = os.environ.get("CRASH_POINTS", "")
SEED: Final = os.environ.get("SEED", "3")
TAKES_ALL: Final = GIVEN == "all"
CHAINS: Final = len(names()) * 8 if TAKES_ALL else len(names()) if GIVEN else 15
"""How many tests share the deaths."""
TRIES: Final = 20
"""How many lives may miss their point: work that depends on time can come once more or once less."""


class Nursery:
    """Children that live one life each, one after another; in every second one, the writing thread makes all writes."""

    def __init__(self) -> None:
        self.kills = 0
        self._queued = itertools.cycle((False, True))
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
        order = Order(folder=folder, die_at=die_at, queued=next(self._queued))
        self._process.stdin.write(order.model_dump_json() + "\n")
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
    crashes: int
    work: Counter[str]

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
    last = {each.name: each for each in map(publication_in, steps) if each is not None}
    assert {each.name: each for each in find_published(snapshot)} == last, "what is read is what was published last"
    begun = frozenset(f"{info.id}/{place_of(frame)} {frame.attempt}" for frame in snapshot.frames.values())
    crashes = max(frame.crashes for frame in snapshot.frames.values())
    return Log(info, steps, snapshot.root.values, begun, crashes, recorded(steps, info.id))


@dataclass(frozen=True)
class Ideal:
    """The result of lives that are not interrupted."""

    passed: Sequence[Point]
    often: Counter[str]
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
    folders = [tmp_path_factory.mktemp("ideal") for _ in range(2)]
    for folder in folders:
        _, code = nursery.live(folder)
        assert code == 0
    first, second = folders
    often = count(passed(first)) & count(passed(second))
    return Ideal(passed(first), often, logs(first), Counter(what for _, what in done(first / "effects")))


def passed(folder: Path) -> Sequence[Point]:
    """Return the points that the last life in a folder passed, in order."""
    return [Point(*each) for each in json.loads((folder / "passed.json").read_text(encoding="utf-8"))]


def count(points: Sequence[Point]) -> Counter[str]:
    """Return how often each point was passed."""
    return Counter(point.name for point in points)


def test_the_scenario_passes_every_point(ideal: Ideal) -> None:
    """A method of the Store protocol that no life here calls is reported by name."""
    missed = [name for name in names() if not ideal.often[name]]
    assert not missed, f"call these in `live` of tests/crash/features.py: {missed}"


def test_the_undisturbed_lives_are_as_they_should_be(ideal: Ideal) -> None:
    """Every run is finished and all work is done once, so the other tests have a sound reference."""
    assert {run_id: log.info.status for run_id, log in ideal.runs.items()} == dict.fromkeys(RUNS, "finished")
    assert set(ideal.done.values()) == {1}
    assert all(set(log.completions.values()) == {1} for log in ideal.runs.values())
    assert ideal.runs["after"].state["lessons"] == ["branch", "main"]
    said = [each.value for each in map(publication_in, ideal.runs["main"].steps) if each is not None]
    assert said == ["not yet", "Ada"]


@pytest.mark.parametrize("number", range(CHAINS))
def test_a_death_at_any_point_repeats_only_work_in_flight(
    number: int, tmp_path: Path, nursery: Nursery, ideal: Ideal
) -> None:
    """States, logs and work are those of uninterrupted lives; the work in flight is done once more."""
    if GIVEN:
        points = [Point(name, each) for name in names() for each in numbers(name, ideal.often[name])]
        chains = [[point] for point in points[number::CHAINS]]
    else:
        mine = [Point(name, each) for name in names()[number::CHAINS] for each in numbers(name, ideal.often[name])]
        chains = [sorted(mine, key=ideal.passed.index)]
    for place, points in enumerate(chains):
        chain = Chain(tmp_path / str(place), nursery, ideal)
        try:
            for point in points:
                chain.die(point)
            chain.finish()
        except AssertionError as error:
            error.add_note(f"died at {', '.join(map(str, chain.died))}")
            raise


def numbers(name: str, often: int) -> Sequence[int]:
    """Return at which passes of a point to die."""
    if TAKES_ALL:
        return range(1, often + 1)
    random = Random(f"{SEED} {name}")  # noqa: S311 - repeatable, not for security
    wanted = int(int(GIVEN) / len(names()) + random.random()) if GIVEN else 1
    return sorted(random.sample(range(1, often + 1), min(wanted, often)))


class Chain:
    """Lives that continue one after another, all of which but the last die.

    Attributes:
        died: Where the lives died: the name of the point, and the number of its pass in that life.
    """

    def __init__(self, folder: Path, nursery: Nursery, ideal: Ideal) -> None:
        self.died: list[Point] = []
        self._folder = folder
        self._nursery = nursery
        self._ideal = ideal
        self._begin()

    def _begin(self) -> None:
        self._here: Path | None = None
        self._left: Mapping[str, Log] = {}
        self._position = 0
        self._before = Counter[str]()

    def die(self, point: Point) -> None:
        """Let the next life die at a point of the undisturbed life, which follows the points of the earlier deaths.

        It dies at its last pass of this point if it has fewer. If the deaths left nothing that passes it, a life that
        begins again dies there, once the last life has finished; so too if one more crash could fail a node.
        """
        if any(log.crashes >= CRASHES - 2 for log in self._left.values()):
            self.finish()
            self._begin()
        number = point.number - count(self._ideal.passed[: self._position])[point.name]
        for _ in range(TRIES):
            here = self._copy()
            pid, code = self._nursery.live(here, Point(point.name, number))
            if code == -9:
                self._nursery.kills += 1
                self.died.append(Point(point.name, number))
                self._position = self._ideal.passed.index(point)
                self._follow(here, pid)
                return
            assert code == 0, "the heir failed"
            number = min(number, count(passed(here))[point.name])
            if number == 0:
                self.finish()
                self._begin()
                number = point.number
        message = f"no child passed {point}"
        raise AssertionError(message)

    def _copy(self) -> Path:
        """Return a folder with what the last death left, so that a life that misses its point leaves no traces."""
        self._folder.mkdir(exist_ok=True)
        here = self._folder / str(len(list(self._folder.iterdir())))
        if self._here:
            shutil.copytree(self._here, here)
        else:
            here.mkdir()
        return here

    def _follow(self, here: Path, pid: int) -> Mapping[str, Log]:
        """Check what a life did: it changed no recorded step, repeated no recorded work, and began none too early."""
        runs = logs(here)
        for run_id in self._left.keys() & self._ideal.runs.keys():  # the other run is removed at the end
            was, now = self._left[run_id].steps, runs[run_id].steps if run_id in runs else []
            assert list(now[: len(was)]) == list(was), "recorded steps were changed"
        work = Counter(what for worker, what in done(here / "effects") if worker == pid)
        assert max(work.values(), default=0) <= 1, "one process did the same work twice"
        earlier, known = known_work(self._left), known_work(runs)
        again = [what for what in work if what in self._before and what in earlier]
        assert not again, f"recorded, but repeated: {again}"
        begun = frozenset[str]().union(*(log.begun for log in runs.values()))
        lost = [what for what in work if what not in known and not never_recorded(what)]
        early = [what for what in lost if " ".join(what.split(" ")[:2]) not in begun]
        assert not early, f"begun before the log recorded its start: {early}"
        self._here, self._left, self._before = here, runs, self._before | work
        return runs

    def finish(self) -> None:
        """Let the last life continue to the end, and compare with the undisturbed one."""
        here = self._copy()
        pid, code = self._nursery.live(here)
        assert code == 0, "the heir failed"
        runs = self._follow(here, pid)
        whole = {what for what in self._before if not never_recorded(what)}
        assert whole == {what for what in self._ideal.done if not never_recorded(what)}, "some work was not done"
        assert runs.keys() == self._ideal.runs.keys()
        for run_id, log in runs.items():
            known = self._ideal.runs[run_id]
            assert (log.info.status, log.state) == (known.info.status, known.state), run_id
            assert [step.seq for step in log.steps] == list(range(1, len(log.steps) + 1)), "the log is not dense"
            assert log.completions == known.completions, "not everything is recorded exactly once"
        assert order_free(runs["main"].steps) == order_free(self._ideal.runs["main"].steps)


def known_work(runs: Mapping[str, Log]) -> Counter[str]:
    """Return the work that the logs record as done."""
    return sum((log.work for log in runs.values()), Counter[str]())
