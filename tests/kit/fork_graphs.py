"""Random graphs with well-formed forks: made as a tree, so that each arm is a block of its own.

A block is a row of nodes with one exit; its edges lead forward inside the block or to the exit, and back only where a
count of visits forces an end. A fork's arms are blocks whose exit is its join: a later node of the row, its own node,
an earlier one, or the exit itself. Fields without a reducer are divided among the arms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

from tests.kit.graphs import PRESENT, condition, node
from tests.kit.spec import Cond, EdgeSpec, ForkSpec, NodeSpec, Outcome, Spec, SwitchSpec

KINDS = (*PRESENT, "iterations", "plateau", "plateau", "changed", "iterations", "function")
REDUCED = ("log", "many", "table", "total", "best", "seen", "capped")
ALONE = ("n", "score", "kind", "slots[k]", "slots[l]")
WAITS = ("ask", "receive", "sleep", "sleep", "child", "unknown")


@dataclass
class Fork:
    """A fork of a slot: its arms; None means that the arm is the join itself."""

    arms: list[Block | None]
    join: str
    last: bool


@dataclass
class Slot:
    """A node of a block."""

    name: str
    fork: Fork | None = None


@dataclass
class Block:
    """A row of nodes and its exit."""

    exit: str
    free: tuple[str, ...]
    slots: list[Slot] = field(default_factory=list)


class Maker:
    """A maker of one graph."""

    def __init__(self, random: Random, depth: int) -> None:
        self.random = random
        self.names: list[str] = []
        self.nodes: list[NodeSpec] = []
        self.edges: list[EdgeSpec | SwitchSpec | ForkSpec] = []
        self.root = self.block("END", self.alone(), depth)
        first = self.root.slots[0].name
        self.begin = self.fork(first, [*self.root.slots], self.root, depth) if depth and random.random() < 0.4 else None

    def alone(self) -> tuple[str, ...]:
        """Return the places that can be written without a reducer."""
        return ALONE

    def block(self, leads_to: str, free: tuple[str, ...], depth: int) -> Block:
        """Return a block with its forks."""
        made = Block(leads_to, free, [Slot(self.name()) for _ in range(self.random.choice((1, 1, 2, 3)))])
        for i, slot in enumerate(made.slots):
            if depth and self.random.random() < (0.8 if depth == 1 else 0.5):
                following = made.slots[i + 1].name if i + 1 < len(made.slots) else leads_to
                back = [s.name for s in made.slots[: i + 1]]
                slot.fork = self.fork(following, made.slots[i + 1 :], made, depth, back)
        return made

    def fork(self, following: str, later: Sequence[Slot], block: Block, depth: int, back: Sequence[str] = ()) -> Fork:
        """Return a fork that joins at the next node, further on, or back."""
        last = self.random.random() < 0.6
        join = following if last else self.random.choice([following, *(s.name for s in later), block.exit, *back])
        count = self.random.choice((1, 2, 2, 2, 3))
        shares: list[list[str]] = [[] for _ in range(count + 1)]
        for place in block.free:
            self.random.choice(shares).append(place)
        straight = self.random.randrange(count) if self.random.random() < 0.1 else None
        arms = [None if i == straight else self.block(join, tuple(shares[i]), depth - 1) for i in range(count)]
        return Fork(arms, join, last)

    def name(self) -> str:
        self.names.append(f"n{len(self.names)}")
        return self.names[-1]

    def spec(self) -> Spec:
        """Return the whole graph."""
        if self.begin is not None:
            when = None if self.begin.last else self.condition()
            self.emit_fork("START", self.begin, when)
        if self.begin is None or not self.begin.last:
            self.edges.append(EdgeSpec("START", self.root.slots[0].name))
        self.emit(self.root)
        return Spec(tuple(self.nodes), tuple(self.edges), self.random.random() < 0.5)

    def condition(self) -> Cond:
        return condition(self.random, self.names, KINDS)

    def emit(self, block: Block) -> None:
        """Add the nodes and edges of a block and of those below it."""
        random = self.random
        fields = [*REDUCED, *(place for place in block.free if "[" not in place)]
        keys = [place[6:-1] for place in block.free if "[" in place]
        for i, slot in enumerate(block.slots):
            made = self.node(slot.name, fields, keys)
            self.nodes.append(made)
            on = [s.name for s in block.slots[i + 1 :]] + [block.exit]
            back = [s.name for s in block.slots[: i + 1]]
            edges = [*self.after(made, on), *self.some_edges(slot.name, on, back)]
            if slot.fork is not None and not slot.fork.last:
                when: Cond = self.condition()
                if slot.fork.join in back:
                    when = ("and", when, ("iterations", slot.name, None, "<=", 3))
                self.emit_fork(slot.name, slot.fork, when)
            self.edges += edges
            if slot.fork is not None and slot.fork.last:
                self.emit_fork(slot.name, slot.fork, None)
            elif random.random() < 0.1:
                self.edges.append(EdgeSpec(slot.name, on[0], ("value", "n", "<", 10), "maybe"))
            else:
                self.edges.append(EdgeSpec(slot.name, on[0]))

    def node(self, name: str, fields: Sequence[str], keys: Sequence[str]) -> NodeSpec:
        """Return a node that can write these fields and keys."""
        return node(self.random, name, fields, keys)

    def after(self, made: NodeSpec, on: Sequence[str]) -> Sequence[EdgeSpec]:
        """Return the outgoing edges that only this kind of node has."""
        return ()

    def failures(self) -> Sequence[str]:
        """Return the failures that an edge can follow."""
        return ("boom", "slow", "any")

    def emit_fork(self, source: str, fork: Fork, when: Cond | None) -> None:
        arms = [
            (fork.join if arm is None else arm.slots[0].name, self.condition() if self.random.random() < 0.2 else None)
            for arm in fork.arms
        ]
        self.edges.append(ForkSpec(source, tuple(arms), fork.join, when, self.random.choice(("", "fork"))))
        for arm in fork.arms:
            if arm is not None:
                self.emit(arm)

    def some_edges(self, name: str, on: Sequence[str], back: Sequence[str]) -> list[EdgeSpec | SwitchSpec]:
        """Return edges with conditions, forward and back, after success and after failure."""
        random = self.random
        found: list[EdgeSpec | SwitchSpec] = []
        for i in range(random.choice((0, 0, 0, 1, 2))):
            target = random.choice([*on, *back, *on, *back, "FAIL"])
            found.append(EdgeSpec(name, target, self.guarded(self.condition(), name, target in back), f"edge {i}"))
        if random.random() < 0.2:
            found.append(SwitchSpec(name, "n", tuple((n, random.choice(on)) for n in (1, 2, 5))))
        for i in range(random.choice((0, 1, 1))):
            target = random.choice([*on, *back])
            when: Cond = ("failed", random.choice(self.failures()))
            found.insert(0, EdgeSpec(name, target, self.guarded(when, name, target in back), f"failure {i}"))
        return found

    def guarded(self, when: Cond, name: str, back: bool) -> Cond:  # noqa: FBT001 - one of two forms
        return ("and", when, ("iterations", name, None, "<=", 3)) if back else when


def fork_spec(random: Random, depth: int, *, whole: bool = False) -> Spec:
    """Return a graph with forks up to this depth; `whole` adds a validator of the whole state."""
    return replace(Maker(random, depth).spec(), whole=whole)


def outcome(seed: object, at: str, visit: int, attempt: int) -> Outcome:
    """Return the outcome of an attempt, which does not depend on when it is made."""
    random = Random(f"{seed} {at} {visit} {attempt}")  # noqa: S311 - no secret
    kind = random.choice(("ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "bad", "boom", "slow"))
    made = Outcome(kind, random.randint(0, 12), 0, 0.5, random.choice((0, 0, 1, 3)))
    groups = random.choice((0, 0, 0, 1, 2))
    return replace(made, waits=tuple(tuple(random.choices(WAITS, k=random.choice((1, 1, 2)))) for _ in range(groups)))
