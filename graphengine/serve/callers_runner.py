"""The actions of servers on runs, limited to what the current caller may do and to the runs that the caller can see.

Every action checks the caller's right and the tenant of the run, so no endpoint can forget these checks. The HTTP
service, its doors and the page start, resume, branch, answer, message and stop runs only through `CallersRunner`.
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
"""The tag that records a request to resume the run: the run's last step before, and a digest of the request's key."""
_KEPT: Final = 8
"""The number of requests to resume a run that are recorded, so that they can be repeated without a second resume."""


class CallersRunner:
    """A Runner that is limited to the rights of the current caller and to the runs that the caller can see.

    Every method raises `NotAllowed` if the caller lacks the right, even if the run does not exist. After that, the
    method raises `UnknownRun` if the run does not exist or the caller cannot see it. Methods with a parameter `run`
    accept the id of the run, or its entry in the store (`RunInfo`) if the caller of the method has already read the
    entry.

    Attributes:
        store: The store of the Runner, limited to the caller's runs.

    Args:
        runner: The Runner.
        graphs: The graphs whose runs can be driven, by name.
        drives: Whether this process may drive runs, and not only workers elsewhere.
        sees: Only runs of these graphs are visible; None for all graphs.
        through: The name of the server that is recorded with each answer, such as `http`.
        begun: Called with each run that was started, resumed or branched. It drives the run in this process, and
            returns when the first step is durable, or raises the reason why the run cannot begin. By default, a worker
            drives the run.
        look: Called when a worker in this process may find new work.
        queue: The queue in which runs are started, unless the request names one; None to start them in this process.
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
        """Return a run's entry in the store, after checking that the caller has the right and can see the run."""
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
        """Return the newest runs that the caller can see.

        The arguments filter the list, and have the same meaning as those of `Runner.runs`.
        """
        tenant = require("read").tenant
        if before is not None:
            await self.info(before)
        found = await self._runner.runs(status=status, graph=graph, tag=tag, tenant=tenant, before=before, limit=limit)
        return [info for info in found if self._sees is None or info.graph in self._sees]

    async def history(self, run_id: str | RunInfo, *, after: int | str = 0, limit: int | None = None) -> Sequence[Step]:
        """Return the steps of a run after the step `after`, at most `limit` of them."""
        info = await self.info(run_id)
        return await self._runner.history(info.id, after=info.seq_in(after), limit=limit)

    async def inbox(self, run: str | RunInfo) -> Sequence[InboxMessage]:
        """Return the messages to a run that the run has not received yet."""
        info = await self.info(run)
        return await self._runner.store.inbox([info.id])

    async def state_at(self, run_id: str, at: At | None = None) -> Mapping[str, Any]:
        """Return the state of a run after a step; after the last step if `at` is None."""
        await self.info(run_id)
        return await self._runner.state_at(run_id, at)

    async def watch(
        self, run: str | RunInfo, *, after: int | str = 0, wait_out: bool = True, live: bool = True
    ) -> AsyncGenerator[Event, None]:
        """Yield a run's recorded steps after the step `after` (number or cursor), then its events as they happen."""
        info = await self.info(run)
        after = info.seq_in(after)
        events = self._runner.watch(info.id, self._graphs[info.graph], after=after, wait_out=wait_out, live=live)
        async with aclosing(events):
            async for event in events:
                yield event

    def lives(self, run_id: str) -> bool:
        """Return whether this process drives a run. Only then can the run's live events be watched here."""
        return lives_of(self._runner).of(run_id) is not None

    async def changes(self, run: str | RunInfo, after: int) -> AsyncGenerator[tuple[RunInfo, Sequence[Step]], None]:
        """Yield a run's entry in the store and its new steps, once at the beginning and then after each change.

        Args:
            run: The id of the run, or its entry in the store.
            after: The number of the last step that the caller already has.
        """
        changes = polled(self._runner.store, await self.info(run), after, wants_posted=False)
        async with aclosing(changes) as found:
            async for row, steps, _ in found:
                yield row, steps

    async def published(
        self, run: str | RunInfo, name: str, *, after: int | str, item: str | None, timeout_seconds: float
    ) -> PublishedValue | None:
        """Wait until a run has published a new value under a name, and return the value.

        The result is None if no value that is newer than `after`, the number or the cursor of a step, is published
        before the timeout.
        """
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
        """Answer an open question of a run, and record who has answered.

        If the caller is a user, the answer is recorded with the user's own name.
        """
        info = await self.info(run_id, "answer")
        by = signed_by(by)
        if self._drives and info.graph in self._graphs:
            await ask_anew(self._runner, run_id, self._graphs[info.graph], wait)
        await self._runner.answer(  # a worker drives it on
            run_id, value, wait=wait, by=by, through=self._through, reason=reason
        )

    async def send_alone(self, run: str | RunInfo, topic: str, payload: object, *, key: str, alone: str) -> bool:
        """Send a message to a run, unless the run already has a message whose key begins with the text `alone`.

        This resolves a conflict between two requests that continue a conversation at the same turn: both pass the same
        text `alone`, and only the message of the first request is sent.

        Returns:
            Whether the message was sent.
        """
        info = await self.info(run, "answer")
        return await send_alone(self._runner.get(info.id), topic, payload, key, alone)

    async def send(
        self, run: str | RunInfo, topic: str, payload: object, *, idempotency_key: str | None = None
    ) -> None:
        info = await self.info(run, "answer")
        await self._runner.send(info.id, topic, payload, idempotency_key=idempotency_key)

    async def revive(self, run_id: str) -> None:
        """Resume a failed or stopped run in this process.

        A message to such a run would otherwise have no effect, because workers do not resume failed or stopped runs by
        themselves. The method does nothing if this process does not drive runs.
        """
        info = await self.info(run_id, "answer")
        if self._drives:
            await self._runner.drive(run_id, self._graphs[info.graph])

    async def note(self, run: str | RunInfo, add: Sequence[str], remove: Sequence[str]) -> None:
        """Add and remove tags of a run that record which messages of a conversation it received."""
        info = await self.info(run, "answer")
        await self._runner.store.tag(info.id, add, remove)

    async def stop(self, run_id: str, why: str, *, now: bool = False, final: bool = False) -> None:
        """Stop a run. With `now`, nodes in flight are cancelled; with `final`, the run ends as cancelled for good."""
        await self.info(run_id, "operate")
        await self._runner.stop(run_id, why, now=now, final=final)

    async def remove(self, run_id: str) -> str:
        """Remove a run and all its records; return the reason if the run must be kept, otherwise ""."""
        info, kept = await self.info(run_id, "operate"), dict[str, str]()
        await remove(self._runner.store, {info.id: info}, kept, dry_run=False)
        return kept.get(info.id, "")

    def graph_of(self, name: str) -> Graph[Any]:
        """Return a graph by its name, to start or resume a run of this graph.

        Raises:
            GraphNotFound: The server has no graph with this name.
        """
        if name not in self._graphs:
            near = did_you_mean(name, self._graphs)
            file = "name the graph's file in `graphengine inspect --drive --graph FILE`"
            repair = f"{file}; {near}" if self._begun else near
            raise GraphNotFound(f"this server has no graph {name!r}", where=f"graph {name!r}", repair=repair)
        return self._graphs[name]

    async def result_under(self, graph: Graph[Any], snapshot: Snapshot) -> Result[Any]:
        """Return the result of a recorded run in the form that the current version of the run's graph declares.

        If the run was recorded by an earlier version, its state is converted first: see `Result.is_migrated`.
        """
        return await lives_of(self._runner).result_under(compiled(graph), snapshot)

    async def now(self, run: str | RunInfo) -> RunNow | Mapping[str, str]:
        """Return the document that describes a run and its current state.

        A caller who may not read runs gets only the run's id, such as in the answer to a request that started a run.

        Args:
            run: The id of the run, or its entry in the store if the calling method has just read the entry.
        """
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
        """Start a run for the caller, or return the existing run if the same request has already started it.

        An existing run counts as started by the same request if its id, graph, state and tenant are equal. If the id is
        a `RequestId`, the user must be the same, too. The id must already contain the caller's tenant: use
        `Caller.own_id` or `Caller.derived_id`.

        Returns:
            The id of the run, and whether the run is new.

        Raises:
            NotAllowed: The caller may not start runs for this tenant, or not with this queue or priority.
            InputError: The state does not fit the graph, the id is not valid, or the request names another user.
            RunExists: The id belongs to a run with another graph, state, tenant or user.
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
            what, repair = "graph or input", "send the input with which the run was started, or another key or run_id"
            if found is not None and found.tenant != place["tenant"]:
                what, repair = "tenant", "send the same tenant, or another key or run_id"
            elif found is not None and isinstance(run_id, RequestId) and found.user != place["user"]:
                what, repair = "user", "use another key, because only the user who sent a request can send it again"
            elif found is not None and await self._is_same(found, graph, state):
                return run.id, False
            text = f"the run {run.id} exists already, and was started with another {what}"
            raise RunExists(text, where=f"run {run.id}", repair=repair) from error
        return run.id, True

    async def _is_same(self, found: RunInfo, graph: Graph[Any], state: Mapping[str, Any]) -> bool:
        """Return whether a request to start a run would start the same run that is already recorded.

        This is the case if the graph and the initial state are equal. Values that are generated at the start, such as
        the current time, may differ.
        """
        plan: Plan[Any] = graph.compile()
        if found.graph != plan.graph:
            return False
        return not await begun_otherwise(self.store, found.id, plan, plan.state.initial(state, f"run {found.id}"))

    async def _let_begin(self, run: Run[Any]) -> None:
        """Make sure that a run which was just resumed or branched is driven, by this process or by a worker.

        If a worker drives the run, this method returns once the run's first step is recorded.
        """
        if self._begun is not None:
            await self._begun(run)
            return
        await self._runner.release(run.id)  # and no node begins here
        with suppress(RunFailed):
            await run.result()
        self._look()

    # --- what requests ask: each with the key that is the same when it is sent again ---------------------------------

    async def answer_asked(self, asked: Answer, key: str | None) -> str:
        """Record the answer that a request gives to a question of a run, and return the id of the run.

        If this server drives runs of the graph, it resumes the run. Otherwise a worker does.
        """
        del key
        by, reason = asked.by or "", asked.reason or ""
        await self.answer(asked.run_id, asked.value, wait=question_id(asked.id), by=by, reason=reason)
        info = await self.info(asked.run_id, "answer")
        if self._begun is not None and info.graph in self._graphs:
            with suppress(GraphEngineError):  # it is driven already, here or elsewhere
                await self._begun(self._runner.resume(info.id, self._graphs[info.graph], user=caller().name or None))
        return asked.run_id

    async def send_asked(self, asked: SentMessage, key: str | None) -> str:
        """Send a message to a run as a client requested, and return the id of the run."""
        await self.send(asked.run_id, asked.topic, asked.payload, idempotency_key=key)
        return asked.run_id

    async def stop_run_asked(self, asked: StopRequest, key: str | None) -> str:
        """Fulfil a request to stop a run, at its next safe point or at once, and return the id of the run.

        If this process drives the run, this method waits at most two seconds, because the run only stops when its
        running nodes have ended. Otherwise the stop is recorded in the database before the method returns.
        """
        del key
        info = await self.info(asked.run_id, "operate")
        why, now, final = asked.why or _asked_by(), bool(asked.now), bool(asked.final)
        stopping = asyncio.create_task(self._runner.stop(info.id, why, now=now, final=final))
        self._stops.add(stopping)
        stopping.add_done_callback(self._stops.discard)
        seconds = _STOP_SECONDS if info.id in lives_of(self._runner).shared.driven else None
        await asyncio.wait([stopping], timeout=seconds)
        if stopping.done():
            stopping.result()
        return info.id

    async def tag_asked(self, asked: TagRequest, key: str | None) -> str:
        """Add tags to a run and remove tags from it, as a request asks for, and return the id of the run."""
        del key
        info = await self.info(asked.run_id, "operate")
        await self._runner.tag(info.id, add=asked.add, remove=asked.remove)
        return info.id

    async def resume_asked(self, asked: OfRun, key: str | None) -> str:
        """Fulfil a request to resume a run, and return the id of the run. A failed run retries its failed nodes.

        Repeating the request with the same key does not resume the run twice. A tag of the run contains a digest of the
        key and the run's last step at that time. If the run has a later step, the request was already fulfilled.
        """
        info = await self.info(asked.run_id, "operate")
        graph, lock = self.graph_of(info.graph), self._resuming.setdefault(info.id, asyncio.Lock())
        async with lock:
            if key is not None and await self._was_resumed(info.id, key):
                return info.id
            await self._let_begin(self._runner.resume(info.id, graph, user=caller().name or None))
        return info.id

    async def _was_resumed(self, run_id: str, key: str) -> bool:
        """Return whether a request with this key has already resumed the run, so that a repeated request has no effect.

        If the key is new, it is recorded in a tag of the run, together with the number of the run's last step. A key
        counts as used only when the run has a later step.
        """
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
        """Branch a run at a step as a client requested, and return the id of the branch.

        A request that is repeated with the same key finds the same branch, because the branch's id is derived from the
        key.

        Raises:
            RunExists: Another run has the id of the branch.
        """
        from graphengine.serve.branching import begins_alike  # noqa: PLC0415 - only a branch needs it

        info, who = await self.info(asked.run_id, "operate"), caller()
        graph = self.graph_of(info.graph)
        if asked.child is not None and key is not None:
            repair = "leave out one of the two: child alone is enough to create the branch only once"
            raise InputError("the request has both child and Idempotency-Key", where="child", repair=repair)
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
                    f"the run {run.id} exists already, and was started with another input",
                    "send the input with which the run was started, or another key or child",
                )
                raise RunExists(text, where=f"run {run.id}", repair=repair) from None
        return run.id

    async def preview(self, asked: PreviewRequest) -> Previewed:
        """Return the changes that a planned branch would make to the state of its run.

        Nothing is recorded, and no node runs.
        """
        from graphengine.serve.branching import preview  # noqa: PLC0415 - only a branch needs it

        info = await self.info(asked.run_id, "operate")
        self._check_step(info, asked)
        return await preview(self._runner.store, self.graph_of(info.graph), asked)

    def _check_step(self, info: RunInfo, asked: PreviewRequest) -> None:
        if asked.at > info.seq:
            text = f"'at' must be the number of a step of the run, from 1 to {info.seq}"
            raise InputError(text, where="at", repair=f"list the steps with `graphengine show {info.id}`")

    async def bulk(self, asked: BulkRequest) -> Bulked:
        """Apply one action, such as stop or tag, to many runs, selected by their ids or by a search.

        With `dry_run`, nothing is changed, and the result shows what would be changed. The result counts the changed
        runs and shows some of their titles. It also counts the runs that could not be changed, by the reason.
        """
        from graphengine.records.bulk import Order, bulk  # noqa: PLC0415 - the page opens without it

        require("operate")
        reader = CallersStore.of(self._runner.store, self._sees)
        if (asked.where is None) == (asked.ids is None):
            repair = "send 'ids', or 'where' with the parameters of GET /runs; an empty object {} selects all runs"
            raise InputError(
                "the request must select runs either by 'ids' or by 'where'", where="body, where", repair=repair
            )
        if asked.where is not None:
            wanted = wanted_by(parse_struct(asked.where, Filters, "filter"))
            selected = await find_runs(reader, replace(wanted, limit=sys.maxsize))
        else:
            selected = Found(await reader.infos(asked.ids or []))
        chosen = selected.runs
        order = Order(asked.action, None, [*self._graphs.values()], asked.tag, asked.why or _asked_by())
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
            looked_at=selected.looked_at,
            unseen=selected.unseen,
        )


def _asked_by() -> str:
    """Return the reason that is recorded for a stop without a reason: "asked", and by whom if the caller has a name."""
    return f"asked by {name}" if (name := caller().name) else "asked"


__all__ = ["CallersRunner"]
