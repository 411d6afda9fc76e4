"""An interpreter of graphs with forks, maps and subgraphs: one walker for each frame, with copies of everything.

Arms, items and subgraphs run one after another in declared order, each to its end. The tests check that any other order
gives the same run. A join repeats the writes of the arms, in that order, on the state the fork began with; the end of
a map those of the items on the state the map began with; of a subgraph only what its node writes is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from graphengine.errors import FailReached, InvalidInputs, InvalidUpdate, MissingInput, SubgraphLimit
from tests.kit.interpreter import DEFAULTS, Fault, Interpreter, Mismatch, Story, Visit, at, reduced
from tests.kit.spec import (
    COUNTED,
    ITEMS,
    STOP,
    Boom,
    Case,
    NodeSpec,
    Outcome,
    Spec,
    Write,
    counted,
)

Rows: TypeAlias = dict[tuple[str, str], list[tuple[Any, ...]]]
Outcomes: TypeAlias = Callable[[str, int, int], Outcome]
UNREDUCED = ("items",)
"""Fields that become the list of what the items wrote."""


class Misread(Exception):
    """A list of items, or an input, cannot be read; the first argument is the engine's error type."""


class LimitReached(Exception):
    """A subgraph is at its limit; the first argument is its walker."""


@dataclass
class Record:
    """The records of the walkers of one run, by the ids of their frames.

    Attributes:
        rows: The steps of each path.
        states: The state after each step that led to another node.
        joins: The state at joins and at the ends of maps and subgraphs, with the conditions about the past.
        seen: The state that each attempt saw.
        entries: The number of times a subgraph was entered.
        steps: The completed visits of the whole run.
    """

    rows: Rows = field(default_factory=dict)
    states: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    joins: dict[str, list[tuple[dict[str, Any], list[bool]]]] = field(default_factory=dict)
    seen: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    entries: dict[str, int] = field(default_factory=dict)
    steps: int = 0


