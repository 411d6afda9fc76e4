"""A small model of a store: runs as plain lists, no files, no transactions, no snapshots.

An operation returns what the store's returns, or raises an error of the same class. All times are of one clock.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from graphengine.engine.steps import Step
from graphengine.errors import LeaseLost, RunExists, RunIsDriven, StoreError, UnknownRun, UnknownStep
from graphengine.stores.base import Append, RunInfo, Status


class Dead(float):
    """The unknown time of a death."""


UNKNOWN = Dead(math.nan)


@dataclass
class Owner:
    """A store: until when it counts as alive, and whether it was killed."""

    expires_at: float
    killed: bool = False


@dataclass
class Sent:
    """A message in an inbox, with its id once the store returned it."""

    kind: str
    payload: object
    posted_at: float


@dataclass
class Entry:
    """A run: the log is whole, including its parents' steps."""

    first: RunInfo
    log: list[Step]
    status: Status
    driver: int | None
    fingerprint: str
    due_at: float | None
    fence: int = 1
    freed_at: float = 0.0
    inbox: list[Sent] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    tags: set[str] = field(default_factory=set)
    earlier: set[str] = field(default_factory=set)


class StoreModel:
    """All runs of a medium, and its owners by number."""

    def __init__(self, lease_seconds: float) -> None:
        self.now = 0.0
        self.lease_seconds = lease_seconds
        self.runs: dict[str, Entry] = {}
        self.owners: dict[int, Owner] = {}

    def run(self, run_id: str) -> Entry:
        """Return the run of an id."""
        if run_id not in self.runs:
            raise UnknownRun(run_id)
        return self.runs[run_id]

    def drives(self, owner: int | None, asks: int | None = None) -> bool:
        """Return whether an owner is alive in the view of another one; it always sees itself alive."""
        if owner is None:
            return False
        known = self.owners[owner]
        return owner == asks or (not known.killed and known.expires_at > self.now)

    def create(self, me: int, info: RunInfo, steps: Sequence[Step]) -> int:
        """Start a run."""
        if info.id in self.runs:
            raise RunExists(info.id)
        log: list[Step] = []
        if info.parent is not None:
            parent = self.run(info.parent)
            if not 1 <= info.parent_seq <= len(parent.log):
                raise UnknownStep(info.parent)
            log = parent.log[: info.parent_seq]
        due_at = info.due_at if info.status == "waiting" else None
        entry = Entry(info, log, info.status, me, info.fingerprint, due_at, tags=set(info.tags))
        self._extend(entry, steps)
        self.runs[info.id] = entry
        return 1

    def claim(self, me: int, run_id: str) -> int:
        """Become the driver."""
        run = self.run(run_id)
        if self.drives(run.driver):
            raise RunIsDriven(run_id, "", 0.0)
        self.owners[me].expires_at = self.now + self.lease_seconds
        run.driver = me
        run.fence += 1
        return run.fence

    def release(self, me: int, run_id: str, fence: int) -> None:
        """Stop being the driver."""
        run = self.runs.get(run_id)
        if run is not None and (run.driver, run.fence) == (me, fence):
            run.driver, run.freed_at = None, self.now

    def append(self, me: int, batch: Append) -> None:
        """Add steps."""
        run = self.runs.get(batch.run_id)
        if run is None or (run.driver, run.fence) != (me, batch.fence):
            raise LeaseLost(batch.run_id)
        self._extend(run, batch.steps)
        run.status = batch.status
        run.due_at = batch.due_at if batch.status == "waiting" else None
        if batch.status != "running":
            run.driver, run.freed_at = None, self.now
        if batch.fingerprint:
            run.earlier.add(run.fingerprint)
            run.fingerprint = batch.fingerprint

    def _extend(self, run: Entry, steps: Sequence[Step]) -> None:
        if [step.seq for step in steps] != list(range(len(run.log) + 1, len(run.log) + len(steps) + 1)):
            raise StoreError("not dense")
        run.log.extend(steps)

    def post(self, run_id: str, kind: str, payload: object, key: str, alone: str = "") -> bool:
        """Put a message into an inbox."""
        run = self.run(run_id)
        if key in run.keys or (alone and any(each.startswith(alone) for each in run.keys)):
            return False
        run.keys.add(key)
        run.inbox.append(Sent(kind, payload, self.now))
        return True

    def info(self, run_id: str, asks: int) -> tuple[RunInfo, int | None]:
        """Return the facts of a run without its driver, and the driver."""
        run = self.run(run_id)
        own = len(run.log) > run.first.parent_seq
        info = RunInfo(
            run_id, run.first.graph, run.fingerprint, run.status, len(run.log), run.first.created_at,
            run.log[-1].at if own else run.first.created_at, run.first.parent, run.first.parent_seq,
            None, run.driver is not None, run.due_at, tuple(sorted(run.tags)),
        )  # fmt: skip
        is_over = own and run.status not in ("running", "waiting")
        info = replace(info, began_with=run.first.fingerprint, ended_at=info.updated_at if is_over else None)
        return info, run.driver if self.drives(run.driver, asks) else None

    def listed(self, status: Status | None, graph: str | None, tag: str | None, before: str | None) -> list[str]:
        """Return the ids of runs, newest first."""
        ages = {run_id: (run.first.created_at, run_id) for run_id, run in self.runs.items()}
        last = (math.inf, "") if before is None else (self.run(before).first.created_at, before)
        wanted = [
            run_id
            for run_id, run in self.runs.items()
            if ages[run_id] < last
            and status in (None, run.status)
            and graph in (None, run.first.graph)
            and tag in (None, *run.tags)
        ]
        return sorted(wanted, key=ages.__getitem__, reverse=True)

    def due(self, now: float, asks: int) -> dict[str, float]:
        """Return the runs that can be resumed, and since when."""
        found: dict[str, float] = {}
        for run_id, run in self.runs.items():
            if self.drives(run.driver, asks):
                continue
            since = [sent.posted_at for sent in run.inbox if sent.kind != "stop"]
            since += [run.due_at] if run.due_at is not None and run.due_at <= now else []
            if run.status == "running":
                found[run_id] = run.freed_at if run.driver is None else UNKNOWN
            elif run.status == "waiting" and since:
                found[run_id] = min(since)
        return found

    def tag(self, run_id: str, add: Sequence[str], remove: Sequence[str]) -> tuple[str, ...]:
        """Change a run's tags."""
        run = self.run(run_id)
        run.tags = run.tags.difference(remove).union(add)
        return tuple(sorted(run.tags))

    def branches(self, run_ids: Sequence[str]) -> set[str]:
        """Return the runs that were branched from one of these."""
        return {run_id for run_id, run in self.runs.items() if run.first.parent in run_ids}

    def remove(self, infos: Sequence[RunInfo]) -> set[str]:
        """Remove runs one after the other. Return those that stay."""
        stay: set[str] = set()
        for each in infos:
            run = self.runs.get(each.id)
            goes = run is not None and not self.drives(run.driver) and run.status not in ("running", "waiting")
            is_current = run is not None and (run.status, len(run.log), sorted(run.tags)) == (
                each.status, each.seq, sorted(each.tags),
            )  # fmt: skip
            if goes and is_current and not self.branches([each.id]):
                del self.runs[each.id]
            else:
                stay.add(each.id)
        return stay

    def needed(self) -> set[str]:
        """Return the fingerprints of the graph specs that some run still needs."""
        return {name for run in self.runs.values() for name in (run.fingerprint, *run.earlier)}

    def close(self, me: int) -> None:
        """Close an owner, which releases its runs."""
        for run in self.runs.values():
            if run.driver == me:
                run.driver, run.freed_at = None, self.now
        self.owners[me].killed = True
