"""The interpreter of graphs with forks, maps and graphs inside them: one walker a frame, with copies of everything.

Arms, items and subgraphs walk one after the other in declared order, each to its end, which is as good an order as any
other: that is what the tests are about. At a join the writes of the arms are done again, in that order, on the state
the fork began with; those of items on the state the map began with; of a subgraph only what its node writes comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from graphengine.errors import FailReached, InvalidInputs, InvalidUpdate, MissingInput, SubgraphLimit
from tests.kit.interpreter import DEFAULTS, Interpreter, Misfit, Story, Told, Visit, at, reduced
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
"""Fields that become the list of what items wrote."""


class Misread(Exception):
    """A list of items, or an input, cannot be read; the first argument is what the engine calls it."""


class LimitReached(Exception):
    """A subgraph is at its limit; the first argument is its walker."""


@dataclass
class Record:
    """What the walkers of one run did, by the id of their frame.

    Attributes:
        rows: The steps of each path.
        states: The state behind each step that led on.
        joins: That at joins and at the ends of maps and subgraphs, with what the conditions say of the past there.
        seen: What each attempt saw.
        entries: How often a subgraph was entered.
        steps: Completed visits of the whole run.
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
        """A walker from a target of the fork that this one stands at."""
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
        """A walker of one item of the node that this one stands at."""
        item = Walker(self.case, self.outcomes, self, "item", f"{self.at}[{index}]")
        item.story = Story({**deepcopy(self.story.state), **values}, visits=list(self.story.visits))
        item.go(self.at)
        return item

    def sub(self, graph: Spec, state: dict[str, Any]) -> Walker:
        """A walker of the subgraph that this one stands at."""
        sub = Walker(Case(graph, (), ({},), state), self.outcomes, self, "sub", f"{self.at}/")
        if graph.whole and sub.story.state["total"] > 6:
            raise Misfit
        for name, value in state.items():
            if value is None and name != "score":
                raise Misfit
            if name == "capped" and len(value) > 3:
                raise Misfit
        sub.story.visits.append(Visit("START", set(state), deepcopy(sub.story.state)))
        return sub

    def walk(self, resumes: int) -> Story:
        """The whole story of a run, resumed so often after it failed."""
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
        """Go on where it failed."""
        if self.story.status == "failed":
            self.story.status = "running"
            for below in self.below():
                below.revive()

    def below(self) -> Sequence[Walker]:
        """The walkers of the frames that it has made."""
        return [*self.arms, *(self.items or ()), *([self.inside] if self.inside else [])]

    def turn(self) -> None:
        """Whatever comes next: what lies below, a way out that is still to be found, or an attempt."""
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
        """Where an attempt is made, so that what comes of it is the same whenever that is."""
        return spot(self.frame, self.at, self.record.entries)

    def check_limits(self) -> None:
        """Nothing new begins in a subgraph that is at its limit, not even the failure of one inside it."""
        above: Walker | None = self
        outermost: Walker | None = None
        while above is not None:
            if above.kind == "sub" and above.steps >= (above.spec.steps or 1000):
                outermost = above
            above = above.up
        if outermost is not None:
            raise LimitReached(outermost)

    def map(self, node: NodeSpec) -> None:
        """Let every item come to its end, and write what they gave in order."""
        if self.items is None:
            self.check_limits()
            try:
                lists = self.lists(node)
            except Misread as error:
                self.failed(error.args[0], Told(error.args[0], self.path(), self.attempt))
                return
            count = len(next(iter(lists.values())))
            self.note("mapped", count)
            self.items = [self.item(i, {name: items[i] for name, items in lists.items()}) for i in range(count)]
        for item in self.items:
            while item.story.status == "running":
                item.turn()
        self.check_limits()
        told = next((item.told for item in self.items if item.story.status == "failed"), None)
        if told is not None:
            self.failed(told.error, told)
            return
        try:
            writes = collected(node, self.items)
            state = self.updated(writes)
        except Misfit:
            self.failed(InvalidUpdate, Told(InvalidUpdate, self.path(), self.attempt))
            return
        self.drop()
        self.done(state, node, writes)

    def lists(self, node: NodeSpec) -> dict[str, list[Any]]:
        """What a node is mapped over, by the names of its items."""
        lists = {name: self.source(source) for name, source in node.each}
        if len({len(items) for items in lists.values()}) > 1:
            raise Misread(InvalidUpdate)
        return lists

    def source(self, source: str) -> list[Any]:
        """The items of one list."""
        try:
            found = counted(self.story.state["n"]) if source == COUNTED else at(self.story.state, source)
        except Boom as error:
            raise Misread(Boom) from error
        if found is None:
            raise Misread(MissingInput)
        return found

    def enter_graph(self, node: NodeSpec, graph: Spec) -> None:
        """Let the subgraph come to its end, and write its result; what it failed with is its node's failure."""
        if self.inside is None:
            self.check_limits()
            try:
                self.ended = ""  # of the graph at the node before
                self.inside = sub = self.sub(graph, self.inputs(node, graph))
            except Misread as error:
                self.wrong(error.args[0], Outcome(), retryable=False)
                return
            except Misfit:
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
            self.inside.told = Told(SubgraphLimit, self.path(), self.attempt)
            self.inside.story.status = "failed"
            self.inside.telling = self.inside.told
            self.inside.row("failed", None, "")
        self.check_limits()
        sub, self.ended = self.inside, self.inside.story.label
        if sub.story.status == "failed" and sub.told is not None:
            self.went_wrong(sub.told)
            return
        writes = [self.part(name, part, sub) for name, part in zip(node.fields, node.parts, strict=True)]
        try:
            state = self.updated(writes)
        except Misfit:
            self.went_wrong(Told(InvalidUpdate, self.path(), self.attempt))
            return
        self.drop()
        self.done(state, node, writes)

    def went_wrong(self, told: Told) -> None:
        """The subgraph failed, or its result does not fit: it is begun again or given up; a resume goes on in it."""
        self.wrong(told.error, Outcome(), retryable=getattr(told.error, "retryable", True), told=told)
        if self.story.status != "failed" or self.leaving:
            self.drop()

    def inputs(self, node: NodeSpec, graph: Spec) -> dict[str, Any]:
        """What the state of the subgraph begins with."""
        given = dict(node.inputs)
        found = {name: at(self.story.state, source) for name, source in given.items()}
        if any(value is None and name != "score" for name, value in found.items()):
            raise Misread(MissingInput)
        if not given and graph.apart == self.spec.apart:
            found = {name: self.story.state[name] for name in self.story.state if name not in ITEMS}
        return deepcopy(found)

    def part(self, name: str, part: str, sub: Walker) -> Write:
        """What of the subgraph's state, or of its end, is written to a field."""
        value = [sub.story.label] if part == STOP else deepcopy(at(sub.story.state, part))
        return Write(name, value, key=self.key())

    def drop(self) -> None:
        """What lies below is over; what it spent stays spent."""
        for below in self.below():
            self.pay(below.paid())
        self.items, self.inside = None, None

    def paid(self) -> dict[str, float | None]:
        """What was spent here and below."""
        found = dict(self.story.usage)
        for below in self.below():
            for name, amount in below.paid().items():
                found[name] = (found.get(name) or 0) + (amount or 0)
        return found

    def pay(self, usage: dict[str, float | None]) -> None:
        for name, amount in usage.items():
            self.story.usage[name] = (self.story.usage.get(name) or 0) + (amount or 0)

    def spent(self, name: str) -> float | None:
        """What was spent in this frame, with the items and the subgraph it made, and in those it has its state from."""
        own = super().spent(name) or 0
        own += sum(below.paid().get(name) or 0 for below in self.below() if below.kind != "arm")
        return own + (self.up.spent(name) or 0) if self.up is not None and self.kind == "arm" else own

    def updated(self, writes: Sequence[Write]) -> dict[str, Any]:
        """A copy of the state with these writes; an item's are looked at one by one."""
        if self.kind == "item":
            return self.tried(writes)
        return super().updated(writes)

    def tried(self, writes: Sequence[Write]) -> dict[str, Any]:
        """An item's writes judged alone, each by itself: what becomes of them all is seen when the map ends."""
        empty = deepcopy(dict(DEFAULTS))
        for write in writes:
            if write.field == "nowhere":
                raise Misfit
            if write.field not in UNREDUCED or write.value == "x":
                reduced(empty[write.field], write)
        return self.story.state

    def done(self, state: dict[str, Any], node: NodeSpec, writes: Sequence[Write]) -> None:
        """A visit is complete; or an item is."""
        if self.kind == "item":
            self.written = list(writes)
            self.story.status = "arrived"
            self.note("item", None)
        else:
            super().done(state, node, writes)

    def failed(self, error: type[Exception], told: Told) -> None:
        """A way for this failure, or the end; an item has no ways."""
        if self.kind == "item":
            self.telling = told
            self.note("failed", None)
            self.told, self.story.status = told, "failed"
            self.attempt, self.tries, self.due, self.in_fallback = self.attempt + 1, 0, 0.0, False
        else:
            super().failed(error, told)
        if self.story.status != "failed":
            self.drop()
        elif self.below():
            self.attempt -= 1  # it goes on below, in the same attempt

    def completed(self) -> None:
        """Count the visit wherever it counts."""
        self.record.steps += 1
        above: Walker | None = self
        while above is not None:
            above.steps += 1
            above = above.up

    def path(self) -> str:
        """The node's place in the run, in which arms have no part."""
        return path_of(self) if self.kind == "item" else "/".join(filter(None, (path_of(self), self.at)))

    def led_to_fail(self) -> Told:
        """The failure is the node's that the graph is."""
        above: Walker | None = self
        while above is not None and above.kind == "arm":
            above = above.up
        node = above.up if above is not None else None
        return Told(FailReached, path_of(self), node.attempt if node is not None else 1)

    def key(self) -> str:
        """The key that an item is written under."""
        return str(self.story.state["item"]) if self.kind == "item" else ""

    def enter(self, kind: str, found: Any) -> None:
        """Go on: into arms, to the end of this one, to a node, or to the end."""
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
        """Let every arm come to its end, and do what they wrote again."""
        for arm in self.arms:
            while arm.story.status == "running":
                arm.turn()
        self.check_limits()
        self.told = next((arm.told for arm in self.arms if arm.story.status == "failed"), None)
        try:
            state = self.joined()
        except Misfit:
            self.told = self.told or Told(InvalidUpdate, "/".join(filter(None, (path_of(self), self.join_at))), 1)
            self.story.status = self.story.reason = "failed"
            self.telling = self.told
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
        """The state with what every arm wrote; an arm may replace a field only if no other arm writes it."""
        if any(arm.story.status == "failed" for arm in self.arms):
            raise Misfit
        for arm in self.arms:
            others = {write.field for other in self.arms if other is not arm for write in other.wrote}
            if any(write.replace and write.field in others for write in arm.wrote):
                raise Misfit
        return self.updated([write for arm in self.arms for write in arm.wrote])

    def note(self, kind: str, what: Any) -> None:
        """A row of this frame's node, and the state behind it where it leads on."""
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
                said = [self.holds(cond) for cond in self.past]
                self.record.joins.setdefault(self.frame, []).append((deepcopy(self.story.state), said))

    def row(self, kind: str, what: Any, node: str) -> None:
        """One step."""
        visit, attempt = (0, 0) if kind in ("started", "joined") else (self.visit, self.attempt)
        told = self.telling
        if told is not None and (kind in ("attempt", "failed") or (kind == "joined" and what is None)):
            what = (what, told.path, told.kind, told.attempt)
        self.record.rows.setdefault((self.frame, node), []).append((kind, visit, attempt, what))


