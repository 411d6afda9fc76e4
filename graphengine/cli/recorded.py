"""Reading the records of a run, without driving it or writing anything.

A run can be named by a prefix of its id, like commits in git; `run_id_of` resolves it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from math import inf
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from graphengine.cli.places import shown
from graphengine.engine.phases import Collecting
from graphengine.engine.snapshot import child_id
from graphengine.engine.steps import falls_back
from graphengine.errors import UnknownRun
from graphengine.history.load import load_snapshot
from graphengine.history.selection import NEWEST, other_words

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from graphengine.cli.places import Place
    from graphengine.cli.session import Session
    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import Step
    from graphengine.stores.base import RunInfo, Store

T = TypeVar("T")

_SHORTEST: Final = 4  # the least length of a prefix of an id
_COUNTED: Final = 1000
_LISTED: Final = 5
_BEFORE: Final = 1000
_OF_MAPS: Final = 20_000
"""How many steps are searched for the ended items of a map."""

_AT_A_TIME: Final = 1000
"""How many steps of a run are read at a time."""

_NEAR: Final = 0.75  # ids created in the same minute are similar, and must not match


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run as recorded, up to one of its steps.

    Attributes:
        info: The store's row.
        snapshot: The run after the last of the steps.
        steps: All steps up to that one, or the last of them.
        start: The run before the first of the steps; None if that is step 1.
    """

    info: RunInfo
    snapshot: Snapshot
    steps: Sequence[Step]
    start: Snapshot | None = None


def read(place: Place, reading: Callable[[Store], Awaitable[T]]) -> T:
    """Open the store, and return the result of a function that reads it.

    Raises:
        StoreError: There is no database, or it cannot be read.
    """
    store = place.reader()

    async def whole() -> T:
        await store.open()
        try:
            return await reading(store)
        finally:
            await store.close()

    return asyncio.run(whole())


@contextmanager
def steps_of(place: Place, info: RunInfo) -> Iterator[Iterator[Step]]:
    """Open the store, and read the steps of a run one after the other, a part of them at a time.

    Raises:
        UnknownRun, StoreError: Also while they are read.
    """
    store = place.reader()

    def reading(loop: asyncio.Runner) -> Iterator[Step]:
        for after in range(0, info.seq, _AT_A_TIME):
            yield from loop.run(store.steps(info.id, after, min(after + _AT_A_TIME, info.seq)))

    with asyncio.Runner() as loop:
        loop.run(store.open())
        try:
            yield reading(loop)
        finally:
            loop.run(store.close())


def run_id_of(session: Session, place: Place, given: str) -> str:
    """Return the id of a run, given its id or a unique prefix of it.

    The run that a prefix matches is reported on stderr.

    Args:
        session: The call.
        place: Where the run is stored.
        given: The user's argument.

    Raises:
        UnknownRun: No run matches, or several do.
        StoreError: There is no database, or it cannot be read.
    """
    found = read(place, lambda store: _meant(store, given, shown(place.database)))
    if found != given:
        session.err.line(f"{given} matches run ", (found, "bold"))
    return found


async def _meant(store: Store, given: str, database: str) -> str:
    try:
        return (await store.info(given)).id
    except UnknownRun:
        begin = await store.ids(given, limit=_COUNTED) if len(given) >= _SHORTEST else []
    if len(begin) == 1:
        return begin[0]
    repair = "`graphengine runs` lists the runs of a database; choose another database with --db PATH"
    if begin:
        count = f"{len(begin)} or more" if len(begin) == _COUNTED else str(len(begin))
        message = f"{count} runs in {database} begin with {given!r}"
        listed = ", ".join(begin[:_LISTED]) + (", …" if len(begin) > _LISTED else "")
        raise UnknownRun(message, where=f"run {given!r}", repair=f"give more of the id: {listed}")
    known = [info.id for info in await store.runs(limit=NEWEST)]
    near = get_close_matches(given, known, n=1, cutoff=_NEAR)
    message = f"there is no run {given!r} in {database}"
    raise UnknownRun(message, where=f"run {given!r}", repair=f"did you mean {near[0]!r}?" if near else repair)


def near_word(place: Place, given: str, what: Literal["graph", "tag"]) -> str:
    """Return the graph or tag of one of the newest runs that is most similar to a word that no run has.

    Args:
        place: Where the runs are stored.
        given: The word.
        what: What it is meant to be.

    Returns:
        "" if a run has the word, or none of the newest has a similar one.
    """
    near = get_close_matches(given, read(place, lambda store: other_words(store, given, what)), n=1)
    return near[0] if near else ""


def read_run(place: Place, run_id: str, at: int | None = None) -> Recorded:
    """Return a run as of a step, or as of its last one if none is given.

    Raises:
        UnknownRun, UnknownStep, StoreError.
    """

    async def reading(store: Store) -> Recorded:
        snapshot = await load_snapshot(store, run_id, at)
        return Recorded(await store.info(run_id), snapshot, await store.steps(run_id, 0, snapshot.seq))

    return read(place, reading)


def read_end(place: Place, run_id: str, at: int | None, count: int) -> Recorded:
    """Return a run as of a step, or as of its last one, with that many steps before it and some more.

    The cost does not depend on the length of the run. The steps before supply when the wanted ones began.

    Raises:
        UnknownRun, UnknownStep, StoreError.
    """

    async def reading(store: Store) -> Recorded:
        snapshot = await load_snapshot(store, run_id, at)
        before = max(0, snapshot.seq - count - _BEFORE)
        start = await load_snapshot(store, run_id, before) if before else None
        return Recorded(await store.info(run_id), snapshot, await store.steps(run_id, before, snapshot.seq), start)

    return read(place, reading)


async def fallbacks_of(store: Store, snapshot: Snapshot) -> Mapping[str, int]:
    """Count the items of the maps in progress that have the result of their fallback, as far as the last steps show.

    Args:
        store: The store.
        snapshot: The run.

    Returns:
        The counts by the frame of the items without their index; empty if no map is in progress.
    """
    if not any(isinstance(frame.phase, Collecting) for frame in snapshot.frames.values()):
        return {}
    steps = await store.steps(snapshot.run_id, max(0, snapshot.seq - _OF_MAPS), snapshot.seq)
    began = {
        child_id(frame.id, frame.at): frame.phase.began
        for frame in snapshot.frames.values()
        if isinstance(frame.phase, Collecting)
    }
    maps = ((step.frame.rpartition("[")[0], step) for step in steps if step.kind == "item" and falls_back(step))
    return Counter(key for key, step in maps if step.at >= began.get(key, inf))


def read_info(place: Place, run_id: str) -> RunInfo:
    """Return the store's row of a run.

    Raises:
        UnknownRun, StoreError.
    """
    return read(place, lambda store: store.info(run_id))