class Walker(Interpreter):
    """One frame of a run, with the frames below it."""

    def __init__(
        self,
        case: Case,
        outcomes: Outcomes,
        up: Walker | None = None,
        kind: Literal["root", "arm", "item", "sub"] = "root",
        place: str = "",
    ) -> None:
        super().__init__(case)
        self.case, self.outcomes, self.up, self.kind, self.place = case, outcomes, up, kind, place
        self.frame: str = frame_id(up.frame if up else "", kind, place)
        self.record: Record = up.record if up else Record()
        self.until, self.before, self.steps = "", 0, 0
        self.arms: list[Walker] = []
        self.items: list[Walker] | None = None
        self.inside: Walker | None = None
        self.join_at = self.label = ""
        self.written: list[Write] = []
        self.past = case.spec.leaves("plateau", "iterations")

    def arm(self, target: str) -> Walker:
        """Return a walker from a target of the fork at the current node."""
        arm = Walker(self.case, self.outcomes, self, "arm", target)
        arm.until = self.join_at
        arm.story = Story(deepcopy(self.story.state), visits=list(self.story.visits))
        arm.before = len(arm.story.visits)
        if target == arm.until:
            arm.story.status = "arrived"
        else:
            arm.go(target)
        return arm

    def item(self, index: int, values: dict[str, Any]) -> Walker:
        """Return a walker of one item of the current node."""
        item = Walker(self.case, self.outcomes, self, "item", f"{self.at}[{index}]")
        item.story = Story({**deepcopy(self.story.state), **values}, visits=list(self.story.visits))
        item.go(self.at)
        return item

    def sub(self, graph: Spec, state: dict[str, Any]) -> Walker:
        """Return a walker of the subgraph at the current node."""
        sub = Walker(Case(graph, (), ({},), state), self.outcomes, self, "sub", f"{self.at}/")
        if graph.whole and sub.story.state["total"] > 6:
            raise Mismatch
        for name, value in state.items():
            if value is None and name != "score":
                raise Mismatch
            if name == "capped" and len(value) > 3:
                raise Mismatch
        sub.story.visits.append(Visit("START", set(state), deepcopy(sub.story.state)))
        return sub

    def walk(self, resumes: int) -> Story:
        """Run to the end, resumed this many times after a failure, and return the story."""
        self.story.visits.append(Visit("START", self.given, deepcopy(self.story.state)))
        self.leave("started")
        while True:
            while self.story.status == "running":
                self.turn()
            if self.story.status == "finished" or not resumes:
                return self.story
            resumes -= 1
            self.revive()

    def revive(self) -> None:
        """Continue after a failure, except in the failed items of a map that keeps what succeeds."""
        if self.story.status == "failed":
            self.story.status = "running"
            settled = self.kept_failures()
            for below in self.below():
                if below not in settled:
                    below.revive()

    def kept_failures(self) -> Sequence[Walker]:
        """Return the items that failed in a map that goes on without them."""
        node = self.nodes.get(self.at)
        failed = [item for item in self.items or () if item.story.status == "failed"]
        return failed if node is not None and node.keeps and len(failed) < len(self.items or ()) else ()

    def below(self) -> Sequence[Walker]:
        """Return the walkers of the frames that this one has made."""
        return [*self.arms, *(self.items or ()), *([self.inside] if self.inside else [])]

    def turn(self) -> None:
        """Do what is next: run the frames below, choose an outgoing edge that is still open, or make an attempt."""
        node = self.nodes.get(self.at)
        if self.arms:
            self.join()
        elif self.leaving:
            self.check_limits()
            self.leave("left")
        elif node is not None and node.each and self.kind != "item":
            self.map(node)
        elif node is not None and node.graph is not None and not self.in_fallback:
            self.enter_graph(node, node.graph)
        else:
            self.check_limits()
            self.record.seen.setdefault((self.frame, self.at), []).append(deepcopy(self.story.state))
            self.attempt_ends(self.outcomes(self.spot(), self.visit, self.attempt))

    def spot(self) -> str:
        """Return the position of an attempt, which decides its outcome whenever it is made."""
        return spot(self.frame, self.at, self.record.entries)

    def check_limits(self) -> None:
        """Raise if a subgraph around this frame is at its limit: nothing new begins, not even a failure."""
        above: Walker | None = self
        outermost: Walker | None = None
        while above is not None:
            if above.kind == "sub" and above.steps >= (above.spec.steps or 1000):
                outermost = above
            above = above.up
        if outermost is not None:
            raise LimitReached(outermost)

    def map(self, node: NodeSpec) -> None:
        """Run every item to its end, and write the results in order."""
        if self.items is None:
            self.check_limits()
            try:
                lists = self.lists(node)
            except Misread as error:
                self.failed(error.args[0], Fault(error.args[0], self.path(), self.attempt))
                return
            count = len(next(iter(lists.values())))
            self.note("mapped", count)
            self.items = [self.item(i, {name: items[i] for name, items in lists.items()}) for i in range(count)]
        for item in self.items:
            while item.story.status == "running":
                item.turn()
        self.check_limits()
        kept = self.kept_failures()
        fault = next((item.fault for item in self.items if item.story.status == "failed"), None)
        if fault is not None and not kept:
            self.failed(fault.error, fault)
            return
        try:
            lost = [self.excuse(item.fault) for item in kept if item.fault is not None]
            writes = [*collected(node, self.items), *lost]
            state = self.updated(writes)
        except Mismatch:
            self.failed(InvalidUpdate, Fault(InvalidUpdate, self.path(), self.attempt))
            return
        self.drop()
        self.done(state, node, writes)

    def lists(self, node: NodeSpec) -> dict[str, list[Any]]:
        """Return the lists a node is mapped over, by the names of its items."""
        lists = {name: self.source(source) for name, source in node.each}
        if len({len(items) for items in lists.values()}) > 1:
            raise Misread(InvalidUpdate)
        return lists

    def source(self, source: str) -> list[Any]:
        """Return the items of one list."""
        try:
            found = counted(self.story.state["n"]) if source == COUNTED else at(self.story.state, source)
        except Boom as error:
            raise Misread(Boom) from error
        if found is None:
            raise Misread(MissingInput)
        return found

    def enter_graph(self, node: NodeSpec, graph: Spec) -> None:
        """Run the subgraph to its end and write its result; its failure becomes its node's failure."""
        if self.inside is None:
            self.check_limits()
            try:
                self.ended = ""  # of the graph at the node before
                self.inside = sub = self.sub(graph, self.inputs(node, graph))
            except Misread as error:
                self.wrong(error.args[0], Outcome(), retryable=False)
                return
            except Mismatch:
                self.wrong(InvalidInputs, Outcome(), retryable=False)
                return
            self.record.entries[sub.frame] = self.record.entries.get(sub.frame, 0) + 1
            sub.leave("entered")
        try:
            while self.inside.story.status == "running":
                self.inside.turn()
        except LimitReached as reached:
            if reached.args[0] is not self.inside:
                raise
            self.inside.fault = Fault(SubgraphLimit, self.path(), self.attempt)
            self.inside.story.status = "failed"
            self.inside.latest_fault = self.inside.fault
            self.inside.row("failed", None, "")
        self.check_limits()
        sub, self.ended = self.inside, self.inside.story.label
        if sub.story.status == "failed" and sub.fault is not None:
            self.went_wrong(sub.fault)
            return
        writes = [self.part(name, part, sub) for name, part in zip(node.fields, node.parts, strict=True)]
        try:
            state = self.updated(writes)
        except Mismatch:
            self.went_wrong(Fault(InvalidUpdate, self.path(), self.attempt))
            return
        self.drop()
        self.done(state, node, writes)

    def went_wrong(self, fault: Fault) -> None:
        """Handle a subgraph that failed or whose result does not fit: retry or give up; a resume continues in it."""
        self.wrong(fault.error, Outcome(), retryable=getattr(fault.error, "retryable", True), fault=fault)
        if self.story.status != "failed" or self.leaving:
            self.drop()

    def inputs(self, node: NodeSpec, graph: Spec) -> dict[str, Any]:
        """Return the initial state of the subgraph."""
        given = dict(node.inputs)
        found = {name: at(self.story.state, source) for name, source in given.items()}
        if any(value is None and name != "score" for name, value in found.items()):
            raise Misread(MissingInput)
        if not given and graph.apart == self.spec.apart:
            found = {name: self.story.state[name] for name in self.story.state if name not in ITEMS}
        return deepcopy(found)

    def part(self, name: str, part: str, sub: Walker) -> Write:
        """Return the write of a part of the subgraph's state, or of its stop label, to a field."""
        value = [sub.story.label] if part == STOP else deepcopy(at(sub.story.state, part))
        return Write(name, value, key=self.key())

    def drop(self) -> None:
        """Drop the frames below; what they spent is kept."""
        for below in self.below():
            self.pay(below.paid())
        self.items, self.inside = None, None

    def paid(self) -> dict[str, float | None]:
        """Return the usage of this frame and of those below."""
        found = dict(self.story.usage)
        for below in self.below():
            for name, amount in below.paid().items():
                found[name] = (found.get(name) or 0) + (amount or 0)
        return found

    def pay(self, usage: dict[str, float | None]) -> None:
        for name, amount in usage.items():
            self.story.usage[name] = (self.story.usage.get(name) or 0) + (amount or 0)

    def spent(self, name: str) -> float | None:
        """Return the usage of this frame, with its items and subgraph, and of the frames its state comes from."""
        own = super().spent(name) or 0
        own += sum(below.paid().get(name) or 0 for below in self.below() if below.kind != "arm")
        return own + (self.up.spent(name) or 0) if self.up is not None and self.kind == "arm" else own

    def updated(self, writes: Sequence[Write]) -> dict[str, Any]:
        """Return a copy of the state with these writes; an item's writes are checked one by one."""
        if self.kind == "item":
            return self.tried(writes)
        return super().updated(writes)

    def tried(self, writes: Sequence[Write]) -> dict[str, Any]:
        """Check an item's writes alone, each by itself; all of them together are checked when the map ends."""
        empty = deepcopy(dict(DEFAULTS))
        for write in writes:
            if write.field == "nowhere":
                raise Mismatch
            if write.field not in UNREDUCED or write.value == "x":
                reduced(empty[write.field], write)
        return self.story.state

    def done(self, state: dict[str, Any], node: NodeSpec, writes: Sequence[Write]) -> None:
        """Complete a visit or an item."""
        if self.kind == "item":
            self.written = list(writes)
            self.story.status = "arrived"
            self.note("item", None)
        else:
            super().done(state, node, writes)

    def failed(self, error: type[Exception], fault: Fault) -> None:
        """Take an edge for this failure, or end; an item has no edges."""
        if self.kind == "item":
            self.latest_fault = fault
            self.note("failed", None)
            self.fault, self.story.status = fault, "failed"
            self.attempt, self.tries, self.due, self.in_fallback = self.attempt + 1, 0, 0.0, False
        else:
            super().failed(error, fault)
        if self.story.status != "failed":
            self.drop()
        elif self.below():
            self.attempt -= 1  # it continues below, in the same attempt

    def completed(self) -> None:
        """Count the visit in this frame and in those around it."""
        self.record.steps += 1
        above: Walker | None = self
        while above is not None:
            above.steps += 1
            above = above.up

    def path(self) -> str:
        """Return the node's path in the run, without arms."""
        return path_of(self) if self.kind == "item" else "/".join(filter(None, (path_of(self), self.at)))

    def led_to_fail(self) -> Fault:
        """Return the failure of a frame that reaches FAIL: that of the node whose graph it runs."""
        above: Walker | None = self
        while above is not None and above.kind == "arm":
            above = above.up
        node = above.up if above is not None else None
        return Fault(FailReached, path_of(self), node.attempt if node is not None else 1)

    def key(self) -> str:
        """Return the key that an item is written under."""
        return str(self.story.state["item"]) if self.kind == "item" else ""

    def enter(self, kind: str, found: Any) -> None:
        """Continue: into arms, to the end of this arm, to a node, or to the end."""
        if isinstance(found[0], tuple):
            self.note(kind, found[:2])
            targets, self.label, self.join_at = found
            self.arms = [self.arm(target) for target in targets]
        elif found[0] == self.until:
            self.note(kind, found)
            self.story.status = "arrived"
        else:
            super().enter(kind, found)

    def join(self) -> None:
        """Run every arm to its end, and repeat its writes."""
        for arm in self.arms:
            while arm.story.status == "running":
                arm.turn()
        self.check_limits()
        self.fault = next((arm.fault for arm in self.arms if arm.story.status == "failed"), None)
        try:
            state = self.joined()
        except Mismatch:
            self.fault = self.fault or Fault(InvalidUpdate, "/".join(filter(None, (path_of(self), self.join_at))), 1)
            self.story.status = self.story.reason = "failed"
            self.latest_fault = self.fault
            self.note("joined", None)
            return
        arms, self.arms = self.arms, []
        for arm in arms:
            self.wrote += arm.wrote
            self.story.visits += arm.story.visits[arm.before :]
            self.pay(arm.story.usage)
        self.story.state = state
        self.enter("joined", (self.join_at, self.label))

    def joined(self) -> dict[str, Any]:
        """Return the state with the writes of all arms; an arm can replace a field only if no other arm writes it."""
        if any(arm.story.status == "failed" for arm in self.arms):
            raise Mismatch
        for arm in self.arms:
            others = {write.field for other in self.arms if other is not arm for write in other.wrote}
            if any(write.replace and write.field in others for write in arm.wrote):
                raise Mismatch
        return self.updated([write for arm in self.arms for write in arm.wrote])

    def note(self, kind: str, what: Any) -> None:
        """Record a row of this frame's node, and the state after it if it leads to another node."""
        if kind == "entered" and self.up is not None:
            self.up.row(kind, what, self.up.at)
        else:
            if isinstance(what, tuple) and what[0] == "due":
                what = ("due",)
            self.row(kind, what, self.join_at if kind == "joined" else self.at)
        leads_on = isinstance(what, tuple) and kind in ("started", "entered", "node", "failed", "left", "joined")
        if leads_on and what[0] != "FAIL":
            self.record.states.setdefault(self.frame, []).append(deepcopy(self.story.state))
            node = self.nodes.get(self.at)
            if kind == "joined" or (kind == "node" and node is not None and (node.each or node.graph)):
                past = [self.holds(cond) for cond in self.past]
                self.record.joins.setdefault(self.frame, []).append((deepcopy(self.story.state), past))

    def row(self, kind: str, what: Any, node: str) -> None:
        """Record one step."""
        visit, attempt = (0, 0) if kind in ("started", "joined") else (self.visit, self.attempt)
        fault = self.latest_fault
        if fault is not None and (kind in ("attempt", "failed") or (kind == "joined" and what is None)):
            what = (what, fault.path, fault.kind, fault.attempt)
        self.record.rows.setdefault((self.frame, node), []).append((kind, visit, attempt, what))


