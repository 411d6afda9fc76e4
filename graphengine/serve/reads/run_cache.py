"""RunCache: keep the runs that pages show in memory, and add each further step when it is recorded.

A `Book` contains one run, with a row for each of its steps. The trace and the picture of the page show these rows. The
page adds up the rows to count the visits and edges up to the selected step. The state of the run at a step, and the
changes of a step, are read from the store when they are needed.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

from graphengine.errors import StoreError, UnknownRun
from graphengine.kernel.extension import END, FAIL
from graphengine.kernel.inside import compared, load_specs
from graphengine.kernel.reader import Collecting, Ended, Forked, Inside, encode_step, graph_spec_of, usage_from
from graphengine.records.account import account_of
from graphengine.records.visits import Visits, load_start
from graphengine.render.trace import Tally
from graphengine.serve.read_documents import Chart, Moment, Row
from graphengine.serve.reads.pictures import GraphLayout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.kernel.reader import GraphSpec, Step
    from graphengine.kernel.store import RunInfo, Store
    from graphengine.records.visit_tree import Entry
    from graphengine.render.place_states import PlaceState
    from graphengine.render.trace import Counted

_KEPT: Final = 8
_CHUNK: Final = 2000
_TEXT: Final = 110
_RECENT: Final = 300
_NO_GRAPH: Final = GraphLayout({"graph": "", "nodes": [], "ways": []})


class Book:
    """The history of a run up to one of its steps, in the form in which the run's page shows it, kept in memory.

    Attributes:
        atlas: The graph of the run, with the numbers by which the page refers to its nodes and edges.
        visits: The visits of the run to its nodes.
        rows: What the page shows of each step.
    """

    def __init__(
        self,
        atlas: GraphLayout,
        start: Any = None,  # noqa: ANN401 - a snapshot
        specs: dict[str, GraphSpec] | None = None,
    ) -> None:
        self.atlas = atlas
        self.specs: dict[str, GraphSpec] = {} if specs is None else specs
        self.visits = Visits(start, specs=self.specs)
        self.rows: list[Row] = []
        self._tally = Tally(atlas.graph_spec, atlas.scopes, self.visits)

    def feed(self, steps: Sequence[Step]) -> None:
        for step in steps:
            entry, counted = self._tally.feed(step)
            self.rows.append(_build_cache_row(entry, counted, self.atlas))

    def standings(self) -> dict[int, PlaceState]:
        """Return what the run does at each node after the last step, such as wait, by the number of the node."""
        spots, found = self.atlas.spots, self._tally.standings()
        return {spots[spot]: each for spot, each in found.items() if spot in spots}

    def moment(self) -> Moment:
        """Return the document of the run just after the last step. The caller adds the value of the chosen field."""
        snapshot, standings = self.visits.snapshot, self.standings()
        spent = usage_from(snapshot.usage).cost_usd
        return Moment(snapshot.seq, snapshot.status, spent, standings, Counter(self.tokens(standings).values()))

    def tokens(self, standings: Mapping[int, PlaceState]) -> dict[str, int]:
        """Return the nodes at which the picture of the graph marks that a part of the run is there.

        Such a mark is called a token. The result contains the number of a node for each part of the run.

        The parts are the run itself, its inner graphs, the arms of forks and the items of maps. A part has no token
        while other parts inside it are at work.
        """
        frames, spots, found = self.visits.snapshot.frames, self.atlas.spots, dict[str, int]()
        last: str | None = None
        # Inner frames come first, and the last of them directly before the frame around them.
        for key in sorted(frames, reverse=True):
            frame, at = frames[key], frames[key].at
            if isinstance(frame.phase, (Forked, Inside, Collecting)) and last is not None and last.startswith(key):
                continue
            place = self.visits.live[key].place
            if isinstance(frame.phase, Forked):
                at = frame.phase.fork.join
            elif frame.failure is not None and spots.get((place, FAIL)) in standings:
                at = FAIL
            elif isinstance(frame.phase, Ended):
                if key:
                    continue
                at = END
            if (place, at) in spots:
                found[key], last = spots[place, at], key
        return found

    def find(self, text: str) -> list[int]:
        """Return the numbers of the steps that contain a text.

        A step contains the text if the text is in its record, or in the reason for which the run took an edge. Upper
        and lower case are not distinguished.
        """
        # The text in the form of JSON, and in plain words.
        wanted, plain = to_json(text).decode()[1:-1].casefold(), text.casefold()

        def has(entry: Entry) -> bool:
            why = entry.edge.why if entry.edge is not None else ""
            return wanted in encode_step(entry.step).decode().casefold() or plain in why.casefold()

        return [entry.step.seq for entry in self.visits.entries if has(entry)]

    def scores(self, path: str, column: float, status: str) -> Chart:
        """Return a chart of numbers in the run's state over time.

        The dark colours of the chart are in the page's style sheet.

        Args:
            path: The path of the numbers; "" for the numbers that conditions of edges compare.
            column: The width of the chart, in pixels.
            status: The status of the run in the store.

        Raises:
            RenderError: The path is invalid, or there are no numbers.
        """
        from graphengine.render.charts import scores  # noqa: PLC0415 - only this read needs it

        chart = scores(self.atlas.graph_spec, [entry.step for entry in self.visits.entries], path, column, status)
        return Chart(chart.element(style=""), chart.text())


class RunCache:
    """Keeps the history of recently read runs in memory, each as a `Book`, so that pages load them fast."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._books: OrderedDict[tuple[str, float, str], tuple[Book, asyncio.Lock]] = OrderedDict()
        self._atlases: dict[str, GraphLayout] = {}

    async def atlas(self, fingerprint: str) -> GraphLayout:
        """Return the graph with a certain fingerprint, with numbers for its nodes and edges.

        If the store has no record of this graph, an empty graph is returned.
        """
        if fingerprint not in self._atlases:
            with suppress(StoreError):  # a run with a damaged graph spec can still be read
                graph_spec = await graph_spec_of(self._store, fingerprint)
                if graph_spec is not None:
                    self._atlases[fingerprint] = GraphLayout(graph_spec)
        return self._atlases.get(fingerprint, _NO_GRAPH)

    def know(self, fingerprint: str, graph_spec: GraphSpec) -> None:
        """Add a graph that the server can drive, so that its picture can be drawn before it has a run."""
        self._atlases[fingerprint] = GraphLayout(graph_spec)

    async def book(self, info: RunInfo) -> Book:
        """Return the whole history of a run up to the step `info.seq`.

        Only the steps that are not yet in memory are read.

        Raises:
            UnknownRun: The run was removed in the meantime.
            StoreError: The run cannot be read.
        """
        key = (info.identity, info.created_at, info.fingerprint)  # a later run with the same id has another book
        if key not in self._books:
            self._books[key] = Book(await self.atlas(info.fingerprint)), asyncio.Lock()
        self._books.move_to_end(key)
        book, lock = self._books[key]
        while len(self._books) > _KEPT:
            self._books.popitem(last=False)
        async with lock:
            try:
                while len(book.rows) < info.seq:
                    after = len(book.rows)
                    steps = await self._store.steps(info.id, after, min(after + _CHUNK, info.seq))
                    book.specs.update(await load_specs(self._store, steps, book.visits.snapshot.fingerprint))
                    await asyncio.to_thread(book.feed, steps)
                    _check_removed(info, is_removed=len(book.rows) == after)
            except BaseException:
                self._books.pop(key, None)  # a book whose computation stopped half-way cannot be continued
                raise
        return book

    async def recent(self, info: RunInfo, seq: int) -> Book:
        """Return the history of a run from some steps before the step `seq` up to this step.

        It takes the same time for short and for long runs, because the log is not read from its beginning. The result
        is not kept in the cache.
        """
        book = Book(await self.atlas(info.fingerprint), await load_start(self._store, info.id, seq - _RECENT))
        steps = await self._store.steps(info.id, book.visits.snapshot.seq, seq)
        book.specs.update(await load_specs(self._store, steps, book.visits.snapshot.fingerprint))
        book.feed(steps)
        return book


def _check_removed(info: RunInfo, *, is_removed: bool) -> None:
    if is_removed:
        raise UnknownRun(
            f"run {info.id} was removed", where=f"run {info.id}", repair="choose a run of the list of runs"
        )


def _build_cache_row(entry: Entry, counted: Counted, atlas: GraphLayout) -> Row:
    return Row(
        account_of(entry, limit=_TEXT, why_limit=_TEXT, with_changes=True),
        [atlas.spots[spot] for spot in counted.visits if spot in atlas.spots],
        [atlas.edges[edge] for edge in counted.edges if edge in atlas.edges],
        compared(entry.edge.outcome, entry.edge.ways) if entry.edge is not None else {},
    )


__all__ = ["Book", "RunCache"]
