"""Stream changes to the page: changes of the list of runs, or of one run that the page shows.

One loop for each store looks for changes on behalf of all streams.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from graphengine.errors import GraphEngineError, RunReplaced, StoreError
from graphengine.kernel.inside import find_posted, follow
from graphengine.kernel.reader import status_of
from graphengine.serve.callers import caller
from graphengine.serve.large_values import shorten_document
from graphengine.serve.messages import HEARTBEAT, HEARTBEAT_SECONDS, stream_event
from graphengine.serve.read_documents import Doing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from graphengine.kernel.store import RunInfo, Store
    from graphengine.serve.inspector.live import LiveRun
    from graphengine.serve.reads.run_cache import RunCache
    from graphengine.serve.reads.views import Views

_LIST_SECONDS: Final = 0.2
_TROUBLE_SECONDS: Final = 1.0
_MOST_BEHIND: Final = 2000


class _StreamedActivity:
    """Remembers how much of a driven run's live activity one stream has already sent to its page.

    The stream then sends each piece of a model's text only once.
    """

    def __init__(self, live: Mapping[str, LiveRun], run_id: str) -> None:
        self.run_id = run_id
        self._live = live
        self._sent: dict[int, int] = {}
        self._run: LiveRun | None = None
        self._was_shown = False

    def document(self) -> Doing | None:
        """Return what is new in the activity of a run since the last call: running nodes and pieces of streamed text.

        When this process stops driving the run, one empty document is returned, and then None.
        """
        run = self._live.get(self.run_id)
        if run is not self._run:
            self._run, self._sent = run, {}
        if run is None and not self._was_shown:
            return None
        self._was_shown = run is not None
        if run is None:
            return Doing([], [], None, here=False)
        found = run.document(self._sent)
        self._sent = {each.number: each.at + len(each.text) for each in found.texts}
        return found


async def list_events(views: Views, store: Store) -> AsyncIterator[bytes]:
    """Yield a server-sent event whenever the list of runs has changed, so that the page loads the list again.

    A caller with a tenant only learns of changes of the tenant's runs.
    """
    yield stream_event({}, name="hello")
    shown: object = None
    version = 0
    with follow(store) as follower:
        while True:
            if not await follower.woken_within(HEARTBEAT_SECONDS):
                yield HEARTBEAT
                continue
            if follower.is_lost or not caller().sees_all:
                try:
                    found = [
                        (info.id, info.seq, status_of(info), info.tags) for info in await views.store.runs(limit=200)
                    ]
                except StoreError as error:
                    yield stream_event(error.message, name="trouble")
                    await follower.lost_for(_TROUBLE_SECONDS)
                    continue
                was, shown = shown, found
                if found == was and not follower.is_lost:
                    continue
                follower.is_lost = False
            version += 1
            yield stream_event(version, name="changed")
            await asyncio.sleep(_LIST_SECONDS)


class RunStream:
    """The stream that keeps the page of one run current: the new steps, the status, and the activity between steps.

    Each step is sent once and in order.

    Args:
        views: The reads of the page.
        books: The cache of runs that pages have read recently.
        store: The store.
        live: The activity of the runs that this process drives.
        run_id: The id of the run.
        after: The cursor, or the number, of the last step that the page already has.
    """

    def __init__(  # noqa: PLR0913 - what it reads, and of which run
        self, views: Views, books: RunCache, store: Store, live: Mapping[str, LiveRun], run_id: str, after: str
    ) -> None:
        self._views = views
        self._books = books
        self._store = store
        self._run_id = run_id
        self._cursor = after
        self._now = _StreamedActivity(live, run_id)
        self._shown: object = None

    async def events(self) -> AsyncIterator[bytes]:
        """Yield the server-sent events that keep the page current, and a heartbeat every few seconds in between."""
        yield b"retry: 500\n\n"
        with follow(self._store, self._run_id) as follower:
            while True:
                if not await follower.woken_within(HEARTBEAT_SECONDS):
                    yield HEARTBEAT
                    continue
                try:
                    if follower.info is None or follower.is_lost:
                        follower.is_lost = False
                        follower.info = next(iter(await self._store.infos([self._run_id])), None)
                except StoreError as error:
                    self._shown = None
                    yield stream_event(error.message, name="trouble")
                    await follower.lost_for(_TROUBLE_SECONDS)
                    continue
                try:
                    async with aclosing(self._news(follower.info)) as news:
                        async for event in news:
                            yield event
                except GraphEngineError as error:
                    yield stream_event(error.message, name="trouble")

    async def _news(self, info: RunInfo | None) -> AsyncGenerator[bytes]:
        """Yield the server-sent events for everything that has changed since the last call.

        The event `reset` makes the page load the run again. It is sent to a page that is far behind, or that has shown
        an earlier run with the same id. The event `gone` says that the run no longer exists.
        """
        if info is None or not caller().sees(info.tenant):
            if self._shown != "gone":
                self._shown = "gone"
                yield stream_event("", name="gone")
            return
        book = await self._books.book(info)
        try:
            after = info.seq_in(self._cursor)
            is_behind = info.seq - after > _MOST_BEHIND
        except RunReplaced:
            after, is_behind = 0, True
        if is_behind:
            yield stream_event({}, name="reset", number=info.cursor)
            after = info.seq
        for row in book.rows[after : info.seq]:
            yield stream_event(row, name="step", number=info.cursor_at(row.account.seq))
        self._cursor = info.cursor_at(max(after, info.seq))
        snapshot = book.visits.snapshot
        snapshot.posted = find_posted(await self._views.store.inbox([info.id]), info.id)
        standing = (info, status_of(info), [*snapshot.posted])
        if standing != self._shown:
            self._shown = standing
            head = await self._views.head(info, book)
            yield stream_event(shorten_document(head), name="stands", number=self._cursor)
        if (fresh := self._now.document()) is not None:
            yield stream_event(fresh, name="now")


__all__ = ["RunStream", "list_events"]
