"""Read runs for the HTTP service and for the page: each request that only reads has a method of `Views`.

The methods return documents. Documents that commands print under `--json` as well have the same types there. The
parameters were checked before: see `requests`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET, structs
from msgspec.structs import asdict

from graphengine.agents.asked import asked_in
from graphengine.errors import GraphEngineError, GraphNotFound, StoreError, UnknownRun, UnknownStep
from graphengine.kernel.extension import clipped
from graphengine.kernel.inside import UNREADABLE, find_posted
from graphengine.kernel.reader import Recorded, Snapshot, load_snapshot, status_of
from graphengine.kernel.store import Summary, summary_of
from graphengine.models.hiding import contains_secrets
from graphengine.models.limiter import runs_at_limiters
from graphengine.records.account import account_of
from graphengine.records.at_work import load_at_work
from graphengine.records.branches import load_branch_tree, load_branches
from graphengine.records.export import export_run, to_json_text
from graphengine.records.in_common import InCommon, load_in_common
from graphengine.records.json_document import diff_document, head_facts, runs_document, spending_of_run
from graphengine.records.result_fields import result_fields
from graphengine.records.run_diff import diff, differences
from graphengine.records.runs_below import runs_above, runs_below
from graphengine.records.selection import (
    NEWEST,
    ONLY_SEEN,
    Found,
    Wanted,
    as_answered,
    count_unseen,
    find_runs,
    is_lossy,
    state_fits,
    version_of,
)
from graphengine.records.spending import load_spent_below
from graphengine.records.states import find_changed_fields
from graphengine.records.step_document import failure_document, step_document
from graphengine.records.sums import Sums, load_sums
from graphengine.records.trends import JOINT, summaries, trends
from graphengine.render.scopes import path_at
from graphengine.render.text import one_line
from graphengine.render.trace import list_tried_edges
from graphengine.serve.callers import RIGHTS, caller
from graphengine.serve.large_values import MOST_PLACES
from graphengine.serve.read_documents import (
    Above,
    Attempt,
    Call,
    Chart,
    ComparedRun,
    Comparison,
    Graph,
    Head,
    InResults,
    Line,
    Lost,
    Moments,
    Overview,
    Page,
    Picture,
    Questions,
    Row,
    Run,
    Said,
    Session,
    State,
    StepDetails,
    Tables,
    Tally,
    Today,
    Tried,
    Unused,
)
from graphengine.serve.reads.about import about, is_chat, last_message
from graphengine.serve.reads.asked import QuestionLog, open_count
from graphengine.serve.reads.held import Held
from graphengine.serve.reads.moments import moments
from graphengine.serve.reads.pictures import picture_of
from graphengine.serve.reads.results import in_results
from graphengine.serve.reads.today import TodayBook
from graphengine.serve.reads.why_not import Taken, taken_in, why_not
from graphengine.serve.requests import SortedParameters, wanted_by

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    from graphengine.agents.asked import TurnRequest
    from graphengine.kernel.store import Page as Words
    from graphengine.kernel.store import RunInfo, Store
    from graphengine.records.json_document import Compared, Runs, SpendingOfRun
    from graphengine.records.trends import Trends
    from graphengine.records.visit_tree import Entry, Visit
    from graphengine.serve.read_documents import WhyNot
    from graphengine.serve.reads.pictures import GraphLayout
    from graphengine.serve.reads.run_cache import Book, RunCache
    from graphengine.serve.requests import (
        AtStep,
        EdgeParameters,
        Filters,
        FindParameters,
        ListParameters,
        MaybeOfRun,
        MomentsParameters,
        NoParameters,
        OfGraph,
        OfRun,
        OfRuns,
        OfStep,
        OfTwo,
        PictureParameters,
        RowsParameters,
        ScoresParameters,
        StoryParameters,
        SumParameters,
        TallyParameters,
        TodayParameters,
        TrendParameters,
    )
    from graphengine.serve.users import Users
    from graphengine.wings import Table

_PAGE: Final = 200
_COLUMNS: Final = (200.0, 600.0, 20_000.0)
"""The minimum, the default and the maximum width of a chart, in pixels."""
_BARS: Final = 48
_AGES: Final = 1e12
"""The length in seconds of an interval that is so long that it contains every run."""
_ENDED: Final = msgspec.json.Decoder(list[Summary | None])
_DAY: Final = 86_400.0
_MINUTE: Final = 60.0
_FEW_DAYS: Final = 3
_KEPT: Final = 2000
_SEARCHED_PAGES: Final = 50
_SAYS: Final = ("user", "assistant")
_SAID: Final = 120
MOST_ROWS: Final = 20_000
"""The maximum number of rows in one answer. Compressed, this many rows have less than a megabyte."""
_MOST_OF_WAY: Final = 100
_HELD: Final = "waits for a model's rate limiter"
_UNUSED_RUNS: Final = 20
_UNUSED_STEPS: Final = 2000
_ACCOUNT_TEXT: Final = 10_000
"""The maximum length of a text in the description of one step. The step itself contains the whole values."""


@dataclass(slots=True)
class Views:
    """Answers those requests to a server that only read runs, such as the requests of the inspector page.

    Attributes:
        store: The database, limited to what the caller can see.
        books: The cache of runs that were read recently.
        command: Returns a command line to paste, given the run or None, the command and its further words; None if
            readers of this server have no command line.
        about: Facts about the server that the page shows.
        wings: Functions that return the tables of extensions for a tenant, or for callers who see all runs if the
            tenant is None.
        graphs: The fingerprints of the graphs whose runs can be driven here, by the graph's name.
        users: The users who can open the page; None if everybody with the server's token can.
    """

    store: Store
    books: RunCache
    command: Callable[..., str] | None
    about: Session
    wings: Sequence[Callable[[str | None], Awaitable[Iterable[Table]]]] = ()
    graphs: Mapping[str, str] = field(default_factory=dict)
    users: Users | None = None
    _lines: dict[tuple[str, int, float], tuple[Summary, Sequence[str]]] = field(default_factory=dict)
    _asked: QuestionLog = field(init=False)
    _today: TodayBook = field(init=False)
    _tallies: Held[Tally] = field(default_factory=Held)
    _taken: Held[Taken] = field(default_factory=Held)
    _results: Held[InResults] = field(default_factory=Held)
    _shared: Held[InCommon] = field(default_factory=Held)
    _sums: Held[Sums] = field(default_factory=Held)
    _counted: Held[Sequence[tuple[float, str, int]]] = field(default_factory=Held)

    def __post_init__(self) -> None:
        self._asked = QuestionLog(self.store)
        self._today = TodayBook(self.store)

    async def session(self, asked: NoParameters) -> Session:
        """Return what the page must know about this server and about its user, such as the rights of the user.

        The answer contains nothing that the user may not know, such as the path of the database.
        """
        del asked
        who = caller()
        database = self.about.database if who.sees_all else f"runs of {who.tenant}"
        drives = self.about.drives if who.may("start") else None
        read_only = self.about.read_only or not who.may("answer", "operate")
        rights = [each for each in RIGHTS if who.may(each)]
        who_reads = {"user": who.name, "tenant": who.tenant, "rights": rights}
        return structs.replace(self.about, database=database, drives=drives, read_only=read_only, **who_reads)

    async def list_runs(self, asked: ListParameters) -> Page:
        """Return a page of the list of runs. If the request asks for it, add what each waiting run waits for."""
        seen, following = await self.found(asked)
        found = seen.runs
        works = await load_at_work(self.store, found)
        if not asked.waits:
            answered = await as_answered(self.store, found)
            return Page(runs_document(answered, at_work=works).runs, following, seen.looked_at, seen.unseen)
        waiting = dict[str, Snapshot]()
        waits = [info.id for info in found if info.status == "waiting"]
        inbox = await self.store.inbox(waits) if waits else ()  # first: what is taken out of it is in the logs
        for run_id in waits:
            with suppress(UnknownRun, *UNREADABLE):  # removed, or not to be read here
                snapshot = await load_snapshot(self.store, run_id, None)
                snapshot.posted = find_posted(inbox, run_id)
                waiting[run_id] = snapshot
        return Page(runs_document(found, waiting, works).runs, following, seen.looked_at, seen.unseen)

    async def found(self, asked: ListParameters) -> tuple[Found, str | None]:
        """Find the runs for one page of a search.

        Returns:
            The runs, and the id to send as `before` for the next page; None if there is no next page.
        """
        wanted = wanted_by(asked, asked.limit, asked.before)
        following = wanted.before
        shown: list[RunInfo] = []
        looked_at = 0
        order: Words = {"sort": asked.sort, "ascending": asked.up} if isinstance(asked, SortedParameters) else {}
        for _ in range(_SEARCHED_PAGES if wanted.is_searched else 1):
            page: Words = {**wanted.page(wanted.limit, following), **order}
            found = await self.store.runs(**page)
            fitting = [info for info in found if wanted.fits(info, time.time())]
            looked_at += len(fitting)
            shown += [
                info for info in fitting if not wanted.scanned or await state_fits(self.store, info, wanted.scanned)
            ]
            following = found[-1].id if len(found) == wanted.limit else None
            if following is None or len(shown) >= wanted.limit or (wanted.scanned and looked_at >= NEWEST):
                break
        if not wanted.fields:
            return Found(shown), following
        return Found(shown, looked_at if wanted.scanned else UNSET, await count_unseen(self.store, wanted)), following

    async def questions(self, asked: MaybeOfRun) -> Questions:
        """Return the open questions and the answers of the last seven days, of all runs or of one run."""
        answerers = self.users.who_may("answer", caller().tenant) if self.users is not None else ()
        return await self._asked.questions(asked.run_id, answerers)

    async def overview(self, asked: Filters) -> Overview:
        """Return how many runs a search finds, by their status and by the time at which they began."""
        wanted, key = wanted_by(asked), (caller().tenant, structs.astuple(asked))
        counts = await self._counts(wanted, key)
        statuses = Counter[str]()
        for _, status, runs in counts:
            statuses[status] += runs
        page: Words = {**wanted.page(_KEPT, None), "status": "running"}
        is_any = replace(wanted, status=None)
        running = [info for info in await self.store.runs(**page) if is_any.fits(info, time.time())]
        if wanted.scanned:
            running = [each for each in running[:NEWEST] if await state_fits(self.store, each, wanted.scanned)]
        for name in ("queued", "interrupted"):
            statuses[name] = sum(status_of(info) == name for info in running)
        statuses["running"] = max(0, statuses["running"] - statuses["queued"] - statuses["interrupted"])
        if wanted.status is not None:
            statuses = Counter({wanted.status: statuses[wanted.status]})
        first = min((since for since, _, _ in counts), default=0.0)
        days = max((since for since, _, _ in counts), default=0.0) / _DAY + 1 - first / _DAY
        width = max(_MINUTE, round(days * _DAY / _BARS)) if days > _FEW_DAYS else _MINUTE
        bars = Counter[tuple[float, str]]()
        for since, status, runs in await self._counts(wanted, key, width):
            bars[since, status] += runs
        questions = await open_count(self.store)  # of all runs, as the page that the number leads to has them
        return Overview(statuses, questions, width, [(*each, runs) for each, runs in bars.items()])

    async def _counts(self, wanted: Wanted, key: Hashable, width: float = _DAY) -> Sequence[tuple[float, str, int]]:
        """Count the runs that a search finds, for each interval of time and each status.

        For the store, a `queued` run also has the status `running`. A search for one of these statuses therefore counts
        both.

        Args:
            wanted: The search.
            key: The key under which the result is kept for a while.
            width: The length of an interval in seconds.
        """
        plain = Wanted(wanted.limit, graph=wanted.graph, tag=wanted.tag, text=wanted.text)
        if wanted == plain:  # the store has these in an index
            found = await self.store.counts(tag=wanted.tag, text=wanted.text, every_seconds=width)
            return [(each.since, each.status, each.runs) for each in found if wanted.graph in {None, each.graph}]

        async def counted() -> Sequence[tuple[float, str, int]]:
            if wanted.scanned or wanted.run_id is not None:
                looked = await find_runs(self.store, wanted)
                bars = Counter((info.created_at // width * width, str(info.status)) for info in looked.runs)
                return [(*each, runs) for each, runs in bars.items()]
            groups = await self._summaries(wanted, width)
            return await asyncio.to_thread(_count_fitting, groups, wanted)

        return await self._counted.of((key, width), counted)

    async def _summaries(self, wanted: Wanted, width: float) -> Sequence[tuple[str, str, float, str]]:
        page = wanted.page(sys.maxsize, None)
        return await summaries(self.store, page, "version" if wanted.is_searched else "graph", width)

    async def tally(self, asked: TallyParameters) -> Tally:
        """Return how many runs a search finds, and how many of them lost something; null if counting would be too slow.

        Requests with the same parameters share a result for a while. A page that has changed runs sends another
        `change`, to get a new result.
        """
        wanted = wanted_by(asked)
        if wanted.status in ONLY_SEEN or wanted.scanned or wanted.run_id is not None:
            return Tally(None, None)

        async def counted() -> Tally:
            return await asyncio.to_thread(_tally, await self._summaries(wanted, _AGES), wanted)

        return await self._tallies.of((caller().tenant, structs.astuple(asked)), counted)

    async def in_results(self, asked: Filters) -> InResults:
        """Return the newest runs whose state contains the words of a search."""
        key = caller().tenant, structs.astuple(asked)
        return await self._results.of(key, lambda: in_results(self.store, wanted_by(asked)))

    async def today(self, asked: TodayParameters) -> Today:
        """Return the runs of today compared with those of yesterday, as the days are in the reader's time zone."""
        now = time.time()
        midnight = asked.midnight or now // _DAY * _DAY
        return await self._today.today(caller().tenant, min(max(midnight, now - _DAY), now), asked.by)

    async def in_common(self, asked: Filters) -> InCommon:
        """Return what the failed runs that a search finds have in common.

        The answer is about the node at which most of them failed. Finding it requires reading many logs, so the page
        requests it separately, after it has shown the numbers of today.
        """
        key = caller().tenant, structs.astuple(asked)
        return await self._shared.of(key, lambda: load_in_common(self.store, wanted_by(asked), contains_secrets))

    async def sums(self, asked: SumParameters) -> Sums:
        """Return the sums of the last week, by day and by node, of the runs that a search finds."""
        key = caller().tenant, structs.astuple(asked)
        return await self._sums.of(key, lambda: load_sums(self.store, wanted_by(asked), midnight=asked.midnight))

    async def trends(self, asked: TrendParameters) -> Trends:
        """Return the numbers, failures and costs of runs over time."""
        return await trends(self.store, asked.text or "", by=asked.by, every_seconds=asked.every)

    async def tables(self, asked: NoParameters) -> Tables:
        """Return the tables of extensions. A caller with a tenant gets only the tables of this tenant."""
        del asked
        found = [table for each in self.wings for table in await each(caller().tenant)]
        return Tables(found)

    async def lines(self, asked: OfRuns) -> Mapping[str, Line]:
        """Return what each run that is visible on a page of the list of runs is doing now.

        The summary of a run in the store is from the last change of its status. This is too old for a run that is being
        driven, and it lacks the last message of a conversation. In these cases, the snapshot is read. The store also
        does not record that a model call waits for its rate limiter, so this is known only of runs that this process
        drives.
        """
        held = runs_at_limiters()
        found: dict[str, Line] = {}
        below = await runs_below(self.store, asked.run_id[:_PAGE])
        for info in await as_answered(self.store, await self.store.infos(asked.run_id[:_PAGE])):
            key = (info.identity, info.seq, info.created_at)
            with suppress(StoreError, ValueError):  # a run that cannot be read is still listed
                if info.status == "running" and key not in self._lines:
                    snapshot = await load_snapshot(self.store, info.id, None)
                    places = dict.fromkeys(frame.at for frame in snapshot.frames.values() if frame.at)
                    self._lines[key] = summary_of(snapshot), [*places][-3:]
                elif info.summary is not None and info.summary.kind == "receive" and key not in self._lines:
                    snapshot = await load_snapshot(self.store, info.id, None)
                    self._lines[key] = info.summary, [said] if (said := last_said(snapshot.root.values)) else ()
                elif info.summary is not None and info.summary.kind == "sleep" and key not in self._lines:
                    # The rows of earlier versions do not say what an agent waits for.
                    self._lines[key] = summary_of(await load_snapshot(self.store, info.id, None)), ()
                summary, at = self._lines.get(key, (info.summary, ()))
                if info.status == "running" and info.identity in held:
                    at = [f"{', '.join(at)} ({_HELD})"]
                found[info.id] = Line(status_of(info), info.updated_at, summary, at, below.counts(info.id))
        if len(self._lines) > _KEPT:
            self._lines.clear()
        return found

    async def branches(self, asked: OfRun) -> Runs:
        """Return all runs that are related to a run by branching. Each run comes before its own branches."""
        return runs_document(await load_branch_tree(self.store, asked.run_id))

    async def below(self, asked: OfRun) -> Runs:
        """Return the child runs of a run, at any depth. Each run comes before its own child runs."""
        await self.store.info(asked.run_id)
        found = (await runs_below(self.store, [asked.run_id])).each(asked.run_id)
        return runs_document(await as_answered(self.store, [*islice(found, _KEPT)]))

    async def run(self, asked: AtStep) -> Run:
        """Return a run as it was after one of its steps, together with the steps just before."""
        info = await self.store.info(asked.run_id)
        seq = min(asked.at or info.seq, info.seq)
        book = await self.books.recent(info, seq)
        head = await self.head(info, book)
        above = [Above(each.id, each.title, each.graph) for each in await runs_above(self.store, info)]
        branches = await load_branches(self.store, book.visits.snapshot) if seq == info.seq else ()
        result = result_fields(book.visits.snapshot, [entry.step for entry in book.visits.entries])
        more: dict[str, Any] = {"branches": branches, "rows": book.rows, "commands": self._commands(info, seq)}
        more["result"] = result
        return Run(**asdict(head), above=above, **more)

    async def head(self, info: RunInfo, book: Book) -> Head:
        """Describe a run, with its current picture and steps, as it was after the last step of the history in `Book`.

        If this is the newest step, answers that wait in the run's inbox are included.
        """
        snapshot = book.visits.snapshot
        is_now = snapshot.seq == info.seq
        snapshot.posted = find_posted(await self.store.inbox([info.id]), info.id) if is_now else {}
        works = await load_at_work(self.store, [info] if is_now else [], {info.id: snapshot})
        facts: dict[str, Any] = head_facts(info, snapshot, works.get(info.id))
        shown, facts["status"] = facts["status"], snapshot.status
        return Head(
            **facts,
            shown=shown,
            title=snapshot.title,
            driver=info.driver,
            starter=None if snapshot.starter is None else snapshot.starter.run_id,
            at=snapshot.seq,
            seq=info.seq,
            began=info.created_at,
            updated_at=info.updated_at,
            took=snapshot.elapsed_seconds,
            fingerprint=info.fingerprint,
            standings=book.standings(),
            version=version_of(info.began_with, info.deploy),
            about=about(snapshot),
            is_chat=bool(snapshot.frames) and is_chat(snapshot.root.values),
        )

    def _commands(self, info: RunInfo, seq: int) -> dict[str, str]:
        """Return command lines to paste that resume or branch the run. They run where the graph's code is."""
        words = {"resume": ["resume"], "branch": ["branch", "--at", str(seq)]}
        return {} if self.command is None else {key: self.command(info, *each) for key, each in words.items()}

    async def rows(self, asked: RowsParameters) -> Sequence[Row]:
        """Return the rows of the trace of a run, at most `MOST_ROWS`: the newest rows, or the rows before a step."""
        info = await self.store.info(asked.run_id)
        end = min(asked.before - 1, info.seq) if asked.before else info.seq
        return (await self.books.book(info)).rows[max(0, end - MOST_ROWS) : end]

    async def moments(self, asked: MomentsParameters) -> Moments:
        """Return the position of a run after each of several steps, and the changes of one field of its state."""
        info = await self.store.info(asked.run_id)
        return await moments(self.store, self.books, info, first=asked.first, limit=asked.limit, field=asked.field)

    async def why_not(self, asked: EdgeParameters) -> Sequence[WhyNot]:
        """Return the reasons why a run did not take some edges of its graph.

        For comparison, the answer contains how often the graph's newest runs took these edges.
        """
        info = await self.store.info(asked.run_id)
        book = await self.books.book(info)
        taken = await self._taken.of((caller().tenant, info.graph), partial(taken_in, self.store, info.graph))
        found = [why_not(book, number, asked.at or info.seq, taken) for number in asked.edge]
        return [each for each in found if each is not None]

    async def usage(self, asked: OfRun) -> SpendingOfRun:
        """Return what a run spent on models, by agent, model and node."""
        info = await self.store.info(asked.run_id)
        book, below = await self.books.book(info), await load_spent_below(self.store, info.id)
        return spending_of_run(info, book.visits.snapshot, [entry.step for entry in book.visits.entries], below)

    async def state(self, asked: AtStep) -> State:
        """Return the state of a run after a step, including the states of inner graphs, arms and items of maps."""
        snapshot = await load_snapshot(self.store, asked.run_id, asked.at or None)
        inner = {frame.id: frame.values for frame in snapshot.frames.values() if frame.id and frame.values}
        return State(state=snapshot.root.values if snapshot.frames else {}, inside=inner)

    async def step_details(self, asked: OfStep) -> StepDetails:
        """Return everything that is recorded about one step of a run.

        This includes what is recorded about the visit to a node to which the step belongs.
        """
        info, seq = await self.store.info(asked.run_id), asked.seq
        book = await self.books.book(info)
        if not 1 <= seq <= len(book.rows):
            raise UnknownStep(
                f"run {info.id} has no step {seq}", where="seq", repair=f"give a number from 1 to {len(book.rows)}"
            )
        entry = book.visits.entries[seq - 1]
        before = await load_snapshot(self.store, info.id, seq - 1) if seq > 1 else Snapshot()
        visit, more = entry.visit, dict[str, Any]()
        if visit is not None:
            scope = book.atlas.scopes.get(visit.track.place)
            agents = (
                scope.nodes[visit.node].get("details", {}) if scope is not None and visit.node in scope.nodes else {}
            )
            more = {
                "attempts": await self._attempts(info, visit),
                "calls": await self._calls(info, visit),
                "agents": agents,
            }
        return StepDetails(
            account=account_of(entry, limit=_ACCOUNT_TEXT, why_limit=_ACCOUNT_TEXT),
            step=step_document(entry.step, entry.edge.why if entry.edge is not None else ""),
            waited=entry.waited,
            tried=_list_tried_edges(entry, book),
            changes=differences(*find_changed_fields(entry, before), most=MOST_PLACES),
            commands=self._commands(info, seq),
            **more,
        )

    async def _calls(self, info: RunInfo, visit: Visit) -> list[Call]:
        """Return the calls whose results were recorded during a visit to a node: model calls and tool calls.

        The result of a model call is the model's response, and comes with the new messages that were sent to the model.
        """
        found: list[Call] = []
        for each in visit.entries:
            if isinstance(each.step.data, Recorded):
                texts = [
                    said for turn in await asked_in(self.store, info, each.step) for said in _list_new_messages(turn)
                ]
                found.append(Call(account_of(each), step_document(each.step), texts))
        return found

    async def _attempts(self, info: RunInfo, visit: Visit) -> list[Attempt]:
        """Return the attempts of a node during one visit, each with the model calls that failed during it."""
        steps = {each.step.seq: each.step for each in visit.entries}
        found: list[Attempt] = []
        for each in visit.attempts:
            asked = await asked_in(self.store, info, steps[each.seq]) if each.seq in steps else ()
            attempt = Attempt(
                number=each.number,
                seq=each.seq,
                took=each.ended - each.began if each.began else None,
                error=failure_document(each.failure) if each.failure is not None else None,
                fallback=each.is_fallback,
                lost=[Lost(one.agent, one.model, _list_new_messages(one)) for one in asked],
            )
            found.append(attempt)
        return found

    async def picture(self, asked: PictureParameters) -> Picture:
        """Return the picture of a graph.

        An inner graph is drawn as one box, unless the request says that its nodes must be visible.
        """
        fingerprint = asked.fingerprint
        is_known = caller().sees_all or fingerprint in self.graphs.values()
        is_known = is_known or await self.store.graph_spec(fingerprint) is not None
        atlas = await self.books.atlas(fingerprint if is_known else "")
        folded = frozenset[str]() if asked.whole else atlas.folded(asked.open, is_tight=asked.fold)
        return await asyncio.to_thread(picture_of, atlas, asked.detail, asked.theme, folded)

    async def compared(self, asked: OfTwo) -> Compared:
        """Return the first step at which two runs differ, and how their states differ."""
        for run_id in (asked.run_id, asked.other):
            await self.store.info(run_id)
        return diff_document(await diff(self.store, asked.run_id, asked.other, most=MOST_PLACES))

    async def compare(self, asked: OfTwo) -> Comparison:
        """Compare two runs: return how they differ, and which nodes and edges of the graph each of them took."""
        found = await self.compared(asked)
        infos = [await self.store.info(run_id) for run_id in (asked.run_id, asked.other)]
        books = [await self.books.book(info) for info in infos]
        heads = [await self.head(info, book) for info, book in zip(infos, books, strict=True)]
        sides = [
            _take_side(book.rows, side.parted_at) for book, side in zip(books, (found.first, found.second), strict=True)
        ]
        first, second = (structs.replace(side, way=side.way[:_MOST_OF_WAY]) for side in (found.first, found.second))
        found = structs.replace(found, first=first, second=second)
        return Comparison(found, heads, sides, books[0].atlas.shape == books[1].atlas.shape)

    async def find(self, asked: FindParameters) -> Sequence[int]:
        """Return the numbers of a run's steps whose record contains a text."""
        book = await self.books.book(await self.store.info(asked.run_id))
        return await asyncio.to_thread(book.find, asked.text)

    async def scores(self, asked: ScoresParameters) -> Chart:
        """Return a chart of how numbers in a run's state changed over time."""
        info = await self.store.info(asked.run_id)
        book = await self.books.book(info)
        least, usual, most = _COLUMNS
        column = min(most, max(least, asked.column or usual))
        return await asyncio.to_thread(book.scores, asked.path or "", column, status_of(info))

    async def export(self, asked: OfRun) -> str:
        """Return a run in the form of the file that `graphengine export` writes."""
        found = await export_run(self.store, asked.run_id)
        return await asyncio.to_thread(to_json_text, found, self.about.version)

    async def story(self, asked: StoryParameters) -> str:
        """Return the story of one or two runs in the form of the page that `graphengine render` writes."""
        from graphengine.render.story import story_of  # noqa: PLC0415 - only this read needs it

        return await story_of(self.store, asked.run_id, asked.other, time.time())

    async def graph(self, asked: OfGraph) -> Graph:
        """Return the newest version of a graph, with the number of times that its newest runs took each edge."""
        name = asked.graph
        newest = await self.store.runs(limit=_UNUSED_RUNS, graph=name)
        if not newest and name not in self.graphs:
            text, repair = f"there is no run of the graph {name!r}", "choose a graph of the page that lists the runs"
            raise GraphNotFound(text, where="graph", repair=repair)
        fingerprint = newest[0].fingerprint if newest else self.graphs[name]
        counted = [info for info in newest if info.fingerprint == fingerprint and info.seq <= _UNUSED_STEPS]
        edges, visits = Counter[int](), Counter[int]()
        for info in counted:
            with suppress(GraphEngineError):
                for row in (await self.books.book(info)).rows:
                    visits.update(row.spots)
                    edges.update(row.edges)
        return Graph(
            fingerprint=fingerprint,
            is_changed=self.graphs.get(name, fingerprint) != fingerprint,
            counted=len(counted),
            edges=edges,
            visits=visits,
            unused=_find_unused_edges(await self.books.atlas(fingerprint), edges) if counted else [],
            runs=runs_document(newest).runs,
            command="" if self.command is None else self.command(None, "check", name),
        )

    async def all_graphs(self, asked: NoParameters) -> Mapping[str, Mapping[str, int]]:
        """Return the graphs that have runs or that can be driven here, with the number of their runs by status."""
        del asked
        found = {name: Counter[str]() for name in self.graphs}
        for each in await self.store.counts(every_seconds=_DAY):
            found.setdefault(each.graph, Counter())[each.status] += each.runs
        for info in await self.store.runs(limit=_KEPT, status="running"):  # as the lists that the numbers lead to do
            if info.graph in found and (status := status_of(info)) != "running":
                found[info.graph].update({"running": -1, status: 1})
        return {name: +counts for name, counts in sorted(found.items())}


