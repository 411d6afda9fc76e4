"""The crash points: which exist, and what passes them."""

import os
import signal
from pathlib import Path
from typing import Protocol

import pytest
from pydantic import BaseModel

from graphengine import Graph, Runner
from graphengine.databases.sqlite import SQLiteStore
from graphengine.stores.base import Store
from tests.kit import crash_points
from tests.kit.crash_points import CALLS, CrashPoints, Point, names
from tests.kit.runs import alone


class State(BaseModel):
    n: int = 0


def graph() -> Graph[State]:
    """Return a graph of one node."""
    return alone(State, lambda n: n + 1, "n", node="more", thread=False)


async def passed_by(store: Store) -> list[str]:
    """Return the points that one run passes."""
    points = CrashPoints()
    with points.installed():
        async with Runner(points.watched(store)) as runner:
            assert (await runner.start(graph()).result()).state.n == 1
    return [point.name for point in points.passed]


def test_the_points_are_those_of_the_protocol() -> None:
    """Every public method has two, other attributes have none."""
    assert {"open", "close", "create", "claim", "append", "info", "inbox"} <= set(CALLS)
    assert "shared" not in CALLS
    assert len(names()) == len(set(names())) == 2 * (len(CALLS) + 2) - 1


def test_a_new_method_has_its_points_automatically() -> None:
    """They are derived from the protocol."""

    class Longer(Store, Protocol):
        async def prune_everything(self) -> None: ...

    assert "prune_everything" in crash_points.calls_of(Longer)
    assert set(crash_points.calls_of(Longer)) > set(CALLS)


async def test_a_run_passes_its_points_in_order(tmp_path: Path) -> None:
    """Nothing starts before its cause is durable, as the order of the points shows."""
    passed = await passed_by(SQLiteStore(tmp_path / "runs.db"))
    around = [name for name in passed if name.split()[1] in ("create", "append", "commit", "task")]
    first = around.index("before create")
    assert around[first:] == [
        *("before create", "before commit", "after commit", "after create"),
        *("before task", "after task"),
        *("before append", "before commit", "after commit", "after append"),
        *("before commit", "after commit"),  # the lease is released
    ]


def test_a_process_dies_at_its_point_and_at_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process dies at its point, at the second pass if so ordered, and at no other."""
    struck: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: struck.append((pid, number)))
    points = CrashPoints(Point("after append", 2))
    for name in ("after append", "before append", "after append", "after append"):
        before = len(struck)
        points.passes(name)
        assert (len(struck) > before) == (points.passed[-1] == Point("after append", 2))
    assert struck == [(os.getpid(), signal.SIGKILL)]
