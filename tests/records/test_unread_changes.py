"""A field is called unread only if changing it changes nothing that a run does afterwards. Random graphs show it."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Limits, Retry, RunFailed, Runner, failed, value
from graphengine.kernel.reader import load_snapshot
from graphengine.records.unread_changes import unread_changes

FIELDS = ("a", "b", "c", "d")


class State(BaseModel):
    a: int = 0
    b: int = 0
    c: int = 0
    d: int = 0


class Drawn:
    """A random graph with forks, loops, conditions, failures and fallbacks. Each node reads and writes some fields.

    Attributes:
        called: The nodes that were called, with the values that they read.
    """

    def __init__(self, draw: random.Random) -> None:
        self.called: list[tuple[object, ...]] = []
        self.graph = Graph("drawn", State, result=draw.choice([None, *FIELDS]), limits=Limits(visits=15))
        nodes = [f"n{place}" for place in range(draw.randint(2, 5))]
        for name in nodes:
            inputs = {f"p{place}": field for place, field in enumerate(draw.sample(FIELDS, draw.randint(0, 2)))}
            options: dict[str, Any] = {"fallback": 3} if draw.random() < 0.3 else {}
            function = self.function(name, len(inputs), fails=draw.random() < 0.2)
            self.graph.add_node(
                name, function, inputs=inputs, writes=draw.choice(FIELDS), retry=Retry(attempts=1), **options
            )
        self.graph.add_edge(START, nodes[0])
        for place, name in enumerate(nodes):
            later = [*nodes[place + 1 :], END]
            if draw.random() < 0.3:
                self.graph.add_edge(name, draw.choice(later), when=failed(Exception))
            if len(later) > 3 and draw.random() < 0.5:
                self.graph.add_fork(name, later[:2], join=later[2])
                continue
            for _ in range(draw.randint(0, 2)):
                when = value(draw.choice(FIELDS)) > draw.randint(0, 3)
                self.graph.add_edge(name, draw.choice([*nodes, END]), when=when)
            self.graph.add_edge(name, draw.choice(later))

    def function(self, name: str, count: int, *, fails: bool) -> Callable[..., int]:
        """Return the function of a node, which notes its call. If it `fails`, it divides by the sum of its inputs."""

        def called(*values: int) -> int:
            self.called.append((name, *values))
            return 4 // sum(values) if fails else (1 + sum(values)) % 5

        def with_one(p0: int) -> int:
            return called(p0)

        def with_two(p0: int, p1: int) -> int:
            return called(p0, p1)

        return (lambda: called(), with_one, with_two)[count]  # noqa: PLW0108 - without parameters

    async def end_of_branch(self, runner: Runner, at: int, path: str, update: dict[str, int]) -> tuple[object, ...]:
        """Return what a branch of the run `first` calls, how it ends, and its output if the graph declares one."""
        self.called.clear()
        try:
            result = await runner.branch("first", self.graph, at, path=path, update=update).result()
        except RunFailed as error:
            return sorted(map(str, self.called)), error.result.status
        has_output = result.status == "finished" and self.graph.compile().result is not None
        return sorted(map(str, self.called)), result.status, result.output if has_output else None


@pytest.mark.parametrize("seed", range(4))
async def test_a_change_of_an_unread_field_changes_nothing_else(seed: int) -> None:
    """Both with a node that replaces the value, and with a value that stays until the end."""
    draw, seen = random.Random(seed), {True: 0, False: 0}  # noqa: S311 - a drawn graph
    while min(seen.values()) < 15:
        drawn = Drawn(draw)
        if any(not problem.warning for problem in drawn.graph.check()):
            continue
        async with Runner() as runner:
            try:
                last = (await runner.start(drawn.graph, run_id="first").result()).seq
            except RunFailed as error:
                last = error.result.seq
            for at in range(1, last):
                snapshot = await load_snapshot(runner.store, "first", at)
                path = draw.choice([frame.id for frame in snapshot.frames.values()])
                before = await drawn.end_of_branch(runner, at, path, {})
                for field, replacing in unread_changes(drawn.graph.compile(), snapshot, path, FIELDS).items():
                    seen[bool(replacing)] += 1
                    assert await drawn.end_of_branch(runner, at, path, {field: 7}) == before, (field, at, path)