def _tally(groups: Iterable[tuple[str, str, float, str]], wanted: Wanted) -> Tally:
    found = [(status, each) for _, status, ended in _find_fitting(groups, wanted) for each in ended]
    return Tally(len(found), sum(is_lossy(status, each.losses if each else ()) for status, each in found))


def _count_fitting(groups: Iterable[tuple[str, str, float, str]], wanted: Wanted) -> Sequence[tuple[float, str, int]]:
    return [(since, status, len(ended)) for since, status, ended in _find_fitting(groups, wanted) if ended]


def _find_fitting(
    groups: Iterable[tuple[str, str, float, str]], wanted: Wanted
) -> Iterator[tuple[float, str, Sequence[Summary | None]]]:
    """Yield the runs that pass all filters of a search, from groups of runs that only passed some of the filters yet.

    Yields:
        When the runs of a group began, their status, and the summary of each run.
    """
    for name, status, since, text in groups:
        found = _ENDED.decode(text)
        if wanted.is_searched:
            _, began_with, deploy, _ = name.split(JOINT)
            found = [each for each in found if wanted.has(status, began_with, deploy, each)]
        yield since, status, found


def last_said(values: Mapping[str, Any]) -> str:
    """Return the last message of the conversation in a state, shortened to one line; "" if there is no conversation."""
    return clipped(one_line(last_message(values, _SAYS)[: 4 * _SAID]), _SAID)


