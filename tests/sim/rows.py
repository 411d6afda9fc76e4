"""What the stores of a file should answer to commands: runs as plain lists, without files, transactions or an engine.

Each method is what one owner asks. It returns what its store should return, changes what the file should have after
it, or raises `Refused` with the name of the error that the store should raise. Where a store may choose, as among runs
that are due for equally long, the method is told what it chose, and raises `Wrong` if that was not among its choices.

Invariants
    - The log of a run is whole, with the steps of the runs from which it branched; removing those changes nothing here.
    - An owner is alive for others until its lease ends or it is killed; for itself it always is.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from tests.sim import commands as c
from tests.sim.model import Wrong

MIN_ROWS: Final = 4
"""How many steps there are between two snapshots at least, so that short runs have some."""


class Refused(Exception):
    """A store should refuse this, with an error of this name."""


@dataclass
class Owner:
    """An owner: until when its lease lasts, and whether it was closed or killed."""

    expires_at: float
    is_gone: bool = False


@dataclass
class Step:
    """A step: its time, what it records, and what is left of that: all, nothing, or a snapshot in its place."""

    at: float
    value: Any
    left: Literal["all", "nothing", "snapshot"] = "all"


@dataclass
class Message:
    """A message that is not delivered."""

    kind: str
    key: str
    at: float


@dataclass
class Run:
    """A run; `asked` is the command that began it, `number` says how many began before it.

    `parent_seq` is 0 without a parent. `spec` is the number of its graph's fingerprint, and `specs` of all that it had.
    `keys` has the keys of all messages that were ever posted.
    """

    asked: c.Create
    number: int
    log: list[Step]
    created_at: float
    driver: int | None
    fence: int
    status: c.Status
    parent: Run | None = None
    parent_seq: int = 0
    starter: str = ""
    root: str | None = None
    depth: int = 0
    due_at: float | None = None
    freed_at: float = 0.0
    turn: int = 0
    spec: int = 0
    specs: set[int] = field(default_factory=lambda: {0})
    quarters: int | None = None
    mark: str = ""
    tags: set[str] = field(default_factory=set)
    inbox: list[Message] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        """Its id."""
        return self.asked.run

    @property
    def own(self) -> Sequence[Step]:
        """Its own steps."""
        return self.log[self.parent_seq :]

    @property
    def updated_at(self) -> float:
        """The time of its last own step, or of its begin."""
        return self.own[-1].at if self.own else self.created_at

    @property
    def ended_at(self) -> float | None:
        """When it ended; None if it has not, or nothing shows when."""
        return self.own[-1].at if self.status in c.ENDED and self.own else None

    def due_since(self, now: float) -> float | None:
        """Return since when it is due, if nobody drives it; None if it is not."""
        if self.status == "running":
            return self.freed_at
        times = [each.at for each in self.inbox if each.kind != "stop"]
        times += [self.due_at] if self.due_at is not None and self.due_at <= now else []
        return min(times, default=None) if self.status == "waiting" else None

    def place(self, sort: str | None) -> tuple[float | str, float, str]:
        """Return its place in a list."""
        took = None if self.ended_at is None else self.ended_at - self.created_at
        cost = None if self.quarters is None else float(self.quarters)
        by: Mapping[str | None, float | str | None] = {"cost": cost, "took": took, "status": self.status}
        value = by.get(sort, self.created_at)
        return -1.0 if value is None else value, self.created_at, self.id

    def fits(self, look: c.Look, now: float) -> bool:
        """Return whether a look selects it."""
        asked = self.asked
        facts = ((look.status, self.status), (look.graph, asked.graph), (look.tenant, asked.tenant))
        people = ((look.user, asked.user), (look.starter, self.starter))
        words = [self.id, asked.graph, *self.tags, *(["reason"] if self.quarters is not None else [])]
        has_text = look.text is None or any(word.startswith(look.text) for word in words)
        has_tag = look.tag is None or look.tag in self.tags
        is_then = look.young is None or self.created_at >= now - look.young
        is_then = is_then and (look.old is None or self.created_at < now - look.old)
        return is_then and has_text and has_tag and all(wanted in (None, has) for wanted, has in (*facts, *people))


class Rows:
    """All runs of a file, and its owners by number.

    What has ended and is claimed again counts as driven in a file, and not in memory; a Runner lets no time pass before
    such a run goes on.
    """

    def __init__(self, lease_seconds: float) -> None:
        self.lease_seconds = lease_seconds
        self.is_file = lease_seconds != math.inf
        self.now = 0.0
        self.runs: dict[str, Run] = {}
        self.owners: dict[int, Owner] = {}
        self.limits: dict[str, c.Limit] = {}
        self.plans: dict[str, int] = {}
        self.begun = 0

    def run(self, run_id: str) -> Run:
        """Return a run. Raises: Refused."""
        if run_id not in self.runs:
            raise Refused("UnknownRun")
        return self.runs[run_id]

    def drives(self, driver: int | None, asks: int | None = None) -> bool:
        """Return whether a driver is alive for another owner."""
        if driver is None:
            return False
        owner = self.owners[driver]
        return not owner.is_gone and (driver == asks or owner.expires_at > self.now)

    def has_place(self, run: Run) -> bool:
        """Return whether a run counts as driven, if its driver is alive."""
        return run.driver is not None and (self.is_file or run.status not in c.ENDED)

    def renew(self, me: int) -> None:
        """Renew the lease of an owner."""
        self.owners[me].expires_at = self.now + self.lease_seconds

    def gone(self, me: int, *, releases: bool) -> None:
        """Note that an owner was closed, or killed, when it releases nothing."""
        self.owners[me].is_gone = True
        for run in self.runs.values():
            if releases and run.driver == me:
                run.driver, run.freed_at = None, self.now

    # --- runs ---------------------------------------------------------------------------------------------------------

    def create(self, me: int, asked: c.Create, steps: Sequence[Step]) -> int:
        """Begin a run, and return its fence."""
        starter = self.runs.get(asked.starter)
        if asked.starter and self.stop_over(asked.starter):
            raise Refused("TreeStopped")
        if asked.run in self.runs:
            raise Refused("RunExists")
        parent = self.run(asked.parent) if asked.parent else None
        if parent is not None and (not 1 <= asked.at <= len(parent.log) or parent.log[asked.at - 1].left == "nothing"):
            raise Refused("UnknownStep")
        log = [] if parent is None else parent.log[: asked.at]
        status: c.Status = "running" if asked.is_queued else asked.status
        made = Run(asked, self.begun, [*log, *steps], self.now, me, 1, status, parent, len(log), freed_at=self.now)
        made.tags = set(asked.tags)
        made.due_at = self.now + asked.due if asked.due and status == "waiting" else None
        if starter is not None:
            made.starter, made.root, made.depth = starter.id, starter.root or starter.id, starter.depth + 1
        if asked.is_queued:
            made.driver, made.fence, made.turn = None, 0, self.turn(asked)
        self.begun += 1
        self.runs[made.id] = made
        return made.fence

    def turn(self, asked: c.Create) -> int:
        """Return one after the last turn of a tenant, but not before those whose turn it is."""
        others = [
            (run.asked.tenant, run.turn)
            for run in self.runs.values()
            if not run.fence and (run.asked.queue, run.asked.priority) == (asked.queue, asked.priority)
        ]
        own = [turn + 1 for tenant, turn in others if tenant == asked.tenant]
        return max([0, *own, min([turn for _, turn in others], default=0)])

    def claim(self, me: int, run_id: str) -> int:
        """Become the driver of a run, and return the fence."""
        run = self.run(run_id)
        if self.drives(run.driver):
            raise Refused("RunIsDriven")
        self.renew(me)
        return self.taken(me, run)

    def taken(self, me: int, run: Run) -> int:
        """Note that an owner has a run now, and return the fence."""
        run.driver, run.fence = me, run.fence + 1
        return run.fence

    def release(self, me: int, run_id: str, fence: int) -> None:
        """Stop driving a run, unless the fence is out of date."""
        run = self.runs.get(run_id)
        if run is not None and (run.driver, run.fence) == (me, fence):
            run.driver, run.freed_at = None, self.now

    def add(self, me: int, asked: c.Add, fence: int, steps: Sequence[Step]) -> None:
        """Add steps to a run."""
        run = self.runs.get(asked.run)
        if run is None or (run.driver, run.fence) != (me, fence):
            raise Refused("LeaseLost")
        if asked.gap and steps:
            raise Refused("StoreError")
        run.log += steps
        run.status = asked.status
        run.due_at = self.now + asked.due if asked.due and asked.status == "waiting" else None
        if asked.status != "running":
            run.driver, run.freed_at = None, self.now
        run.inbox = run.inbox[asked.consumes :]
        if asked.spec:
            run.spec = asked.spec
            run.specs.add(asked.spec)
        if asked.quarters >= 0:
            run.quarters = asked.quarters
        if asked.to in self.runs:
            self.put(self.runs[asked.to], "message", f"of {run.id} {len(run.log)}")

    def put(self, run: Run, kind: str, key: str) -> bool:
        """Put a message into an inbox, and return whether it is new."""
        if key in run.keys:
            return False
        run.keys.append(key)
        run.inbox.append(Message(kind, key, self.now))
        return True

    def post(self, asked: c.Post) -> bool:
        """Post to a run, and return whether it is new."""
        run = self.run(asked.run)
        if asked.alone and any(key.startswith(asked.alone) for key in run.keys):
            return False
        return self.put(run, asked.kind, asked.key)

    def tag(self, asked: c.Tag) -> list[str]:
        """Change the tags of a run, and return them."""
        run = self.run(asked.run)
        run.tags = run.tags.difference(asked.remove).union(asked.add)
        return sorted(run.tags)

    def mark(self, asked: c.Mark) -> None:
        """Mark a run as stopped; nothing takes back that it is cancelled."""
        run = self.runs.get(asked.run)
        if run is not None and run.mark != "cancel":
            run.mark = asked.mark

    def stop_over(self, run_id: str) -> list[tuple[str, str]]:
        """Return which marks may be said to hold for a run, and whose they are: the final ones if there are any."""
        found: dict[str, str] = {}
        left = [run_id]
        while left:
            run = self.runs.get(left.pop())
            if run is not None and run.id not in found:
                found[run.id] = run.mark
                left += [run.starter, run.root] if run.root else []
        first = min([mark for mark in found.values() if mark], default="")
        return [(each, mark) for each, mark in found.items() if mark and mark == first]

    # --- queues -------------------------------------------------------------------------------------------------------

    def take(self, me: int, asked: c.Take, chosen: Sequence[tuple[str, bool]]) -> None:
        """Take runs as a store has chosen, each with whether it is driven now. Raises: Wrong."""
        orphans = [run for run in self.runs.values() if self.is_orphan(run, me, asked)]
        offered = [run for run in orphans if run.id not in asked.aside][: max(asked.limit, 0)]
        first, rest = [run_id for run_id, claimed in chosen if not claimed], chosen[len(offered) :]
        names = {run.id for run in orphans if run.id not in asked.aside}
        if len(first) != len(offered) or not {*first} <= names or any(not claimed for _, claimed in rest):
            raise Wrong(f"of dead owners {first} are taken, but should be {[run.id for run in offered]}")
        room = asked.limit - len(offered)
        if room <= 0:
            return same("the runs that are taken", rest, [])
        refused = asked.aside if asked.refused else ()
        places = [run for run in orphans if run.id not in refused]
        places += [run for run in self.runs.values() if self.has_place(run) and self.drives(run.driver, me)]
        loads = [(run.asked.queue, run.asked.tenant) for run in places]
        left: dict[str, list[str]] = {}
        for run_id, _ in rest:
            left.setdefault(self.run(run_id).asked.queue, []).append(run_id)
        names_of = sorted({run.asked.queue for run in self.runs.values()})
        ends = {queue: self.check_queue(queue, asked, left.get(queue, []), loads) for queue in names_of}
        turns = [(at, queue) for queue in names_of for at in range(len(left.get(queue, [])))]
        same("the turns of queues", [self.run(run_id).asked.queue for run_id, _ in rest], [q for _, q in sorted(turns)])
        if len(rest) < room and not all(ends.values()):
            raise Wrong(f"{len(rest)} runs are taken, and there is room for more")
        most = max((len(each) for each in left.values()), default=0)
        short = [queue for queue in names_of if not ends[queue] and len(left.get(queue, [])) < most - 1]
        if short:
            raise Wrong(f"the queue {short[0]} had no turn")
        for run_id, _ in rest:
            self.taken(me, self.runs[run_id])
        if rest:
            self.renew(me)
        return None

    def is_orphan(self, run: Run, me: int, asked: c.Take) -> bool:
        """Return whether a run of a dead owner is due, and can be offered."""
        limit = self.limits.get(run.asked.queue)
        is_due = run.status in ("running", "waiting") and run.due_since(self.now) is not None
        is_free = run.driver is not None and not self.drives(run.driver, me)
        return is_due and is_free and self.is_asked(run, asked) and not (limit is not None and limit.is_paused)

    def is_asked(self, run: Run, asked: c.Take) -> bool:
        """Return whether somebody who takes asks for runs like this one."""
        is_of = run.asked.graph in (asked.graphs or (run.asked.graph,)) and run.asked.tenant not in asked.paused
        return is_of and run.asked.queue in (asked.queues or (run.asked.queue,))

    def check_queue(self, queue: str, asked: c.Take, chosen: Sequence[str], loads: Iterable[tuple[str, str]]) -> bool:
        """Check what was taken of a queue: each time the first that may be. Return whether it has no more.

        Raises: Wrong.
        """
        limit = self.limits.get(queue, c.Limit())
        driven = [tenant for name, tenant in loads if name == queue]
        free = [
            run
            for run in self.runs.values()
            if run.driver is None and run.status in ("running", "waiting") and run.due_since(self.now) is not None
            and run.asked.queue == queue and self.is_asked(run, asked) and run.id not in asked.aside
        ]  # fmt: skip

        def allowed() -> dict[str, tuple[int, bool, float]]:
            if limit.is_paused or (limit.most and len(driven) >= limit.most):
                return {}
            full = {tenant for tenant in driven if tenant and limit.of_tenant <= driven.count(tenant)}
            return {run.id: self.order(run) for run in free if not limit.of_tenant or run.asked.tenant not in full}

        for run_id in chosen:
            may = allowed()
            if may.get(run_id) != min(may.values(), default=()):
                raise Wrong(f"{run_id} is taken from the queue {queue}, of {may}")
            free = [run for run in free if run.id != run_id]
            driven.append(self.runs[run_id].asked.tenant)
        return not allowed()

    def order(self, run: Run) -> tuple[int, bool, float]:
        """Return the place of a run in its queue; one that is due for two reasons counts from the earlier time."""
        since = run.due_since(self.now)
        return -run.asked.priority, not run.fence, float(run.turn) if not run.fence else since or 0.0

    def queue_counts(self) -> list[tuple[str, int, int]]:
        """Return how many runs of each queue were never driven, and are driven."""
        names = sorted({run.asked.queue for run in self.runs.values()})
        found = [
            (
                name,
                sum(not run.fence for run in self.runs.values() if run.asked.queue == name),
                sum(self.has_place(run) for run in self.runs.values() if run.asked.queue == name),
            )
            for name in names
        ]
        return [each for each in found if each[1] or each[2]]

    def plan(self, asked: c.Plan) -> bool:
        """Keep, drop or move a schedule. Return whether there was one."""
        before = self.plans.get(asked.name)
        if asked.does == "drop":
            self.plans.pop(asked.name, None)
        elif asked.does == "keep" or before == asked.seen:
            self.plans[asked.name] = asked.at
        return before is not None

    def check_due(self, me: int | None, now: float, graph: str | None, found: Sequence[str]) -> None:
        """Check which runs are due: of dead owners first, then those for longest. Raises: Wrong."""
        wanted: dict[str, float] = {}
        for run in self.runs.values():
            since = None if self.drives(run.driver, me) else run.due_since(now)
            if since is not None and graph in (None, run.asked.graph):
                wanted[run.id] = -math.inf if run.status == "running" and run.driver is not None else since
        same("what is due", sorted(found), sorted(wanted))
        times = [wanted[run_id] for run_id in found]
        same("since when it is due, in order,", times, sorted(times))

    # --- lists --------------------------------------------------------------------------------------------------------

    def listed(self, look: c.Look) -> list[str]:
        """Return all runs that a look selects, in its order."""
        wanted = [run for run in self.runs.values() if run.fits(look, self.now)]
        wanted.sort(key=lambda run: run.place(look.sort), reverse=not look.is_ascending)
        return [run.id for run in wanted]

    def ended(self, status: c.Status, graph: str | None) -> list[str]:
        """Return the runs that ended so, newest first."""
        return self.listed(c.Look(status=status, graph=graph))

    def counts(self, look: c.Look) -> dict[tuple[str, str, float], int]:
        """Return how many runs there are, by graph, status, and interval in which they began."""
        found: dict[tuple[str, str, float], int] = {}
        plain = c.Look(tag=look.tag, tenant=look.tenant, text=look.text)
        for run in self.runs.values():
            if run.fits(plain, self.now):
                since = run.created_at // look.every * look.every if look.every else 0.0
                place = run.asked.graph, run.status, since
                found[place] = found.get(place, 0) + 1
        return found

    def branches(self, run_ids: Collection[str]) -> set[str]:
        """Return the runs that branched from these."""
        return {run.id for run in self.runs.values() if run.parent is not None and run.parent.id in run_ids}

    def driven(self, asks: int | None) -> dict[int, list[str]]:
        """Return which runs each owner that is alive drives."""
        runs = [run for run in self.runs.values() if self.has_place(run)]
        alive = [me for me in self.owners if self.drives(me, asks)]
        return {me: sorted(run.id for run in runs if run.driver == me) for me in alive}

    # --- removal ------------------------------------------------------------------------------------------------------

    def remove(self, runs: Sequence[tuple[str, bool]]) -> list[str]:
        """Remove runs one after the other, each with whether what is known of it is right. Return those that stay."""
        stay: list[str] = []
        for run_id, is_right in runs:
            run = self.runs.get(run_id)
            goes = run is not None and is_right and run.status in c.ENDED and not self.drives(run.driver)
            if goes and not self.branches([run_id]):
                del self.runs[run_id]
            elif run_id not in stay:
                stay.append(run_id)
        return stay

    def is_old(self, run: Run, asked: c.Prune) -> bool:
        """Return whether a run has a status and an age at which it may go."""
        is_old = asked.age < 0 or run.updated_at <= self.now - asked.age
        return is_old and run.status in asked.statuses and asked.graph in ("", run.asked.graph)

    def may_go(self, run: Run, asked: c.Prune, me: int) -> bool:
        """Return whether nothing about a run itself keeps it."""
        newest = self.listed(c.Look(graph=run.asked.graph))[: max(asked.keep, 0)]
        return not run.tags & {*asked.tags} and run.id not in newest and not self.drives(run.driver, me)

    def needs(self, run: Run) -> str:
        """Return the run that started a run, if that can still need it: what it does is not known here."""
        starter = self.runs.get(run.starter)
        return "" if starter is None or starter.status in ("finished", "cancelled") else starter.id

    def pruned(self, me: int, asked: c.Prune) -> tuple[set[str], set[str]]:
        """Return the runs that a prune removes, and the old ones that it keeps."""
        old = [run for run in self.runs.values() if self.is_old(run, asked)]
        going = {run.id for run in old if self.may_go(run, asked, me)}
        count = -1
        while len(going) != count:
            count = len(going)
            kept = {run.parent.id for run in self.runs.values() if run.parent is not None and run.id not in going}
            going -= kept
            going = {each for each in going if not self.needs(self.runs[each]) or self.needs(self.runs[each]) in going}
        if not asked.is_dry:
            self.runs = {run_id: run for run_id, run in self.runs.items() if run_id not in going}
        return going, {run.id for run in old} - going

    def bitten(self, me: int, asked: c.Prune) -> int:
        """Remove what a worker removes in one pass, and return how many runs those are.

        It begins with the newest of each status. What a run needs that goes later is met again by the next pass.
        """
        needed: dict[str, bool] = {}
        before, end = len(self.runs), self.now - max(asked.age, 0)
        for status in asked.statuses:
            look = c.Look(status=status, graph=asked.graph)
            page = [run for each in self.listed(look) if (run := self.runs[each]).created_at < end]
            while page:
                old = [run for run in page if self.is_old(run, asked) and self.may_go(run, asked, me)]
                for run in old:
                    if run.starter:
                        needed.setdefault(run.starter, bool(self.needs(run)))
                self.remove([(run.id, True) for run in old if not needed.get(run.starter)])
                last = page[-1]
                again = self.listed(look) if last.id not in self.runs else []  # those of the same time are met again
                page = [run for each in again if (run := self.runs[each]).created_at <= last.created_at]
        return before - len(self.runs)

    def former_lease(self, me: int | None, run: Run) -> float | None:
        """Return for how long another owner that has a run, and is not known to be dead, may still act."""
        owner = None if run.driver in (None, me) else self.owners[run.driver]
        return None if owner is None or owner.is_gone else max(0.0, owner.expires_at - self.now)

    def needed_specs(self) -> set[str]:
        """Return the fingerprints of the graphs that some run needs."""
        return {f"{run.asked.graph}{spec}" for run in self.runs.values() for spec in run.specs}


def same(what: str, has: object, wanted: object) -> None:
    """Compare. Raises: Wrong."""
    if has != wanted:
        raise Wrong(f"{what} is {has}, but should be {wanted}")
