"""Sets of tools: some of those of a source or a list, under a prefix, and offered in some turns alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from graphengine.agents.tools import LeavesOut, Tool, ToolSource, split_tools
from graphengine.kernel import DefinitionError
from graphengine.kernel.definitions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence


def toolset(
    *tools: Callable[..., object] | ToolSource,
    only: Collection[str] | None = None,
    prefix: str = "",
    offered: Callable[..., bool] | None = None,
) -> list[Tool | ToolSource]:
    """Return tools for `Agent(tools=[*toolset(…), …])`, with what is said of all of them.

    Args:
        tools: Functions, `tool(function, …)`, `mcp(…)` and other sources, and sets.
        only: Those to use, by the names that models get without the prefix; all if not given.
        prefix: Put before each name.
        offered: In which turns models get them, as for `tool`.

    Raises:
        DefinitionError: A name in `only` is no tool's, or a prefix makes a name that no provider accepts.

    Example:
        >>> def look(word: str) -> str: ...
        >>> def write(text: str) -> str: ...
        >>> [each.name for each in toolset(look, write, only=["write"], prefix="wiki_")]
        ['wiki_write']
    """
    kit, hosted = split_tools(tools)
    if hosted:
        text = f"{hosted[0].name} is run by the model's provider, under its own name"
        raise DefinitionError(text, where="toolset", repair="give it to the agent itself")
    chosen = _Chosen(None if only is None else frozenset(only), prefix, offered)
    own = [each for each in kit if isinstance(each, Tool)]
    made = chosen.of(own, is_all=len(own) == len(kit))
    return [*made, *(_Part(each, chosen) for each in kit if not isinstance(each, Tool))]


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What is said of the tools of a set: the arguments of `toolset`."""

    only: frozenset[str] | None
    prefix: str
    offered: Callable[..., bool] | None

    def of(self, tools: Sequence[Tool], *, is_all: bool) -> list[Tool]:
        """Return those of the tools that are in the set, as they are there.

        Raises:
            DefinitionError: These are all there can be, and a name is none of theirs.
        """
        known = {each.name: each for each in tools}
        wanted = known.keys() if self.only is None else self.only
        for name in sorted(wanted - known.keys()) if is_all else ():
            text, repair = f"toolset(only=…): there is no tool {name!r}", did_you_mean(name, known)
            raise DefinitionError(text, where="toolset", repair=repair)
        return [
            replace(
                each,
                name=self.prefix + each.name,
                origin=each.origin and self.prefix + each.origin,
                offered=self.offered or each.offered,
            )
            for each in tools
            if each.name in wanted
        ]


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """The tools of a source that are in a set, as a source."""

    source: ToolSource
    chosen: _Chosen

    @property
    def name(self) -> str:
        """Its source's name."""
        return self.source.name

    @property
    def approve(self) -> object:
        """When a person is asked, if the source says it."""
        return getattr(self.source, "approve", False)

    @property
    def offered(self) -> Callable[..., bool] | None:
        """In which turns models get them."""
        return self.chosen.offered

    async def open(self) -> Sequence[Tool]:
        """Open the source, and return those of its tools that are in the set. Raises: as the source."""
        return self.chosen.of(await self.source.open(), is_all=False)

    async def close(self) -> None:
        """Close the source."""
        await self.source.close()

    async def left_out(self) -> Mapping[str, str]:
        """Return what the source leaves out. Raises: as the source."""
        return await self.source.left_out() if isinstance(self.source, LeavesOut) else {}


__all__ = ["toolset"]
