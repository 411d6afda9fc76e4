"""Reading what is recorded of one run, without driving it or writing anything.

A run may be named by the beginning of its id, as commits may in git: `run_id_of` says which is meant.
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

_SHORTEST: Final = 4  # characters of an id that may stand for all of it
_PAGE: Final = 1000
_LISTED: Final = 5
_NEAR: Final = 0.75  # ids made in one minute are alike, and are not meant


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run as recorded, up to one of its steps."""

    info: RunInfo
    snapshot: Snapshot
    steps: Sequence[Step]


def read(place: Place, reading: Callable[[Store], Awaitable[T]]) -> T:
    """What a reading of the store gives.

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
    """The id of the run that is meant: its id, or the beginning of it where no other run's id begins so.

    Which run a beginning was taken for is told on stderr.

    Args:
        session: The call.
        place: Where the run is kept.
        given: What the user gave.

    Raises:
        UnknownRun: There is none, or several begin so.
        StoreError: There is no database, or it cannot be read.
    """
    found = read(place, lambda store: _meant(store, given, shown(place.database)))
    if found != given:
        session.err.line(f"{given} is taken for run ", (found, "bold"))
    return found


async def _meant(store: Store, given: str, database: str) -> str:
    try:
        return (await store.info(given)).id
    except UnknownRun:
        known = [info.id for info in await _infos(store)]
    begin = [run_id for run_id in known if run_id.startswith(given)] if len(given) >= _SHORTEST else []
    if len(begin) == 1:
        return begin[0]
    repair = "`graphengine runs` lists the runs of a database, --db PATH names another one"
    if begin:
        told = f"{len(begin)} runs in {database} begin with {given!r}"
        listed = ", ".join(begin[:_LISTED]) + (", …" if len(begin) > _LISTED else "")
        raise UnknownRun(told, where=f"run {given!r}", repair=f"give more of the id: {listed}")
    near = get_close_matches(given, known, n=1, cutoff=_NEAR)
    told = f"there is no run {given!r} in {database}"
    raise UnknownRun(told, where=f"run {given!r}", repair=f"did you mean {near[0]!r}?" if near else repair)


def near_word(place: Place, given: str, words: Callable[[RunInfo], Iterable[str]]) -> str:
    """What a word that no run has was perhaps meant to be: the word of a run that is likest to it.

    Args:
        place: Where the runs are kept.
        given: The word.
        words: The words of a run: its tags, or its graph.

    Returns:
        "" where some run has the word, or none has one that is like it.
    """
    known = {word for info in read(place, _infos) for word in words(info)}
    near = get_close_matches(given, known, n=1)
    return near[0] if near and given not in known else ""


async def _infos(store: Store) -> list[RunInfo]:
    """All runs, the newest first."""
    found: list[RunInfo] = []
    page = await store.runs(limit=_PAGE)
    while page:
        found += page
        page = await store.runs(limit=_PAGE, before=page[-1].id) if len(page) == _PAGE else ()
    return found


def read_run(place: Place, run_id: str, at: int | None = None) -> Recorded:
    """A run as it was after a step, the last one if none is given.

    Raises:
        UnknownRun, UnknownStep, StoreError.
    """

    async def reading(store: Store) -> Recorded:
        snapshot = await load_snapshot(store, run_id, at)
        return Recorded(await store.info(run_id), snapshot, await store.steps(run_id, 0, snapshot.seq))

    return read(place, reading)


def read_info(place: Place, run_id: str) -> RunInfo:
    """The facts of a run.

    Raises:
        UnknownRun, StoreError.
    """
    return read(place, lambda store: store.info(run_id))
