"""What the doors of a service, and the page, do with a Runner: what the caller may, with the runs that exist for them.

Each call checks the right that it takes and whose run it is, so that no door can leave that out. This is the one way to
start, resume and branch a run for a client, to answer it, to send to it, and to stop it.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import sys
from collections import Counter
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from msgspec import UNSET
from pydantic_core import to_jsonable_python

from graphengine.errors import GraphEngineError, GraphNotFound, InputError, NotPublishedYet, RunExists, UnknownRun
from graphengine.kernel.extension import OwnId, RunFailed, compiled, did_you_mean
from graphengine.kernel.inside import ask_anew, bare, begun_otherwise, lives_of, polled, question_id, send_alone
from graphengine.kernel.reader import graph_spec_of
from graphengine.records.at_work import load_at_work
from graphengine.records.json_document import PublishedValue, run_now_document
from graphengine.records.now import load_now
from graphengine.records.retention import remove
from graphengine.records.selection import Found, find_runs
from graphengine.serve.callers import CallersStore, RequestId, caller, no_run, require, signed_by, starting
from graphengine.serve.read_documents import Bulked, Previewed
from graphengine.serve.requests import Filters, parse_struct, wanted_by

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence

    from graphengine.api.graph import Graph
    from graphengine.api.runner import Runner
    from graphengine.kernel.extension import Event, Plan, Result, Run
    from graphengine.kernel.reader import At, Snapshot, Step
    from graphengine.kernel.store import InboxMessage, RunInfo
    from graphengine.records.json_document import RunNow
    from graphengine.serve.callers import Right
    from graphengine.serve.requests import (
        Answer,
        BranchRequest,
        BulkRequest,
        OfRun,
        PreviewRequest,
        SentMessage,
        StopRequest,
        TagRequest,
    )

_STOP_SECONDS: Final = 2.0
_SHOWN: Final = 5
_RESUMED: Final = re.compile(r"ge:resumed:(\d{1,10}):([0-9a-f]{16})")
"""The tags of a run that say which requests to resume it were taken up: the seq before, and a digest of the key."""
_KEPT: Final = 8
"""So many resumes of a run can be sent again."""


class CallersRunner:
    """A Runner, as the caller may use it.

    Every call raises `NotAllowed` to a caller without the right, whether there is such a run or not, and then
    `UnknownRun` if there is none for the caller. A call that takes a run takes its id, or its row: who has read that
    need not read it again.

    Attributes:
        store: The reads of its store.

    Args:
        runner: The Runner.
        graphs: The graphs whose runs can be driven, by name.
        drives: Whether a run may be driven here, and not only by workers elsewhere.
        sees: The graphs whose runs there are; None for all.
        through: Where answers come from, as it is recorded.
        begun: Called with a run that was started, resumed or branched here: it returns once the first step is durable,
            or raises why that was refused. By default the run is left to a worker.
        look: Called when something was made due, for a worker of this process.
        queue: The queue in which runs are started, unless the caller names one; None to start them here.
    """

    def __init__(  # noqa: PLR0913 - what differs between a service and a page
        self,
        runner: Runner,
        graphs: Mapping[str, Graph[Any]],
        *,
        drives: bool = False,
        sees: Collection[str] | None = None,
        through: str = "http",
        begun: Callable[[Run[Any]], Awaitable[None]] | None = None,
        look: Callable[[], None] = lambda: None,
        queue: str | None = None,
    ) -> None:
        self.store = CallersStore.of(runner.store)
        self._runner = runner
        self._graphs = graphs
        self._drives = drives
        self._sees = sees
        self._through = through
        self._begun = begun
        self._look = look
        self._queue = queue
        self._stops = set[asyncio.Task[None]]()
        self._resuming = WeakValueDictionary[str, asyncio.Lock]()

    async def info(self, run: str | RunInfo, right: Right = "read") -> RunInfo:
        """Return the row of a run."""
        require(right)
        with suppress(UnknownRun):
            info = await self._runner.info(run) if isinstance(run, str) else run
            if (self._sees is None or info.graph in self._sees) and caller().sees(info.tenant):
                return info
        raise no_run(run if isinstance(run, str) else run.id, self._sees)

    async def runs(
        self,
        *,
        graph: str | None = None,
        tag: str | None = None,
        status: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> Sequence[RunInfo]:
        """Return the newest runs, as `Runner.runs`."""
        tenant = require("read").tenant
        if before is not None:
            await self.info(before)
        found = await self._runner.runs(status=status, graph=graph, tag=tag, tenant=tenant, before=before, limit=limit)
        return [info for info in found if self._sees is None or info.graph in self._sees]

    async def history(self, run_id: str | RunInfo, *, after: int | str = 0, limit: int | None = None) -> Sequence[Step]:
        """Return the steps of a run."""
        info = await self.info(run_id)
        return await self._runner.history(info.id, after=info.seq_in(after), limit=limit)

    async def inbox(self, run: str | RunInfo) -> Sequence[InboxMessage]:
        """Return the messages to a run that it has not taken up."""
        info = await self.info(run)
        return await self._runner.store.inbox([info.id])

    async def state_at(self, run_id: str, at: At | None = None) -> Mapping[str, Any]:
        """Return the state of a run."""
        await self.info(run_id)
        return await self._runner.state_at(run_id, at)

    async def watch(
        self, run: str | RunInfo, *, after: int | str = 0, wait_out: bool = True, live: bool = True
    ) -> AsyncGenerator[Event, None]:
        """Yield the events of a run."""
        info = await self.info(run)
        after = info.seq_in(after)
        events = self._runner.watch(info.id, self._graphs[info.graph], after=after, wait_out=wait_out, live=live)
        async with aclosing(events):
            async for event in events:
                yield event

    def lives(self, run_id: str) -> bool:
        """Return whether a run is alive in this process, so that it has live events."""
        return lives_of(self._runner).of(run_id) is not None

    async def changes(self, run: str | RunInfo, after: int) -> AsyncGenerator[tuple[RunInfo, Sequence[Step]], None]:
        """Yield the row of a run and its steps after a seq, at once and then whenever it changes."""
        changes = polled(self._runner.store, await self.info(run), after, wants_posted=False)
        async with aclosing(changes) as found:
            async for row, steps, _ in found:
                yield row, steps

    async def published(
        self, run: str | RunInfo, name: str, *, after: int | str, item: str | None, timeout_seconds: float
    ) -> PublishedValue | None:
        """Return the newest value of a name; None if it is not published in time and the run goes on."""
        info = await self.info(run)
        after = info.cursor_at(info.seq_in(after))
        try:
            found = await self._runner.get(info.id).published(
                name, after=after, item=item, timeout_seconds=timeout_seconds
            )
        except NotPublishedYet:
            return None
        rest = found.seq, found.at, found.path, found.item, found.cursor
        return PublishedValue(info.id, found.name, bare(found.value), *rest)

    async def answer(self, run_id: str, value: object, *, wait: str, by: str = "", reason: str = "") -> None:
        """Answer a question of a run, by its id; a user does so in their own name."""
        info = await self.info(run_id, "answer")
        by = signed_by(by)
        if self._drives and info.graph in self._graphs:
            await ask_anew(self._runner, run_id, self._graphs[info.graph], wait)
        await self._runner.answer(  # a worker drives it on
            run_id, value, wait=wait, by=by, through=self._through, reason=reason
        )

    async def send_alone(self, run: str | RunInfo, topic: str, payload: object, *, key: str, alone: str) -> bool:
        """Send a message to a run, unless one has come whose key begins with `alone`; return whether it is new."""
        info = await self.info(run, "answer")
        return await send_alone(self._runner.get(info.id), topic, payload, key, alone)

    async def send(
        self, run: str | RunInfo, topic: str, payload: object, *, idempotency_key: str | None = None
    ) -> None:
        """Send a message to a run."""
        info = await self.info(run, "answer")
        await self._runner.send(info.id, topic, payload, idempotency_key=idempotency_key)

    async def revive(self, run_id: str) -> None:
        """Resume a run that failed or was stopped, if this process drives runs: workers leave it alone."""
        info = await self.info(run_id, "answer")
        if self._drives:
            await self._runner.drive(run_id, self._graphs[info.graph])

    async def note(self, run: str | RunInfo, add: Sequence[str], remove: Sequence[str]) -> None:
        """Note in the tags of a run what was said to it."""
        info = await self.info(run, "answer")
        await self._runner.store.tag(info.id, add, remove)

    async def stop(self, run_id: str, why: str, *, now: bool = False, final: bool = False) -> None:
        """Stop a run."""
        await self.info(run_id, "operate")
        await self._runner.stop(run_id, why, now=now, final=final)

    async def remove(self, run_id: str) -> str:
        """Remove a run with everything that is recorded of it; return why it is kept, or "" if it is removed."""
        info, kept = await self.info(run_id, "operate"), dict[str, str]()
        await remove(self._runner.store, {info.id: info}, kept, dry_run=False)
        return kept.get(info.id, "")

    def graph_of(self, name: str) -> Graph[Any]:
        """Return a graph whose runs can be driven. Raises: GraphNotFound."""
        if name not in self._graphs:
            near = did_you_mean(name, self._graphs)
            repair = f"give its file to `graphengine inspect --drive --graph FILE`; {near}" if self._begun else near
            raise GraphNotFound(f"this server has no graph {name!r}", where=f"graph {name!r}", repair=repair)
        return self._graphs[name]

    async def result_under(self, graph: Graph[Any], snapshot: Snapshot) -> Result[Any]:
        """Return the result of a recorded run, with its state as the graph has it today; see `Result.is_migrated`."""
        return await lives_of(self._runner).result_under(compiled(graph), snapshot)

    async def now(self, run: str | RunInfo) -> RunNow | Mapping[str, str]:
        """Return a run as it is now; but its id to a caller who may not read it. The row must just have been read."""
        if not caller().may("read"):
            return {"run_id": run if isinstance(run, str) else run.id}
        info = await self.info(run)
        snapshot = await load_now(self.store, info.id)
        graph, output = self._graphs.get(info.graph), UNSET
        if graph is not None and graph.result is not None and snapshot.status == "finished":
            result = await self.result_under(graph, snapshot)
            if result.is_migrated:
                output = to_jsonable_python(result.output, by_alias=False, fallback=str)
        works = await load_at_work(self.store, [info], {info.id: snapshot})
        spec = await graph_spec_of(self.store, snapshot.fingerprint)
        return run_now_document(info, snapshot, works.get(info.id), output, spec)

    async def begin(
        self,
        graph: Graph[Any],
        state: Mapping[str, Any],
        run_id: str | None,
        *,
        queue: str | None = None,
        tags: Sequence[str] = (),
        **place: Any,  # noqa: ANN401 - options of `Runner.start`
    ) -> tuple[str, bool]:
        """Start a run, unless it exists with this id, graph and state; return its id, and whether it is new.

        It is for the tenant of the caller and in their name. The id is one of the caller's: `own_id`, or `derived_id`.
        A run of another tenant is not the same, nor is one of another user, if the id is a `RequestId`.

        Raises:
            NotAllowed: It would be for another tenant, or go before the runs of others.
            InputError: The state does not fit, the id cannot be one, or it would be in another user's name.
            RunExists: It was started with another graph or state, or is another's.
        """
        goes_before = queue is not None or bool(place.get("priority"))
        place |= starting(place.get("tenant"), place.get("user"), goes_before=goes_before)
        queue = queue or self._queue
        place |= {"queue": queue, "tags": tags, "run_id": None if run_id is None else OwnId(run_id)}
        run = self._runner.start(graph, state, **place)
        try:
            if self._begun is None or queue is not None:
                await run.result()  # once it is recorded: a worker drives it
                self._look()
            else:
                await self._begun(run)
        except RunExists as error:
            found = next(iter(await self.store.infos([run.id])), None)
            what, repair = "graph or input", "send the input that it was started with, or use another key or run_id"
            if found is not None and found.tenant != place["tenant"]:
                what, repair = "tenant", "use another key or run_id"
            elif found is not None and isinstance(run_id, RequestId) and found.user != place["user"]:
                what, repair = "user", "use another key: a request is sent again by the user who sent it"
            elif found is not None and await self._is_same(found, graph, state):
                return run.id, False
            text = f"run {run.id} was started with another {what}"
            raise RunExists(text, where=f"run {run.id}", repair=repair) from error
        return run.id, True

    async def _is_same(self, found: RunInfo, graph: Graph[Any], state: Mapping[str, Any]) -> bool:
        """Return whether a run was started as this one would be. Generated defaults, such as a time, do not count."""
        plan: Plan[Any] = graph.compile()
        if found.graph != plan.graph:
            return False
        return not await begun_otherwise(self.store, found.id, plan, plan.state.initial(state, f"run {found.id}"))

    async def _let_begin(self, run: Run[Any]) -> None:
        """Let a run that is resumed or branched off be driven here, or leave it to a worker once that is recorded."""
        if self._begun is not None:
            await self._begun(run)
            return
        await self._runner.release(run.id)  # and no node begins here
        with suppress(RunFailed):
            await run.result()
        self._look()

    # --- what requests ask: each with the key that is the same when it is sent again ---------------------------------

    async def answer_asked(self, asked: Answer, key: str | None) -> str:
        """Answer a question of a run, which the page then drives on if it drives runs of the graph; return the run."""
        del key
        by, reason = asked.by or "", asked.reason or ""
        await self.answer(asked.run_id, asked.value, wait=question_id(asked.id), by=by, reason=reason)
        info = await self.info(asked.run_id, "answer")
        if self._begun is not None and info.graph in self._graphs:
            with suppress(GraphEngineError):  # it is driven already, here or elsewhere
                await self._begun(self._runner.resume(info.id, self._graphs[info.graph], user=caller().name or None))
        return asked.run_id

    async def send_asked(self, asked: SentMessage, key: str | None) -> str:
        """Send a message to a run; return the run."""
        await self.send(asked.run_id, asked.topic, asked.payload, idempotency_key=key)
        return asked.run_id

    async def stop_run_asked(self, asked: StopRequest, key: str | None) -> str:
        """Stop a run at its next safe point, or at once; return the run.

        A run that is driven here has been asked at once, and stops after its nodes in flight, when this has returned.
        Any other stop is work in the database.
        """
        del key
        info = await self.info(asked.run_id, "operate")
        why, now, final = asked.why or "asked", bool(asked.now), bool(asked.final)
        stopping = asyncio.create_task(self._runner.stop(info.id, why, now=now, final=final))
        self._stops.add(stopping)
        stopping.add_done_callback(self._stops.discard)
        seconds = _STOP_SECONDS if info.id in lives_of(self._runner).shared.driven else None
        await asyncio.wait([stopping], timeout=seconds)
        if stopping.done():
            stopping.result()
        return info.id

    async def tag_asked(self, asked: TagRequest, key: str | None) -> str:
        """Add and remove tags of a run; return the run."""
        del key
        info = await self.info(asked.run_id, "operate")
        await self._runner.tag(info.id, add=asked.add, remove=asked.remove)
        return info.id

    async def resume_asked(self, asked: OfRun, key: str | None) -> str:
        """Resume a run; one that failed is retried. Return the run.

        A tag has the key and the seq before: if the run has a further step, what was sent before was done.
        """
        info = await self.info(asked.run_id, "operate")
        graph, lock = self.graph_of(info.graph), self._resuming.setdefault(info.id, asyncio.Lock())
        async with lock:
            if key is not None and await self._was_resumed(info.id, key):
                return info.id
            await self._let_begin(self._runner.resume(info.id, graph, user=caller().name or None))
        return info.id

    async def _was_resumed(self, run_id: str, key: str) -> bool:
        """Return whether the run was resumed for a key; if not, note that it now is."""
        info = await self.info(run_id, "operate")
        name = hashlib.sha256(f"{caller().name}\0{key}".encode()).hexdigest()[:16]
        noted = {tag: (int(found[1]), found[2]) for tag in info.tags if (found := _RESUMED.fullmatch(tag)) is not None}
        for seq, other in noted.values():
            if other == name:
                return info.seq > seq
        old = sorted(noted, key=lambda tag: noted[tag])[: max(len(noted) + 1 - _KEPT, 0)]
        await self._runner.store.tag(info.id, [f"ge:resumed:{info.seq}:{name}"], old)
        return False

    async def branch_asked(self, asked: BranchRequest, key: str | None) -> str:
        """Branch a run at a step, with updated fields; return the branch. The key is a part of its id.

        Raises:
            RunExists: There is another run with its id.
        """
        from graphengine.serve.branching import begins_alike  # noqa: PLC0415 - only a branch needs it

        info, who = await self.info(asked.run_id, "operate"), caller()
        graph = self.graph_of(info.graph)
        if asked.child is not None and key is not None:
            repair = "leave one out: a child alone is enough to branch once"
            raise InputError("both child and Idempotency-Key are given", where="child", repair=repair)
        run_id = None if asked.child is None else who.own_id(asked.child)
        run_id = RequestId(who.derived_id("branch", info.id, key)) if key is not None else run_id
        self._check_step(info, asked)
        run = self._runner.branch(
            info.id,
            graph,
            asked.at,
            update=asked.update,
            path=asked.path if asked.update else None,
            run_id=None if run_id is None else OwnId(run_id),
            tags=asked.tags,
            instructions=asked.instructions,
            user=who.name or None,
        )
        try:
            await self._let_begin(run)
        except RunExists:
            found = next(iter(await self.store.infos([run.id])), None)
            if found is None or (key is not None and found.user != (who.name or None)):
                raise
            if not await begins_alike(self._runner.store, graph, asked, found):
                text, repair = (
                    f"run {run.id} was started with another input",
                    "send the input that it was started with, or use another key or child",
                )
                raise RunExists(text, where=f"run {run.id}", repair=repair) from None
        return run.id

    async def preview(self, asked: PreviewRequest) -> Previewed:
        """Return what a branch would change. Nothing is recorded, and nothing runs."""
        from graphengine.serve.branching import preview  # noqa: PLC0415 - only a branch needs it

        info = await self.info(asked.run_id, "operate")
        self._check_step(info, asked)
        return await preview(self._runner.store, self.graph_of(info.graph), asked)

    def _check_step(self, info: RunInfo, asked: PreviewRequest) -> None:
        if asked.at > info.seq:
            text = f"at must be a step of the run, 1 to {info.seq}"
            raise InputError(text, where="at", repair=f"graphengine show {info.id} has its steps")

    async def bulk(self, asked: BulkRequest) -> Bulked:
        """Do something to the runs with these ids, or to all that are found; a dry run shows to which it would be done.

        What was done counts, with some titles; so do those that were left out because of what they are, and those that
        could not be changed, by the reason. `cost_usd` is what the runs cost so far.
        """
        from graphengine.records.bulk import Order, bulk  # noqa: PLC0415 - the page opens without it

        require("operate")
        reader = CallersStore.of(self._runner.store, self._sees)
        if (asked.where is None) == (asked.ids is None):
            repair = "give ids, or where with the parameters of a list of runs; {} finds all"
            raise InputError(
                "the request must select runs either by ids or by where", where="body, where", repair=repair
            )
        if asked.where is not None:
            wanted = wanted_by(parse_struct(asked.where, Filters, "filter"))
            seen = await find_runs(reader, replace(wanted, limit=sys.maxsize))
        else:
            seen = Found(await reader.infos(asked.ids or []))
        chosen = seen.runs
        order = Order(asked.action, None, [*self._graphs.values()], asked.tag, asked.why or "asked")
        done = await bulk(self._runner, order, chosen, dry_run=asked.dry_run)
        self._look()
        infos = {info.id: info for info in chosen}
        changed = [infos[run_id] for run_id in done.runs if run_id in infos]
        return Bulked(
            found=len(chosen),
            runs=len(done.runs),
            titles=[info.title or info.id for info in changed[:_SHOWN]],
            refused=Counter(done.refused.values()),
            cost_usd=sum((info.summary.cost_usd or 0.0) if info.summary else 0.0 for info in changed),
            run_ids=done.runs,
            looked_at=seen.looked_at,
            unseen=seen.unseen,
        )


__all__ = ["CallersRunner"]
