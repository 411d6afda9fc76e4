"""Load the present state of a run, including answers that no process has taken up yet, and record new answers."""

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
    """Load a run's last snapshot. A question counts as answered in it as soon as its answer is stored.

    An answer is stored before the run's log contains it, because some process must first continue the run.

    Raises:
        UnknownRun: The run does not exist.
        StoreCorrupt: The log is damaged: its steps do not follow each other.
    """
    # The inbox is read before the log. An answer that leaves the inbox in between is then found in the log.
    inbox = await store.inbox([run_id])
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
    """Record several answers of one run, and return the errors of the answers that were refused.

    Answers to waits that are over are skipped without an error, because the request was sent twice or another caller
    was faster. An answer that is refused while the run moves is tried again when its question is open again, or when
    the run rests. This is needed in the following case:

    1. A node asks two questions.
    2. A process takes up the answer to the first question before the second answer is posted. The node runs again, and
       for a moment the second question is not open.
    3. The node asks the second question again, under the same id.

    Args:
        store: The store of the run.
        run_id: The id of the run.
        given: The answers, by the ids of their waits.
        answer: A function that records one answer. It raises `InputError` if the answer is refused.
        until_rest: A function that returns once the run waits or rests at a step after the given seq.

    Returns:
        The errors of refused answers, by the ids of their waits.
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
    """Return the ids of the questions for which no answer is stored, in the order in which the run lists its waits."""
    every = [each for frame in snapshot.frames.values() for each in frame.waits.items()]
    open_ones = [record.id for name, record in every if wait_of(name, record).answerable]
    return dict.fromkeys(key for key in open_ones if key not in snapshot.posted)