def collected(node: NodeSpec, items: Sequence[Walker]) -> list[Write]:
    """What all items wrote; a field without a reducer becomes the list of it."""
    writes = [write for item in items for write in item.written]
    keys = [write.key for write in writes if write.field == "found"]
    if len(set(keys)) < len(keys):
        raise Misfit
    lists = [name for name in node.fields if name in UNREDUCED]
    gathered = [Write(name, [write.value for write in writes if write.field == name]) for name in lists]
    return [*gathered, *(write for write in writes if write.field not in UNREDUCED)]


def frame_id(up: str, kind: str, place: str) -> str:
    """The id of a frame made by another one."""
    if kind == "arm":
        return f"{up}~{place}"
    if kind == "sub" and up.endswith("]"):
        return f"{up}/"
    return f"{up}/{place}" if up and not up.endswith("/") else f"{up}{place}"


def path_of(walker: Walker) -> str:
    """The place of a frame, without the arms it lies in."""
    above = path_of(walker.up) if walker.up is not None else ""
    if walker.kind in ("root", "arm") or (walker.kind == "sub" and walker.up and walker.up.kind == "item"):
        return above
    return "/".join(filter(None, (above, walker.place.removesuffix("/"))))


def spot(frame: str, node: str, entries: Mapping[str, int]) -> str:
    """A place of attempts: a node of a frame, and which entry of the subgraph around it this is."""
    return f"{entries.get(around(frame, entries), 0)} {frame} {node}"


def around(frame: str, entries: Mapping[str, int]) -> str:
    """The innermost subgraph that a frame lies in, of those that were entered; "" for none."""
    ends = [end for end in range(1, len(frame) + 1) if frame[end - 1] == "/" and frame[:end] in entries]
    return frame[: ends[-1]] if ends else ""
