"""Reading the records of a run, without driving it or writing anything.

A run can be named by a prefix of its id, like commits in git; `run_id_of` resolves it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, TypeVar

from graphengine.cli.places import shown
from graphengine.errors import UnknownRun
from graphengine.history.load import load_snapshot

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from graphengine.cli.places import Place
    from graphengine.cli.session import Session
    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import Step
    from graphengine.stores.base import RunInfo, Store

T = TypeVar("T")

_SHORTEST: Final = 4  # the least length of a prefix of an id
_PAGE: Final = 1000
_LISTED: Final = 5
_NEAR: Final = 0.75  # ids created in the same minute are similar, and must not match


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run as recorded, up to one of its steps."""

    info: RunInfo
    snapshot: Snapshot
    steps: Sequence[Step]


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
        known = [info.id for info in await _infos(store)]
    begin = [run_id for run_id in known if run_id.startswith(given)] if len(given) >= _SHORTEST else []
    if len(begin) == 1:
        return begin[0]
    repair = "`graphengine runs` lists the runs of a database; choose another database with --db PATH"
    if begin:
        message = f"{len(begin)} runs in {database} begin with {given!r}"
        listed = ", ".join(begin[:_LISTED]) + (", …" if len(begin) > _LISTED else "")
        raise UnknownRun(message, where=f"run {given!r}", repair=f"give more of the id: {listed}")
    near = get_close_matches(given, known, n=1, cutoff=_NEAR)
    message = f"there is no run {given!r} in {database}"
    raise UnknownRun(message, where=f"run {given!r}", repair=f"did you mean {near[0]!r}?" if near else repair)


def near_word(place: Place, given: str, words: Callable[[RunInfo], Iterable[str]]) -> str:
    """Return the known word that is most similar to a word that no run has.

    Args:
        place: Where the runs are stored.
        given: The word.
        words: The words of a run: its tags, or its graph.

    Returns:
        "" if a run has the word, or no run has a similar one.
    """
    known = {word for info in read(place, _infos) for word in words(info)}
    near = get_close_matches(given, known, n=1)
    return near[0] if near and given not in known else ""


async def _infos(store: Store) -> list[RunInfo]:
    """Return all runs, the newest first."""
    found: list[RunInfo] = []
    page = await store.runs(limit=_PAGE)
    while page:
        found += page
        page = await store.runs(limit=_PAGE, before=page[-1].id) if len(page) == _PAGE else ()
    return found


def read_run(place: Place, run_id: str, at: int | None = None) -> Recorded:
    """Return a run as of a step, or as of its last one if none is given.

    Raises:
        UnknownRun, UnknownStep, StoreError.
    """

    async def reading(store: Store) -> Recorded:
        snapshot = await load_snapshot(store, run_id, at)
        return Recorded(await store.info(run_id), snapshot, await store.steps(run_id, 0, snapshot.seq))

    return read(place, reading)


def read_info(place: Place, run_id: str) -> RunInfo:
    """Return the store's row of a run.

    Raises:
        UnknownRun, StoreError.
    """
    return read(place, lambda store: store.info(run_id))
