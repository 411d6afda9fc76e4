"""Resources: objects that nodes receive by name. Each Runner builds them once, and closes them."""

from __future__ import annotations

import asyncio
import inspect
import threading
from contextlib import AsyncExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from graphengine.engine.failures import text_of
from graphengine.errors import InputError, ResourceFailed
from graphengine.state.interrupts import reraise_interrupt
from graphengine.state.path import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphengine.engine.plan import Plan


_LOCKS: Final = (
    asyncio.Lock,
    asyncio.Condition,
    asyncio.Semaphore,
    threading.Condition,
    threading.Semaphore,
    type(threading.Lock()),
    type(threading.RLock()),
)


class Resources:
    """Builds the resources of one Runner, such as clients and connections, and closes them.

    A factory can return the resource, an awaitable of the resource, or a context manager (sync or async). A context
    manager is entered at once, and exited when the Runner closes.

    Args:
        replaced: Ready-made resources, by name, that replace the resources of graphs and that tools of agents get in
            addition. They are not closed here.
    """

    def __init__(self, replaced: Mapping[str, object]) -> None:
        self.replaced = dict(replaced)
        # together with the factory, whose id must not be used again
        self._built: dict[tuple[str, int], tuple[object, object]] = {}

    @cached_property
    def _stack(self) -> AsyncExitStack:
        return AsyncExitStack()

    @cached_property
    def _lock(self) -> asyncio.Lock:
        return asyncio.Lock()

    @property
    def is_used(self) -> bool:
        """Whether any resource was built, so that something must be closed."""
        return bool(self._built)

    async def of(self, factories: Mapping[str, Callable[[], Any]]) -> dict[str, object]:
        """Return the resources that a graph declares, by name. Resources that do not exist yet are built.

        Raises:
            ResourceFailed: A resource could not be built.
        """
        keys = [(name, id(factory)) for name, factory in factories.items()]
        if all(name in self.replaced or (name, key) in self._built for name, key in keys):
            return {name: await self._one(name, factory) for name, factory in factories.items()}
        async with self._lock:
            return {name: await self._one(name, factory) for name, factory in factories.items()}

    async def of_nest(self, plan: Plan[Any]) -> dict[int, Mapping[str, object]]:
        """Return the resources for a graph and for each graph inside it, by the id of the compiled graph.

        They consist of the graph's own resources, the resources of outer graphs, and the resources of the Runner. A
        compiled graph is used at several places only if the same resources surround it, so each is visited once.

        Raises:
            ResourceFailed: A resource could not be built.
        """
        found: dict[int, Mapping[str, object]] = {}
        await self._gather(plan, self.replaced, found)
        return found

    async def _gather(
        self, plan: Plan[Any], around: Mapping[str, object], found: dict[int, Mapping[str, object]]
    ) -> None:
        found[id(plan)] = {**around, **await self.of(plan.resources)} if plan.resources else around
        for inner in plan.graphs:
            if id(inner) not in found:
                await self._gather(inner, found[id(plan)], found)

    def check(self, factories: Mapping[str, object]) -> None:
        """Refuse a resource that replaces none of the graph's resources and whose name looks like a misspelling of one.

        Raises:
            InputError: A name is similar, but not equal, to the name of a resource of the graph.
        """
        for name in self.replaced:
            near = did_you_mean(name, factories)
            if name not in factories and near.startswith("did you mean"):
                raise InputError(f"unknown resource {name!r}", where="Runner(resources=…)", repair=near)

    async def _one(self, name: str, factory: Callable[[], Any]) -> object:
        if name in self.replaced:
            return self.replaced[name]
        key = (name, id(factory))
        if key not in self._built:
            try:
                self._built[key] = (factory, await self._build(factory))
            except BaseException as error:
                reraise_interrupt(error)
                current = asyncio.current_task()
                if isinstance(error, asyncio.CancelledError) and current is not None and current.cancelling():
                    raise
                raise ResourceFailed(
                    f"resource {name!r} could not be built: {type(error).__name__}: {text_of(error)}",
                    where=f"resource {name}",
                    repair="correct the factory or the things that it needs, and resume the run",
                ) from error
        return self._built[key][1]

    async def _build(self, factory: Callable[[], Any]) -> object:
        made = factory()
        if inspect.isawaitable(made):
            made = await made
        if isinstance(made, _LOCKS):
            # Nodes acquire a lock themselves. Entering the lock here would hold it as long as the Runner exists.
            return made
        entered = made
        if hasattr(made, "__aenter__"):
            entered = await self._stack.enter_async_context(made)
        elif hasattr(made, "__enter__"):
            entered = self._stack.enter_context(made)
        return made if entered is None else entered

    async def close(self) -> None:
        """Exit the context managers of all resources, the last entered first."""
        await self._stack.aclose()
