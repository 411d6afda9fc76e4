"""Random programs, and how one that fails becomes a smaller one that fails in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from random import Random
from typing import Any, TypeVar

from tests.crossing import program as p

T = TypeVar("T")
EFFECTS: tuple[p.Effect, ...] = ("", "idempotent", "once", "reconcile")
CHANGES: tuple[p.Change, ...] = ("words", "tools", "effects", "approvals", "limits", "types", "edges", "questions")
HOWS: tuple[p.How, ...] = ("flaky", "refused", "cut", "bad")
MOST = 32
"""The weight of a program at most, unless it is a large one."""
MOST_RUNS = 30
"""How many child runs a tree has at most."""


class Draw:
    """Draws programs from a seed; the same seed gives the same program."""

    def __init__(self, seed: object) -> None:
        self.random = Random(str(seed))  # noqa: S311 - no secret

    def one(self, *choices: T) -> T:
        """Return one of these."""
        return self.random.choice(choices)

    def chance(self, share: float) -> bool:
        """Return True with this chance."""
        return self.random.random() < share

    def program(self) -> p.Program:
        """Return a program."""
        draw, processes = self.random, self.one(1, 1, 2)
        main: p.Graph | p.Chat = self.chat() if self.chance(0.3) else self.graph(self.one(1, 1, 2, 3), 2)
        while weight(main) > MOST:
            main = self.graph(self.one(1, 1, 2, 3), 2)
        last = min((2 if isinstance(main, p.Chat) else 4) * weight(main) + 4, 80)
        events = tuple(self.event(draw.randint(1, last)) for _ in range(self.one(0, 1, 1, 2, 3)))
        events = tuple(each for event in events for each in self.deployed(event))
        if isinstance(main, p.Chat):  # it ends only if it is stopped
            events = tuple(each for event in events for each in _ended_before(event))
        return p.Program(
            main,
            tuple(sorted(events, key=lambda event: event.at)),
            visits=self.one(0, 0, 0, 0, 3),
            quarters=self.one(0, 0, 1, 2, 4),
            budget=self.one(0, 0, 2, 5),
            over=self.one("wait", "wait", "ask"),
            processes=processes,
            lag=self.one(0, 1, 2, 4, 7, 8),
        )

    def tree(self) -> p.Program:
        """Return a program with a deep and wide tree of child runs, which is stopped, most often while it grows."""
        draw, main = self.random, p.Graph((p.Node(self.ops(0, most=2)),))
        for most in self.one((30,), (12, 6), (6, 4, 3)):
            start = p.Start(main, self.one(1, 1, 2, 3), draw.randint(2, most), self.chance(0.2), self.chance(0.1))
            above = p.Graph((p.Node((start,), width=self.one(0, 0, 0, 2)),))
            main = above if weight(above) <= MOST_RUNS else main
        last = 3 * weight(main)
        events: list[p.Event] = [p.Stop(draw.randint(1, last // 2), self.chance(0.3))]
        events += [self.event(draw.randint(1, last)) for _ in range(self.one(0, 0, 1, 2))]
        return p.Program(
            main,
            tuple(sorted(events, key=lambda event: event.at)),
            processes=self.one(1, 1, 2),
            lag=self.one(0, 1, 2, 4, 7, 8),
        )

    def spending(self) -> p.Program:
        """Return a program whose agents spend side by side, under a limit of the run and a budget of all."""
        draw, count = self.random, self.one(1, 2, 3)
        arms = tuple(
            p.Node(self.talk(), width=self.one(0, 2, 6), concurrency=self.one(1, 2, 16), attempts=self.one(1, 2))
            for _ in range(count)
        )
        main = p.Graph((p.Fork(arms) if count > 1 else arms[0],))
        events = tuple(self.event(draw.randint(1, 4 * weight(main))) for _ in range(self.one(0, 0, 1)))
        return p.Program(main, events, quarters=self.one(1, 2, 4), budget=self.one(2, 5), lag=self.one(0, 1, 4))

    def large(self) -> p.Program:
        """Return a program with a map of up to 2,000 items, or a chain of up to 600 child runs, which is stopped."""
        draw = self.random
        if self.chance(0.5):
            width = draw.randint(100, 2000)
            node = p.Node(self.ops(0, most=2), width=width, concurrency=self.one(2, 16, 1000))
            events = tuple(self.event(draw.randint(1, 4 * width)) for _ in range(self.one(0, 1)))
            return p.Program(p.Graph((node,)), events)
        deep = self.one(600, draw.randint(20, 600))
        chain = p.Node((p.Start(p.Graph((p.Node((self.op(0),)),)), deep=deep),))
        return p.Program(p.Graph((chain,)), (p.Stop(self.one(0, 0, draw.randint(1, 4 * deep))),))

    def chat(self) -> p.Chat:
        """Return a chat."""
        turns = [p.Turn(tool=self.tool() if self.chance(0.6) else None) for _ in range(self.random.randint(2, 5))]
        return p.Chat(tuple(replace(turn, how=self.one(*HOWS)) if self.chance(0.5) else turn for turn in turns))

    def graph(self, size: int, depth: int) -> p.Graph:
        """Return a graph of some stages, in which graphs and child runs are nested so deep."""
        stages = tuple(self.stage(depth) for _ in range(self.random.randint(1, size)))
        return p.Graph(stages, rounds=self.one(1, 1, 1, 1, 2, 3))

    def stage(self, depth: int) -> p.Node | p.Fork:
        """Return a node, or a fork of some."""
        if self.chance(0.75):
            return self.node(depth)
        arms = tuple(self.node(depth - 1) for _ in range(self.one(2, 2, 3)))
        return p.Fork(arms, need=self.one(0, 0, 1))

    def node(self, depth: int) -> p.Node:
        """Return a node."""
        kind = self.one("ops", "ops", "ops", "talk", "graph") if depth > 0 else self.one("ops", "ops", "talk")
        does: Any = self.talk() if kind == "talk" else self.graph(2, depth - 1) if kind == "graph" else self.ops(depth)
        effect = self.one(*EFFECTS) if kind == "ops" and self.chance(0.3) else ""
        width = self.one(0, 0, 0, 1, 2, 4, 6)
        fallback = self.ops(0, most=1) if self.chance(0.25) else ()
        if fallback and kind == "ops":
            does += (p.Fail(3),)
        return p.Node(
            does, effect, width, self.one(1, 2, 16), self.chance(0.3), self.one(1, 1, 1, 2, 3), fallback
        )  # fmt: skip

    def ops(self, depth: int, most: int = 3) -> tuple[p.Op, ...]:
        """Return the operations of a node."""
        return tuple(self.op(depth) for _ in range(self.random.randint(1, most)))

    def op(self, depth: int) -> p.Op:
        """Return an operation."""
        kinds: tuple[Callable[[], p.Op], ...] = (
            p.Act,
            p.Act,
            lambda: p.Call(self.one(*EFFECTS), asks=self.chance(0.03)),
            lambda: p.Call(self.one(*EFFECTS)),
            lambda: p.Ask(self.one(0, 0, 30)),
            lambda: p.Receive(self.one(0, 0, 30)),
            p.Send,
            lambda: p.Sleep(self.one(1, 60)),
            lambda: p.Fail(self.one(1, 1, 2, 3), odd=self.chance(0.3)),
        )
        if depth > 0 and self.chance(0.2):
            return self.start(depth - 1)
        return self.one(*kinds)()

    def start(self, depth: int) -> p.Start:
        """Return the start of child runs."""
        wide, deep = self.one((1, 1), (1, 1), (2, 1), (3, 1), (1, 2), (1, 4), (2, 2))
        return p.Start(self.graph(1, depth), wide, deep, told=self.chance(0.2), stays=self.chance(0.2))

    def talk(self) -> p.Talk:
        """Return an agent."""
        tools = tuple(self.tool() for _ in range(self.one(0, 1, 2)))
        return p.Talk(tools, at_once=self.chance(0.5), flaky=self.one(0, 0, 0, 1))

    def tool(self) -> p.Tool:
        """Return a tool."""
        return p.Tool(self.one(*EFFECTS), self.one("", "", "yes", "no"))

    def deployed(self, event: p.Event) -> tuple[p.Event, ...]:
        """Return an event; a deployment most often with the end of the process that has the code of before."""
        ends = self.one(None, p.Kill(event.at), p.Kill(event.at, durable=True), p.Close(event.at))
        return (event, ends) if isinstance(event, p.Deploy) and event.at and ends is not None else (event,)

    def changes(self) -> tuple[p.Change, ...]:
        """Return what differs in a deployment: most often some of all, at times all or nothing."""
        share = self.one(0.2, 0.5, 0.5, 1.0)
        return tuple(each for each in CHANGES if self.chance(share))

    def event(self, at: int) -> p.Event:
        """Return something that happens at a write."""
        kinds: tuple[Callable[[], p.Event], ...] = (
            lambda: p.Kill(at),
            lambda: p.Kill(at, durable=True),
            lambda: p.Full(at, self.one(1, 2, 5)),
            lambda: p.Stop(self.one(0, at, at), now=self.chance(0.5)),
            lambda: p.Close(at),
            lambda: p.Peer(at),
            lambda: p.Post(at),
            lambda: p.Branch(at, self.random.randint(0, 12)),
            lambda: p.Migrate(at),
            lambda: p.Deploy(self.one(0, at, at), self.changes()),
            lambda: p.Deploy(self.one(0, at, at), self.changes()),
            lambda: p.Trim(at),
            lambda: p.Prune(at, failed=self.chance(0.5)),
        )
        return self.one(*kinds)()


def _ended_before(event: p.Event) -> tuple[p.Event, ...]:
    """Return an event, and if it prunes, before it a stop."""
    return (p.Stop(event.at, now=True), p.Prune(event.at + 4, failed=True)) if isinstance(event, p.Prune) else (event,)


# --- Shrinking --------------------------------------------------------------------------------------------------------


def weight(part: object) -> int:
    """Return about how many operations a part of a program has."""
    weights: dict[type, Callable[[Any], int]] = {
        tuple: lambda each: sum(map(weight, each)),
        p.Graph: lambda each: each.rounds * weight(each.stages),
        p.Fork: lambda each: weight(each.arms),
        p.Node: lambda each: max(each.width, 1) * max(weight(each.does), 1),
        p.Start: lambda each: each.wide * (each.deep + weight(each.graph)),
        p.Talk: lambda each: 2 + 2 * len(each.tools),
        p.Chat: lambda each: 5 * len(each.turns),
    }
    return weights.get(type(part), lambda _: 1)(part)


def shrunk(program: p.Program, fails: Callable[[p.Program], bool], tries: int = 2000) -> p.Program:
    """Return a smaller program that still fails: parts are dropped, numbers get smaller, as long as it does."""
    moved = True
    while moved:
        moved = False
        for smaller in smaller_of(program):
            tries -= 1
            if tries < 0:
                return program
            if fails(smaller):
                program, moved = smaller, True
                break
    return program


def smaller_of(part: Any) -> Iterator[Any]:
    """Yield what a part can be replaced by, the largest steps first."""
    if isinstance(part, tuple):
        yield from (part[:at] + part[at + 1 :] for at in range(len(part)))
        yield from ((*part[:at], other, *part[at + 1 :]) for at, each in enumerate(part) for other in smaller_of(each))
    elif is_dataclass(part) and not isinstance(part, type):
        given = [(each, getattr(part, each.name)) for each in fields(part)]
        yield from (replace(part, **{each.name: each.default}) for each, value in given if _can_reset(each, value))
        yield from (replace(part, **{each.name: other}) for each, value in given for other in smaller_of(value))
        if isinstance(part, (p.Node, p.Fork)):
            yield from (below for below in p.parts(part) if isinstance(below, p.Node) and below is not part)
    elif type(part) is int and part > 1:
        yield from {part // 2, part - 1}


def _can_reset(each: Field[Any], value: object) -> bool:
    return each.default is not MISSING and value != each.default
