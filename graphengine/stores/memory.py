"""`InMemoryStore`: a store whose runs end with the process.

Steps are kept as objects, so recording a step takes only a look-up, a check and an append to a list. A snapshot is made
only when a run is released, because only then can the run be loaded again. There is no lease and no second process. In
everything else the store behaves like a store on disk.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections import Counter
from functools import cached_property
from math import inf
from operator import itemgetter
from typing import TYPE_CHECKING

from msgspec.structs import replace

from graphengine.engine.step_json import as_stored, encode_step
from graphengine.engine.steps import Branched, is_removed, strip_removed
from graphengine.errors import RunIsDriven
from graphengine.stores.base import (
    MIN_ROWS,
    PAGE_LIMIT,
    ClaimedRun,
    Count,
    EndedRun,
    InboxMessage,
    Loaded,
    OwnerInfo,
    QueueCount,
    RunInfo,
    StopOver,
    Summary,
    check_page,
)
from graphengine.stores.dispatch import Candidate, Load, choose
from graphengine.stores.refusals import (
    lease_lost,
    not_dense,
    not_open,
    reason_to_stay,
    run_exists,
    step_removed,
    tree_stopped,
    unknown_run,
    unknown_step,
)
from graphengine.stores.words import has_all, input_text, sought_words

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from typing_extensions import Unpack

    from graphengine.engine.graph_spec import GraphSpec
    from graphengine.engine.steps import Step
    from graphengine.state.json_values import JsonValue
    from graphengine.stores.base import (
        Append,
        ClaimQuery,
        Code,
        Page,
        QueueLimits,
        Sort,
        Status,
        StopMark,
        StoredSchedule,
    )


class _Log:
    """A run in memory: the facts about the run, its log of steps, and its messages.

    The log of a branch contains only the branch's own steps. The steps before are in `parent`.

    Attributes:
        driver_fence: The fence while a process drives the run, otherwise None.
        freed_at: When the run was last released.
        inbox: The undelivered messages by number, oldest first, each with the time when it was posted.
        keys: The keys of all messages ever posted, with their numbers.
        taken: The step at which each consumed message was delivered, by the message's number.
        shots: The snapshots as (seq, JSON), oldest first.
        earlier: The fingerprints of the graph before resumes changed the graph.
        codes: The ids of all code that the run has had.
        branches: How many existing runs were branched from this one.
    """

    __slots__ = (
        "branches",
        "codes",
        "driver_fence",
        "due_at",
        "earlier",
        "fence",
        "fingerprint",
        "freed_at",
        "inbox",
        "info",
        "keys",
        "next_seq",
        "parent",
        "shots",
        "status",
        "steps",
        "stop_asked",
        "summary",
        "tags",
        "taken",
        "turn",
    )

    def __init__(self, info: RunInfo, parent: _Log | None, steps: Sequence[Step]) -> None:
        self.info = info if info.began_with else replace(info, began_with=info.fingerprint)
        self.parent = parent
        self.steps = list(steps)
        self.next_seq = info.parent_seq + len(steps) + 1
        self.status: Status = info.status
        self.fingerprint = info.fingerprint
        self.due_at = info.due_at if info.status == "waiting" else None
        self.fence = 0 if info.queued else 1
        self.driver_fence: int | None = None if info.queued else 1
        self.freed_at = info.created_at
        self.summary = info.summary
        self.stop_asked: StopMark = ""
        self.turn = 0
        self.inbox: dict[int, tuple[float, InboxMessage]] = {}
        self.keys: dict[str, int] = {}
        self.taken: dict[int, int] = {}
        self.tags = frozenset(info.tags)
        self.earlier: set[str] = set()
        self.codes = [info.code] if info.code else []
        self.branches = 0
        if parent is not None:
            parent.branches += 1
            self.taken = {number: seq for number, seq in parent.taken.items() if seq <= info.parent_seq}
            kept = ((key, number) for key, number in parent.keys.items() if number in self.taken)
            self.keys = {key: number for key, number in kept if key.startswith("message ")}
        self.shots: list[tuple[int, bytes]] = []

    def is_of(self, page: Page, nonces: Collection[str]) -> bool:
        """Return whether the run matches the filters of `Store.runs` that are given in `page`.

        If a filter names the run that started this child run, that run must also have one of `nonces`.
        """
        tag, text, end = page.get("tag"), page.get("text"), page.get("begun_before")
        is_of = page.get("status") in {None, self.status} and page.get("graph") in {None, self.info.graph}
        is_of = is_of and (tag is None or tag in self.tags) and page.get("tenant") in {None, self.info.tenant}
        is_of = is_of and page.get("user") in {None, self.info.user}
        is_of = is_of and page.get("starter") in {None, self.info.starter} and self.info.starter_nonce in nonces
        is_of = is_of and (not text or has_all(sought_words(text), self.texts()))
        own = {} if self.summary is None else self.summary.fields
        is_of = is_of and all(own.get(name) in values for name, values in (page.get("fields") or {}).items())
        return is_of and (page.get("begun_after") or -inf) <= self.info.created_at < (inf if end is None else end)

    @property
    def ended_at(self) -> float | None:
        return None if self.status in {"running", "waiting"} or not self.steps else self.steps[-1].at

    def place(self, sort: Sort | None) -> tuple[float | str, float, str]:
        """Return the key by which this run is sorted in a list of runs, for example its cost."""
        value: float | str | None = self.info.created_at
        if sort == "status":
            value = self.status
        elif sort == "cost":
            value = None if self.summary is None else self.summary.cost_usd
        elif sort == "took":
            value = None if self.ended_at is None else self.ended_at - self.info.created_at
        return -1 if value is None else value, self.info.created_at, self.info.id

    def texts(self) -> Iterator[str | None]:
        """Yield the texts of the run in which a search looks for words.

        A branch is also found by the inputs of its parents.
        """
        yield from (self.info.id, self.info.graph, *self.tags, None if self.summary is None else self.summary.reason)
        log: _Log | None = self
        while log is not None:
            yield input_text(log.steps[0] if log.steps else None)
            log = log.parent

    def shot(self, upto: int) -> tuple[int, bytes] | None:
        """Return the newest snapshot of the run at or before a step, as (seq, JSON).

        For a branch, it can come from its parents.
        """
        log: _Log | None = self
        while log is not None:
            for seq, body in reversed(log.shots):
                if seq <= upto:
                    return seq, body
            upto = min(upto, log.info.parent_seq)
            log = log.parent
        return None

    def read(self, after: int, upto: int) -> list[Step]:
        """Return the steps `after + 1` to `upto`, converted as if they had been stored as JSON and read again."""
        parts: list[list[Step]] = []
        log: _Log | None = self
        while log is not None and upto > after:
            low = log.info.parent_seq
            if upto > low:
                parts.append(log.steps[max(after - low, 0) : upto - low])
                upto = low
            log = log.parent
        return [as_stored(step) for part in reversed(parts) for step in part]

    def due_since(self, now: float) -> float | None:
        """Return since when the run is due to be resumed; None if it is not due or a process drives it."""
        if self.driver_fence is not None:
            return None
        if self.status == "running":
            return self.freed_at
        since = self.due_at if self.due_at is not None and self.due_at <= now else None
        for posted_at, message in self.inbox.values():
            if message.kind != "stop":
                return posted_at if since is None else min(posted_at, since)
        return since


class InMemoryStore:
    """A store in the memory of this process. Its runs are lost when the process ends.

    Args:
        clock: Returns the current time in epoch seconds. The times of messages and releases decide the order in which
            runs are resumed.

    Attributes:
        shared: Always False: other processes cannot use the runs.
    """

    shared: bool = False

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._is_open = False
        self._logs: dict[str, _Log] = {}
        self._counts: dict[tuple[str, Status], int] = {}  # a `Counter` is slower: its items are set by Python code
        self._going: dict[str, _Log] = {}  # the runs that have not ended, which `due` checks
        self._graph_specs: dict[str, GraphSpec] = {}
        self._codes: dict[str, Code] = {}
        self._limits: dict[str, QueueLimits] = {}
        self._rates: dict[tuple[str, str], float] = {}
        self._schedules: dict[str, StoredSchedule] = {}
        self._role: dict[str, JsonValue] | None = None
        self._posted = 0
        self._writes = 0

    @cached_property
    def _owner(self) -> str:
        return f"this process (owner {secrets.token_hex(16)})"

    async def open(self) -> None:
        """Open the store; see `Store.open`."""
        self._is_open = True

    async def close(self) -> None:
        """Release all runs; they can be read after the store is opened again."""
        self._is_open = False
        for log in self._logs.values():
            self._free(log)

    async def create(
        self, info: RunInfo, steps: Sequence[Step], graph_spec: GraphSpec, code_body: Code | None = None
    ) -> int:
        """Record a new run; see `Store.create`."""
        self._check_open()
        stop = None if info.starter is None else self._stop_over(info.starter)
        if stop is not None:
            raise tree_stopped(info.id, stop.run_id)
        if info.id in self._logs:
            raise run_exists(info.id)
        parent = None if info.parent is None else self._log(info.parent)
        if parent is None:
            if info.parent_seq:
                info = replace(info, parent_seq=0)
        elif not 1 <= info.parent_seq < parent.next_seq:
            raise unknown_step(parent.info.id, info.parent_seq, parent.next_seq - 1)
        elif any(map(is_removed, parent.read(info.parent_seq - 1, info.parent_seq))):
            raise step_removed(parent.info.id, info.parent_seq)
        _check_dense(info.id, steps, info.parent_seq + 1)
        self._writes += 1
        self._logs[info.id] = log = _Log(info, parent, steps)
        if info.queued:
            log.turn = self._next_turn(info)
        key = info.graph, info.status
        self._counts[key] = self._counts.get(key, 0) + 1
        self._sort_in(log)
        self._graph_specs.setdefault(info.fingerprint, graph_spec)
        if code_body is not None:
            self._codes.setdefault(info.code, code_body)
        return log.fence

    async def mark_stop(self, run_id: str, mark: StopMark) -> None:
        """Set or remove the mark that a run is being stopped; see `Store.mark_stop`."""
        self._check_open()
        log = self._logs.get(run_id)
        if log is not None and log.stop_asked != "cancel":
            self._writes += 1
            log.stop_asked = mark

    async def stop_over(self, run_id: str) -> StopOver | None:
        """Return a stop that applies to this run; see `Store.stop_over`."""
        self._check_open()
        return self._stop_over(run_id)

    def _stop_over(self, run_id: str) -> StopOver | None:
        line: dict[str, StopMark] = {}
        left: list[tuple[str | None, str | None]] = [(run_id, None)]
        while left:
            here, nonce = left.pop()
            log = self._logs.get(here or "")
            if log is not None and nonce in {None, log.info.nonce} and log.info.id not in line:
                info, line[log.info.id] = log.info, log.stop_asked
                left += [(info.starter, info.starter_nonce), (info.root, info.root_nonce)] if info.root else []
        marked = [StopOver(each, mark) for each, mark in line.items() if mark]
        return min(marked, key=itemgetter(1), default=None)

    async def started(self, run_ids: Sequence[str]) -> Sequence[RunInfo]:
        """Return the child runs that nodes of these runs started; see `Store.started`."""
        self._check_open()
        found = [log for log in self._logs.values() if log.info.root and log.info.starter in {*run_ids}]
        return [self._info(log) for log in found if log.info.starter_nonce in self._nonces(log.info.starter, log)]

    async def claim(self, run_id: str) -> int:
        """Become the driver of a run, the process that executes its nodes; see `Store.claim`."""
        log = self._log(run_id)
        if log.driver_fence is not None:
            raise RunIsDriven(run_id, self._owner, float("inf"))
        self._writes += 1
        log.fence += 1
        log.driver_fence = log.fence
        return log.fence

    async def former_lease(self, run_id: str) -> float | None:
        """Return None: no other process can have it; see `Store.former_lease`."""
        self._log(run_id)
        return None

    def on_doubt(self, doubted: object) -> None:
        """Do nothing: no other process can take a run; see `Store.on_doubt`."""

    async def release(self, run_id: str, fence: int) -> None:
        """Stop being the driver of a run, so that another process can continue the run; see `Store.release`."""
        self._check_open()
        log = self._logs.get(run_id)
        if log is not None and log.fence == fence:
            self._writes += 1
            self._free(log)

    def append(self, batch: Append) -> None:
        """Add steps immediately; see `Store.append`."""
        steps, status = batch.steps, batch.status
        log = self._logs.get(batch.run_id)
        if log is None or log.driver_fence != batch.fence:
            self._check_open()
            raise lease_lost(batch.run_id, batch.fence)
        expected = log.next_seq
        self._writes += 1
        if len(steps) == 1 and steps[0].seq == expected:
            log.steps.append(steps[0])
        else:
            _check_dense(batch.run_id, steps, expected)
            log.steps.extend(steps)
        log.next_seq = expected + len(steps)
        if batch.summary is not None:
            log.summary = batch.summary
        for post in batch.posts:
            if (to := self._logs.get(post.run_id)) is not None and post.nonce in {None, to.info.nonce}:
                self._put(to, post.kind, post.payload, post.key)
        if batch.consume or batch.fingerprint or batch.code or status != log.status or status != "running":
            self._change(log, batch)

    async def info(self, run_id: str) -> RunInfo:
        """Return the facts about a run; see `Store.info`."""
        return self._info(self._log(run_id))

    async def infos(self, run_ids: Sequence[str]) -> Sequence[RunInfo]:
        """Return the facts about several runs; see `Store.infos`."""
        self._check_open()
        return [self._info(self._logs[run_id]) for run_id in dict.fromkeys(run_ids) if run_id in self._logs]

    async def moved(self, seqs: Mapping[str, int]) -> Sequence[str]:
        """Return the runs whose last step is not the given one; see `Store.moved`."""
        now = {info.id: info.seq for info in await self.infos(list(seqs))}
        return [run_id for run_id, seq in seqs.items() if now.get(run_id) != seq]

    async def change_token(self) -> str:
        """Return a text that changes with every write; see `Store.change_token`."""
        self._check_open()
        return str(self._writes)

    async def counts(
        self,
        *,
        tag: str | None = None,
        text: str | None = None,
        every_seconds: float | None = None,
        tenant: str | None = None,
    ) -> Sequence[Count]:
        """Return how many runs there are by graph and status; see `Store.counts`."""
        self._check_open()
        if not every_seconds and not text and tag is None and tenant is None:
            return [Count(*key, 0.0, number) for key, number in self._counts.items() if number]
        found: Counter[tuple[str, Status, float]] = Counter(
            (log.info.graph, log.status, log.info.created_at // every_seconds * every_seconds if every_seconds else 0.0)
            for log in self._logs.values()
            if log.is_of({"tag": tag, "text": text, "tenant": tenant}, {log.info.starter_nonce})
        )
        return [Count(*key, number) for key, number in found.items()]

    async def ids(self, prefix: str, *, limit: int = 50) -> Sequence[str]:
        """Return the ids that begin with this text; see `Store.ids`."""
        self._check_open()
        return sorted(run_id for run_id in self._logs if run_id.startswith(prefix))[: max(limit, 0)]

    async def load(self, run_id: str, upto: int | None = None) -> Loaded:
        """Return a snapshot of a run and the later steps up to `upto`; see `Store.load`."""
        log = self._log(run_id)
        last = log.next_seq - 1
        if upto is not None:
            if not 1 <= upto <= last:
                raise unknown_step(run_id, upto, last)
            last = upto
        shot = log.shot(last)
        if shot is None:
            return Loaded(self._info(log), None, log.read(0, last))
        return Loaded(self._info(log), shot[1], log.read(shot[0], last))

    async def steps(self, run_id: str, after: int = 0, upto: int | None = None) -> Sequence[Step]:
        """Return a range of a run's steps; see `Store.steps`."""
        log = self._log(run_id)
        last = log.next_seq - 1
        return log.read(max(after, 0), last if upto is None else min(upto, last))

    async def runs(self, **page: Unpack[Page]) -> Sequence[RunInfo]:
        """Return a page of the list of runs; see `Store.runs`."""
        self._check_open()
        check_page(page)
        before, sort, ascending = page.get("before"), page.get("sort"), page.get("ascending", False)
        last = None if before is None else self._log(before).place(sort)
        starter = page.get("starter")
        found = [(log.place(sort), log) for log in self._logs.values() if log.is_of(page, self._nonces(starter, log))]
        found = [each for each in found if last is None or (each[0] > last if ascending else each[0] < last)]
        found.sort(key=itemgetter(0), reverse=not ascending)
        return [self._info(log) for _, log in found[: max(page.get("limit", PAGE_LIMIT), 0)]]

    async def set_fields(self, run: RunInfo, fields: Mapping[str, str]) -> bool:
        """Set the searchable fields of a run that no process drives; see `records.filling.Filling`."""
        log = self._log(run.id)
        if log.driver_fence is not None or (log.info.nonce, log.status) != (run.nonce, run.status):
            return False
        self._writes += 1
        log.summary = replace(log.summary or Summary(), fields={**fields})
        return True

    async def due(self, now: float, *, limit: int = 100, graphs: Sequence[str] | None = None) -> Sequence[RunInfo]:
        """Return the runs that are ready to be resumed; see `Store.due`."""
        self._check_open()
        wanted = [log for log in self._going.values() if graphs is None or log.info.graph in graphs]
        found = [(since, log) for log in wanted if (since := log.due_since(now)) is not None]
        found.sort(key=itemgetter(0))
        return [self._info(log) for _, log in found[: max(limit, 0)]]

    def _nonces(self, starter: str | None, child: _Log) -> Collection[str]:
        """Return the nonces that identify the run `starter`, which started a child run; see `Store.started`.

        If the run `starter` exists, only its own nonce counts. If it was removed, the nonce that the child has recorded
        counts, so that the child is found by the id alone.
        """
        there = None if starter is None else self._logs.get(starter)
        return {child.info.starter_nonce if there is None else there.info.nonce}

    def _next_turn(self, info: RunInfo) -> int:
        """Return the place of a new queued run in its queue, chosen so that the tenants of the queue take turns.

        The place is after the last queued run of the same tenant, but not before the first queued run of all tenants.
        """
        others = [
            (log.info.tenant, log.turn)
            for log in self._going.values()
            if log.fence == 0 and (log.info.queue, log.info.priority) == (info.queue, info.priority)
        ]
        own = max((turn + 1 for tenant, turn in others if tenant == info.tenant), default=0)
        return max(own, min((turn for _, turn in others), default=0))

    async def take(self, pick: ClaimQuery) -> Sequence[ClaimedRun]:
        """Claim due runs that no process drives; see `Store.take`."""
        self._check_open()
        found: list[Candidate] = []
        for run_id, log in self._going.items():
            info = log.info
            fits = info.graph in (pick.graphs or (info.graph,)) and info.queue in (pick.queues or (info.queue,))
            since = log.due_since(pick.now)
            fits = fits and info.tenant not in pick.paused_tenants
            if fits and since is not None and run_id not in pick.aside:
                place = log.turn if log.fence == 0 else since
                found.append(Candidate(run_id, info.queue, info.tenant or "", info.priority, log.fence == 0, place))
        driven = Counter((log.info.queue, log.info.tenant or "") for log in self._going.values() if log.driver_fence)
        chosen = choose(found, pick.limit, Load(self._limits, driven, self._rates), pick.now, pick.taken_before)
        self._rates.update(chosen.rates)
        taken: list[ClaimedRun] = []
        for run_id in map(str, chosen.ids):
            info = self._info(self._logs[run_id])
            fence = await self.claim(run_id)
            loaded = None if run_id in pick.kept else await self.load(run_id)
            taken.append(ClaimedRun(info, fence, loaded, await self.inbox([run_id])))
        return taken

    async def limit_queue(self, queue: str, limits: QueueLimits | None) -> None:
        """Set or remove the limits of a queue; see `Store.limit_queue`."""
        self._check_open()
        self._limits.pop(queue, None)
        if limits is not None:
            self._limits[queue] = limits

    async def queue_limits(self) -> Mapping[str, QueueLimits]:
        """Return the limits by queue; see `Store.queue_limits`."""
        self._check_open()
        return self._limits.copy()

    async def queue_counts(self) -> Sequence[QueueCount]:
        """Return how many runs each queue has; see `Store.queue_counts`."""
        self._check_open()
        logs = self._going.values()
        queued = Counter(log.info.queue for log in logs if log.fence == 0)
        driven = Counter(log.info.queue for log in logs if log.driver_fence is not None)
        return [QueueCount(name, queued[name], driven[name]) for name in sorted(queued.keys() | driven.keys())]

    async def keep_schedule(self, schedule: StoredSchedule) -> None:
        """Add or replace a schedule; see `Store.keep_schedule`."""
        self._check_open()
        self._schedules[schedule.name] = schedule

    async def drop_schedule(self, name: str) -> bool:
        """Remove a schedule; see `Store.drop_schedule`."""
        self._check_open()
        return self._schedules.pop(name, None) is not None

    async def schedules(self) -> Sequence[StoredSchedule]:
        """Return all schedules; see `Store.schedules`."""
        self._check_open()
        return [self._schedules[name] for name in sorted(self._schedules)]

    async def move_schedule(self, name: str, seen: float, next_at: float) -> None:
        """Set the time at which a schedule starts its next run; see `Store.move_schedule`."""
        self._check_open()
        found = self._schedules.get(name)
        if found is not None and found.next_at == seen:
            self._schedules[name] = found._replace(next_at=next_at)

    async def set_role(self, role: Mapping[str, JsonValue]) -> None:
        """Record that this owner is a worker; see `Store.set_role`."""
        self._check_open()
        self._role = dict(role)

    async def owners(self) -> Sequence[OwnerInfo]:
        """Return this process as the only owner; see `Store.owners`."""
        self._check_open()
        driven = sorted(log.info.id for log in self._going.values() if log.driver_fence is not None)
        here = self._owner, socket.gethostname(), os.getpid()
        return [OwnerInfo(*here, self._role, driven[:100], len(driven))]

    async def graph_spec(self, fingerprint: str) -> GraphSpec | None:
        """Return the graph spec that is recorded under a fingerprint; see `Store.graph_spec`."""
        self._check_open()
        return self._graph_specs.get(fingerprint)

    async def code(self, code: str) -> Code | None:
        """Return the recorded code of a graph's nodes; see `Store.code`."""
        self._check_open()
        return self._codes.get(code)

    async def post(  # noqa: PLR0913 - what a message is
        self, run_id: str, kind: str, payload: JsonValue, key: str, alone: str = "", nonce: str | None = None
    ) -> bool:
        """Put a message into a run's inbox; see `Store.post`."""
        if nonce not in {None, self._log(run_id).info.nonce}:
            raise unknown_run(run_id)
        if alone and any(each.startswith(alone) for each in self._log(run_id).keys):
            return False
        return self._put(self._log(run_id), kind, payload, key)

    def _put(self, log: _Log, kind: str, payload: JsonValue, key: str) -> bool:
        if key in log.keys:
            return False
        run_id = log.info.id
        self._writes += 1
        self._posted += 1
        log.keys[key] = self._posted
        log.inbox[self._posted] = self._clock(), InboxMessage(self._posted, run_id, kind, payload)
        return True

    async def inbox(self, run_ids: Sequence[str]) -> Sequence[InboxMessage]:
        """Return the undelivered messages of these runs; see `Store.inbox`."""
        self._check_open()
        logs = [self._logs[run_id] for run_id in set(run_ids) if run_id in self._logs]
        return sorted(message for log in logs for _, message in log.inbox.values())

    async def message_keys(self, run_id: str, newest: int | None = None) -> Mapping[str, int]:
        """Return the keys of a run's messages; see `Store.message_keys`."""
        self._check_open()
        log = self._logs.get(run_id)
        keys = {} if log is None else log.keys
        found = keys.items() if newest is None else [*keys.items()][-newest:]
        return {} if log is None else {key: number * (number in log.inbox) for key, number in found}

    async def notifications(self, after: int) -> int:
        """Never return, since no other process announces anything to this store; see `Store.notifications`."""
        del after
        forever: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        return await forever

    async def tag(self, run_id: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> tuple[str, ...]:
        """Change a run's tags; see `Store.tag`."""
        log = self._log(run_id)
        self._writes += 1
        log.tags = log.tags.difference(remove).union(add)
        return tuple(sorted(log.tags))

    async def branches(self, run_ids: Sequence[str]) -> Sequence[RunInfo]:
        """Return the direct branches of these runs; see `Store.branches`."""
        self._check_open()
        parents = set(run_ids)
        return [self._info(log) for log in self._logs.values() if log.info.parent in parents]

    async def ended(
        self, status: Status, *, graph: str | None = None, after: EndedRun | None = None, limit: int = PAGE_LIMIT
    ) -> Sequence[EndedRun]:
        """Return ended runs for a prune; see `Store.ended`. `size` is the size that the steps would have on disk."""
        self._check_open()
        end = inf if after is None else after.created_at, "" if after is None else after.id
        logs = [log for log in self._logs.values() if log.status == status and graph in {None, log.info.graph}]
        found = sorted((place[1:], log) for log in logs if (place := log.place(None))[1:] < end)
        ended: list[EndedRun] = []
        for _, log in found[::-1][: max(limit, 0)]:
            size, info = sum(len(encode_step(step)) for step in log.steps), self._info(log)
            facts = info.seq, info.created_at, info.updated_at, info.parent, info.parent_seq, info.starter, info.depth
            more = size, log.branches > 0, info.tags, info.driver, info.starter_nonce, info.nonce
            ended.append(EndedRun(info.id, info.graph, status, *facts, *more))
        return ended

    async def remove(self, runs: Sequence[RunInfo | EndedRun]) -> Mapping[str, str]:
        """Remove runs from the store; see `Store.remove`."""
        self._check_open()
        kept: dict[str, str] = {}
        for expected in runs:
            log = self._logs.get(expected.id)
            if log is None:
                kept[expected.id] = "already removed"
                continue
            now = self._info(log)
            branches = (each.info.id for each in (self._logs.values() if log.branches else ()) if each.parent is log)
            found = now.nonce, now.status, now.seq, now.tags
            reason = reason_to_stay(found, expected, now.driver, next(branches, None))
            if reason:
                kept[expected.id] = reason
                continue
            self._writes += 1
            del self._logs[expected.id]
            self._counts[log.info.graph, log.status] -= 1
            if log.parent is not None:
                log.parent.branches -= 1
        return kept

    async def trim(self, run_id: str, keep: int, limit: int) -> int:
        """Replace the content of a run's old steps by placeholders; see `Store.trim`."""
        log = self._log(run_id)
        first = log.info.parent_seq + 1
        shots = [shot for shot in log.shots if first < shot[0] < log.next_seq - keep]
        middle = log.steps[1 : shots[-1][0] - first] if shots else []
        if not shots or log.branches or any(isinstance(step.data, Branched) for step in middle):
            return 0
        self._writes += 1
        seq, body = shots[-1]
        log.shots = [shot for shot in log.shots if shot[0] >= seq]
        log.steps[seq - first] = strip_removed(seq, log.steps[seq - first].at, body)
        going = [step for step in reversed(middle) if not is_removed(step)][: max(limit, 0)]
        for step in going:
            log.steps[step.seq - first] = strip_removed(step.seq, step.at)
        return len(going)

    async def sweep(self) -> None:
        """Remove graph specs and codes that no run needs; see `Store.sweep`."""
        self._check_open()
        needed = {name for log in self._logs.values() for name in (log.fingerprint, *log.earlier)}
        self._graph_specs = {name: body for name, body in self._graph_specs.items() if name in needed}
        needed = {name for log in self._logs.values() for name in log.codes}
        self._codes = {name: body for name, body in self._codes.items() if name in needed}

    async def vacuum(self) -> tuple[int, int]:
        """Return (0, 0), since Python frees the memory; see `Store.vacuum`."""
        self._check_open()
        return 0, 0

    def _change(self, log: _Log, batch: Append) -> None:
        """Apply the parts of a batch other than its steps, such as the status.

        Most batches contain only steps and skip this method.
        """
        if batch.status != log.status:
            graph, counts, status = log.info.graph, self._counts, batch.status
            counts[graph, log.status] -= 1
            counts[graph, status] = counts.get((graph, status), 0) + 1
            log.status = batch.status
        log.due_at = batch.due_at if batch.status == "waiting" else None
        if batch.status != "running":
            self._free(log)
            last = log.next_seq - 1
            since = log.shots[-1][0] if log.shots else log.info.parent_seq
            if batch.snapshot is not None and last - since >= MIN_ROWS:
                log.shots.append((last, batch.snapshot()))
        self._sort_in(log)
        for message_id in batch.consume:
            if log.inbox.pop(message_id, None) is not None:
                log.taken[message_id] = log.next_seq - 1
        if batch.fingerprint is not None:
            log.earlier.add(log.fingerprint)
            log.fingerprint = batch.fingerprint
            if batch.graph_spec is not None:
                self._graph_specs.setdefault(batch.fingerprint, batch.graph_spec)
        if batch.code is not None:
            log.codes.append(batch.code)
            if batch.code_body is not None:
                self._codes.setdefault(batch.code, batch.code_body)

    def _free(self, log: _Log) -> None:
        if log.driver_fence is not None:
            log.driver_fence = None
            log.freed_at = self._clock()

    def _sort_in(self, log: _Log) -> None:
        if log.status in {"running", "waiting"}:
            self._going[log.info.id] = log
        else:
            self._going.pop(log.info.id, None)

    def _check_open(self) -> None:
        if not self._is_open:
            raise not_open()

    def _log(self, run_id: str) -> _Log:
        self._check_open()
        log = self._logs.get(run_id)
        if log is None:
            raise unknown_run(run_id)
        return log

    def _info(self, log: _Log) -> RunInfo:
        info = log.info
        held = log.driver_fence is not None
        return replace(
            info,
            status=log.status,
            fingerprint=log.fingerprint,
            seq=log.next_seq - 1,
            updated_at=log.steps[-1].at if log.steps else info.created_at,
            driver=self._owner if held else None,
            held=held,
            due_at=log.due_at,
            tags=tuple(sorted(log.tags)),
            queued=log.fence == 0,
            summary=log.summary,
            stop_asked=log.stop_asked,
            ended_at=log.ended_at,
            code=log.codes[-1] if log.codes else "",
        )


def _check_dense(run_id: str, steps: Sequence[Step], expected: int) -> None:
    for seq, step in enumerate(steps, expected):
        if step.seq != seq:
            raise not_dense(run_id, step.seq, seq)
