"""A pytest plugin for a clone of the core, whose `Graph` and `Runner` are then those of the package.

`make core` makes the clone, see `scripts/core.py`. It has no databases: a path is there the name of a store in memory.
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import graphengine
from graphengine.compile.compiler import compiled, problems_of
from graphengine.doors import checked
from graphengine.graph.definition import GraphDefinition
from graphengine.runner import runner as drives
from graphengine.stores.base import Store
from graphengine.stores.memory import InMemoryStore

S = TypeVar("S")
STORES: Final[dict[Path, InMemoryStore]] = {}


class Runner(drives.Runner):
    """The Runner of the core, over a store, or the store in memory that has the name of a path."""

    def __init__(self, store: Store | Path | None = None, **options: Any) -> None:
        super().__init__(STORES.setdefault(store, InMemoryStore()) if isinstance(store, Path) else store, **options)


class Graph(GraphDefinition[S]):
    """The graph of the core, with the methods of `graphengine.Graph` that need nothing else."""

    def compile(self) -> Any:
        return compiled(self)

    def check(self) -> Any:
        return problems_of(self)

    async def run(self, state: Any = None, *, store: Any = None, resources: Any = None, **options: Any) -> Any:
        async with Runner(store, resources=resources) as runner:
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


for _each in (GraphDefinition, drives.Runner):
    checked(_each)
vars(graphengine).update(Graph=Graph, Runner=Runner, __dir__=names)