def collected(node: NodeSpec, items: Sequence[Walker]) -> list[Write]:
    """Return the writes of all items; a field without a reducer becomes the list of its values."""
    writes = [write for item in items for write in item.written]
    keys = [write.key for write in writes if write.field == "found"]
    if len(set(keys)) < len(keys):
        raise Mismatch
    lists = [name for name in node.fields if name in UNREDUCED]
    gathered = [Write(name, [write.value for write in writes if write.field == name]) for name in lists]
    return [*gathered, *(write for write in writes if write.field not in UNREDUCED)]


def frame_id(up: str, kind: str, place: str) -> str:
    """Return the id of a frame made by another one."""
    if kind == "arm":
        return f"{up}~{place}"
    if kind == "sub" and up.endswith("]"):
        return f"{up}/"
    return f"{up}/{place}" if up and not up.endswith("/") else f"{up}{place}"


def path_of(walker: Walker) -> str:
    """Return the path of a frame, without the arms around it."""
    above = path_of(walker.up) if walker.up is not None else ""
    if walker.kind in ("root", "arm") or (walker.kind == "sub" and walker.up and walker.up.kind == "item"):
        return above
    return "/".join(filter(None, (above, walker.place.removesuffix("/"))))


def spot(frame: str, node: str, entries: Mapping[str, int]) -> str:
    """Return the position of attempts: a node of a frame, and the number of the entry of the subgraph around it."""
    return f"{entries.get(around(frame, entries), 0)} {frame} {node}"


def around(frame: str, entries: Mapping[str, int]) -> str:
    """Return the innermost entered subgraph around a frame; "" if there is none."""
    ends = [end for end in range(1, len(frame) + 1) if frame[end - 1] == "/" and frame[:end] in entries]
    return frame[: ends[-1]] if ends else ""
