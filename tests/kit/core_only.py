"""A pytest plugin with which tests see the core alone: no other package of graphengine, and none that only others need.

`pytest --noconftest -p tests.kit.core_only` with `PYTEST_DISABLE_PLUGIN_AUTOLOAD=1`; `tests/test_core.py` starts it.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions
from types import ModuleType
from typing import Any, TypeVar

import pytest
from packaging.utils import canonicalize_name

from tests.kit.clean_environment import closure
from tests.kit.contracts import NEEDS, TOOLS, contract

HELPERS = ("graphengine.testing", "graphengine.testing.clock")
"""What of the other packages tests may use: the clock needs only the core."""


class Wall(MetaPathFinder):
    """Finds nothing, and refuses what the core does not need."""

    def __init__(self) -> None:
        _, self.wings = contract()
        allowed = {canonicalize_name(each.name) for each in closure([*NEEDS, *TOOLS])}
        self.others = {
            module
            for module, names in packages_distributions().items()
            if not allowed.intersection(map(canonicalize_name, names))
        } - {"graphengine", "tests"}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return None; raise ImportError for a module behind the wall."""
        package = ".".join(fullname.split(".")[:2])
        if (package in self.wings and fullname not in HELPERS) or fullname.partition(".")[0] in self.others:
            raise ImportError(f"the core does not need {fullname}", name=fullname)
        return None


sys.meta_path.insert(0, Wall())

import graphengine  # noqa: E402 - behind the wall
from graphengine.compile.compiler import compiled, problems_of  # noqa: E402
from graphengine.graph.definition import GraphDefinition  # noqa: E402
from graphengine.runner.runner import Runner  # noqa: E402
from graphengine.stores.memory import MemoryStore  # noqa: E402
from graphengine.testing.clock import FakeClock  # noqa: E402

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


@pytest.fixture
async def runner() -> AsyncIterator[Runner]:
    """Return a Runner in memory."""
    async with Runner() as made:
        yield made


@pytest.fixture
def clock() -> FakeClock:
    """Return the clock of the timed runner."""
    return FakeClock(start=1000.0)


@pytest.fixture
async def timed(clock: FakeClock) -> AsyncIterator[Runner]:
    """Return a Runner in memory on a fake clock."""
    async with Runner(clock=clock) as made:
        yield made


@pytest.fixture
def fresh() -> Callable[[], AbstractContextManager[None]]:
    """Return what gives a store in memory for each case of a page."""
    return nullcontext


@pytest.fixture
def database() -> None:
    """Skip: a database is not of the core."""
    pytest.skip("stores in databases are not of the core")


@pytest.fixture
def store() -> MemoryStore:
    """Return a store in memory."""
    return MemoryStore()
