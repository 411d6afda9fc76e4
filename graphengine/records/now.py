"""Where a run is now, and what has been answered in it since."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from graphengine.errors import AnsweredAlready, InputError
from graphengine.kernel.inside import find_posted, wait_of
from graphengine.kernel.reader import OVER, load_snapshot

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from graphengine.kernel.reader import Snapshot
    from graphengine.kernel.store import RunStore


async def load_now(store: RunStore, run_id: str) -> Snapshot:
    """Load a run's last snapshot, with the answers that it has not taken up: what readers show.

    Raises:
        UnknownRun; StoreCorrupt: The log does not fold.
    """
    inbox = await store.inbox([run_id])  # first: what is taken out of it is in the log
    snapshot = await load_snapshot(store, run_id, None)
    snapshot.posted = find_posted(inbox, run_id)
    return snapshot


async def answer_all(
    store: RunStore,
    run_id: str,
    given: Mapping[str, object],
    answer: Callable[[str, object], Awaitable[object]],
    until_rest: Callable[[int], Awaitable[object]],
) -> Mapping[str, InputError]:
    """Record answers by the ids of their waits; return why some were not recorded, by id.

    Waits that are over are left out: the request was sent again, or another caller was faster.

    1. A node asks two questions. 2. A process takes the answer to the first before the second is posted, and the node
    runs again: the second is not open. 3. It asks it again, under the same id. So what is refused while the run moves
    is tried again once the question is open again, or the run rests.

    Args:
        store: What has the run.
        run_id: Its id.
        given: The answers.
        answer: Records one; raises `InputError`.
        until_rest: Returns once the run waits or rests after a seq.
    """
    refused = dict[str, InputError]()
    while True:
        snapshot, missed = await load_now(store, run_id), dict[str, object]()
        for key in [each for each in _open_questions(snapshot) if each in given]:
            try:
                with suppress(AnsweredAlready):
                    await answer(key, given[key])
            except InputError as error:
                if (await load_now(store, run_id)).seq == snapshot.seq:
                    refused[key] = error
                else:
                    missed[key] = given[key]
        given, now = missed, await load_now(store, run_id)
        if not missed or now.status in OVER:
            return refused
        if not missed.keys() <= _open_questions(now).keys():
            await until_rest(now.seq)


def _open_questions(snapshot: Snapshot) -> dict[str, None]:
    """Return the ids of the questions that have no answer, in their order."""
    every = [each for frame in snapshot.frames.values() for each in frame.waits.items()]
    open_ones = [record.id for name, record in every if wait_of(name, record).answerable]
    return dict.fromkeys(key for key in open_ones if key not in snapshot.posted)