def _take_side(rows: Sequence[Row], parted_at: int | None) -> ComparedRun:
    """Describe one of two compared runs for the page that shows them side by side.

    The description contains the step at which the run begins to differ, and how often it took each node and edge.
    """
    asked = {row.account.agent: row.account.seq for row in rows if row.account.agent}
    visits = Counter(spot for row in rows for spot in row.spots)
    edges = Counter(edge for row in rows for edge in row.edges)
    return ComparedRun(rows[parted_at - 1] if parted_at else None, asked, visits, edges)


def _find_unused_edges(atlas: GraphLayout, taken: Mapping[int, int]) -> list[Unused]:
    return [
        Unused(path_at(place, edge.source), edge.target, edge.label, edge.condition or edge.fork)
        for (place, index), number in atlas.edges.items()
        for edge in [atlas.scopes[place].edges[index]]
        if number not in taken
    ]


def _list_tried_edges(entry: Entry, book: Book) -> list[Tried]:
    """Return the edges whose conditions a run evaluated at a step, each with the result of its condition."""
    edge = entry.edge
    scope = book.atlas.scopes.get(edge.track.place) if edge is not None else None
    if edge is None or scope is None or not edge.source:
        return []
    return [
        Tried(each.edge.target, each.edge.label, each.edge.condition or each.edge.fork, each.why, each.is_taken)
        for each in list_tried_edges(scope, edge)
    ]


def _list_new_messages(turn: TurnRequest) -> list[Said]:
    """Return the messages that were new in a request to a model, without tool results, which are steps of their own."""
    texts = [("system", turn.system)] if not turn.new else []
    texts += [(each.role, each.text) for each in turn.messages[turn.new :] if each.role != "tool"]
    return [Said(role, text) for role, text in texts if text]


__all__ = ["MOST_ROWS", "Views"]
