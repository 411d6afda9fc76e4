"""A pytest plugin for a clone of the core: `graphengine.Graph` and `graphengine.Runner` are the core's own there.

`make core` makes the clone, see `scripts/core.py`.
"""

import asyncio
from contextlib import suppress
from typing import Any, TypeVar

import graphengine
from graphengine.compile.compiler import compiled, problems_of
from graphengine.graph.definition import GraphDefinition
from graphengine.runner.runner import Runner

S = TypeVar("S")


class Graph(GraphDefinition[S]):
    """The graph of the core, with the methods of `graphengine.Graph` that need nothing else."""

    def compile(self) -> Any:
        return compiled(self)

    def check(self) -> Any:
        return problems_of(self)

    async def run(self, state: Any = None, **options: Any) -> Any:
        async with Runner() as runner:
            return await runner.start(self, state, **options).result()

    def run_sync(self, state: Any = None, **options: Any) -> Any:
        return asyncio.run(self.run(state, **options))


PUBLIC = dir(graphengine)


def names() -> list[str]:
    """Return the public names that the core has."""
    found = []
    for name in PUBLIC:
        with suppress(ImportError):
            getattr(graphengine, name)
            found.append(name)
    return found


vars(graphengine).update(Graph=Graph, Runner=Runner, __dir__=names)
