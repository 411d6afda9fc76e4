"""Helpers for tests of stores: short runs, steps and batches, and the store of each test."""

from __future__ import annotations

import asyncio
import time
import unittest
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace
from pydantic_core import from_json, to_json

from graphengine.errors import DefinitionError
from graphengine.kernel.reader import Node, Step, encode_step
from graphengine.kernel.store import Append, RunInfo

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Sequence

    from graphengine.kernel.extension import JsonValue
    from graphengine.kernel.store import Loaded, Status, Store


class StoreSuite(ABC):
    """Base of the tests for stores. A subclass defines how the store under test is made."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.__name__.startswith("Test") and cls.make_store is StoreSuite.make_store:
            # pytest skips abstract classes silently, so nothing would be tested without notice
            text = f"the test class {cls.__name__!r} does not create the store to test"
            raise DefinitionError(text, repair="define `async def make_store(self)` in the class")

    @abstractmethod
    async def make_store(self) -> Store:
        """Return a new, empty store that is not opened yet."""

    async def make_second_store(self, first: Store) -> Store:
        """Return another store for the data of `first`, as another process would have it. It is not opened yet."""
        del first
        message = "this store has only one process"
        raise unittest.SkipTest(message)

    async def abandon_store(self, store: Store) -> None:
        """Simulate that the process of a store was killed: the store stops working without releasing its runs."""
        del store
        message = "this suite does not define abandon_store"
        raise unittest.SkipTest(message)

    async def open_second(self, first: Store) -> Store:
        """Return a second store for the data of `first`, opened. The test has to close it."""
        second = await self.make_second_store(first)
        await second.open()
        return second


C = TypeVar("C", bound=StoreSuite)
E = TypeVar("E", bound=Exception)


def scenario(test: Callable[[C, Store], Awaitable[None]]) -> Callable[[C], None]:
    """Turn an async test method that gets an open store into a plain method that pytest can call.

    The plain method makes the store, opens it, runs the test, and closes the store.
    """

    def run(self: C) -> None:
        async def main() -> None:
            store = await self.make_store()
            await store.open()
            try:
                await test(self, store)
            finally:
                await store.close()

        asyncio.run(main())

    # functools.wraps would also copy the signature, and pytest would look for a fixture named `store`.
    run.__name__, run.__qualname__, run.__doc__ = test.__name__, test.__qualname__, test.__doc__
    return run


@contextmanager
def refused(kind: type[E]) -> Generator[list[E]]:
    """Check that the code in the `with` block raises an error of this class.

    The error is added to the list that `with` yields, so that the test can examine it.
    """
    caught: list[E] = []
    try:
        yield caught
    except kind as error:
        caught.append(error)
    else:
        message = f"{kind.__name__} was expected, and nothing was raised"
        raise AssertionError(message)


def run_info(run_id: str = "r", *, created_at: float = 100.0, graph: str = "g") -> RunInfo:
    return RunInfo(run_id, graph, "f1", "running", 0, created_at, created_at)


def step(seq: int, *, at: float | None = None, field: str = "draft", value: JsonValue = "text") -> Step:
    return Step(
        seq,
        100.0 + seq if at is None else at,
        Node(to=("review",), way=0),
        node="write",
        visit=seq,
        attempt=1,
        began=99.0 + seq,
        update=[["set", field, value]],
    )


def steps(first: int, last: int, *, field: str = "draft", value: JsonValue = "text") -> list[Step]:
    return [step(seq, field=field, value=value) for seq in range(first, last + 1)]


def batch(run_id: str, fence: int, added: Sequence[Step], status: Status = "running") -> Append:
    return Append(run_id, fence, added, status)


def let_time_pass() -> None:
    """Wait until the clock shows a later time, so that two records cannot have the same time."""
    before = time.time()
    while time.time() <= before:
        pass


async def append(store: Store, added: Append) -> None:
    pending = store.append(added)
    if pending is not None:
        await pending


async def new_run(
    store: Store, run_id: str = "r", *, count: int = 0, created_at: float = 100.0, graph: str = "g"
) -> int:
    """Create a run with the steps 1 to `count`, and return its fence.

    The fence is the number that a process must pass with each write, to prove that it still drives the run.
    """
    info = run_info(run_id, created_at=created_at, graph=graph)
    return await store.create(info, steps(1, count), {"nodes": [{"name": "write"}]})


async def branch(store: Store, run_id: str, parent: str, at: int, count: int = 0) -> int:
    """Create a branch with `count` steps of its own, which set the field named after the branch. Returns its fence."""
    info = replace(run_info(run_id), parent=parent, parent_seq=at)
    return await store.create(info, steps(at + 1, at + count, field=run_id), {"nodes": [{"name": "write"}]})


async def waiting_run(store: Store, run_id: str = "r", *, due_at: float | None = None) -> None:
    """Create a run of one step that waits and that no process drives."""
    fence = await new_run(store, run_id)
    await append(store, Append(run_id, fence, [step(1)], "waiting", due_at=due_at))


async def due_ids(store: Store, now: float, *, limit: int = 100) -> list[str]:
    """Return the ids of the runs that a worker could drive now, in the order of `due`."""
    return [info.id for info in await store.due(now, limit=limit)]


def seqs(found: Sequence[Step]) -> list[int]:
    return [each.seq for each in found]


def same(found: Sequence[Step], expected: Sequence[Step]) -> bool:
    """Return whether two lists of steps are equal byte for byte, in the form in which a store keeps them."""
    return seqs(found) == seqs(expected) and list(map(encode_step, found)) == list(map(encode_step, expected))


def covers(loaded: Loaded, upto: int) -> bool:
    """Return whether a loaded run is complete up to a step: a snapshot followed by exactly the steps after it.

    The snapshots of these tests are the JSON of `{"seq": n}`.
    """
    start = 0 if loaded.snapshot is None else from_json(loaded.snapshot)["seq"]
    return seqs(loaded.steps) == list(range(start + 1, upto + 1))


class SnapshotProbe:
    """Appends steps to a run, and notes in `asked` after which of them the store requests a snapshot of the run.

    The snapshot after step n is the JSON of `{"seq": n}`.
    """

    def __init__(self, run_id: str = "r") -> None:
        self.asked: list[int] = []
        self._run_id = run_id
        self._calling: int | None = None

    async def append(self, store: Store, fence: int, seq: int, status: Status = "running") -> None:
        """Append one step to a run, and give the store a function that returns the snapshot of the run after this step.

        Raises:
            AssertionError: The store calls the function only after `append` has returned.
        """
        self._calling = seq
        pending = store.append(Append(self._run_id, fence, [step(seq)], status, snapshot=self._snapshot))
        self._calling = None
        if pending is not None:
            await pending

    def _snapshot(self) -> bytes:
        if self._calling is None:
            message = "the snapshot was requested after the call of append"
            raise AssertionError(message)
        self.asked.append(self._calling)
        return to_json({"seq": self._calling})
