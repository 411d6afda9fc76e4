"""Sets of tools: some of those of a source or a list, under a prefix, and offered in some turns alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from graphengine.agents.tool_names import both_offer
from graphengine.agents.tools import LeavesOut, Relists, Tool, ToolSource, split_tools
from graphengine.errors import DefinitionError
from graphengine.kernel.extension import did_you_mean

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
        offered: In which turns models get them, as for `tool`. A tool's own `offered` has to allow it too.

    Raises:
        DefinitionError: A name in `only` is no tool's, or a prefix makes a name that no provider accepts. Of sources
            that is known, and raised, when they are opened.

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
    own = [each for each in kit if isinstance(each, Tool)]
    chosen = _Chosen(None if only is None else frozenset(only), prefix, offered, frozenset(each.name for each in own))
    parts = [_SourcePart(each, chosen) for each in kit if not isinstance(each, Tool)]
    if not parts:
        chosen.check(())
    chosen.parts.extend(parts)
    return [*chosen.of(own), *parts]


@dataclass(frozen=True, slots=True, eq=False)
class _Chosen:
    """What is said of the tools of a set: the arguments of `toolset`.

    Attributes:
        own: The names of the tools that are known without a source.
        parts: The sources.
        listed: The names that each of them listed when it was last opened.
    """

    only: frozenset[str] | None
    prefix: str
    offered: Callable[..., bool] | None
    own: frozenset[str]
    parts: list[_SourcePart] = field(default_factory=list)
    listed: dict[_SourcePart, Sequence[str]] = field(default_factory=dict)

    def of(self, tools: Sequence[Tool]) -> list[Tool]:
        """Return those of the tools that are in the set, as they are there."""
        return [
            replace(
                each,
                name=self.prefix + each.name,
                origin=each.origin and self.prefix + each.origin,
                offered=both_offer(self.offered, each.offered),
            )
            for each in tools
            if self.only is None or each.name in self.only
        ]

    def missing(self, known: Collection[str]) -> Sequence[str]:
        """Return the names in `only` that are none of these, nor of tools without a source."""
        return sorted((self.only or frozenset()).difference(self.own, known))

    def check(self, known: Collection[str]) -> None:
        """Check that the names in `only` are among these, or those of tools without a source.

        Raises:
            DefinitionError: One is not.
        """
        for name in self.missing(known):
            text, repair = f"toolset(only=…): there is no tool {name!r}", did_you_mean(name, {*self.own, *known})
            raise DefinitionError(text, where="toolset", repair=repair)


@dataclass(frozen=True, slots=True, eq=False)
class _SourcePart:
    """The tools of a source that are in a set, as a source.

    Attributes:
        last: What the source returned last, and those of them that are in the set; empty before it was opened.
    """

    source: ToolSource
    chosen: _Chosen
    last: list[tuple[Sequence[Tool], Sequence[Tool]]] = field(default_factory=list)

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
        return both_offer(self.chosen.offered, getattr(self.source, "offered", None))

    async def open(self) -> Sequence[Tool]:
        """Open the source, and return those of its tools that are in the set.

        Raises:
            DefinitionError: All sources of the set have been opened, and a name in `only` is no tool's.
            Exception: As the source.
        """
        tools = await self.source.open()
        try:
            return await self._of(tools)
        except BaseException:
            await self.source.close()
            raise

    def is_outdated(self) -> bool:
        """Return whether the source's tools are others now."""
        return isinstance(self.source, Relists) and self.source.is_outdated()

    async def current(self) -> Sequence[Tool]:
        """Return those of its tools that are in the set now. Raises: as `open`."""
        return await self._of(await self.source.current() if isinstance(self.source, Relists) else self.last[0][0])

    async def _of(self, tools: Sequence[Tool]) -> Sequence[Tool]:
        """Return those that are in the set; the same list for the same tools."""
        if not (self.last and self.last[0][0] is tools):
            self.chosen.listed[self] = [each.name for each in tools]
            await self._check()
            self.last[:] = [(tools, self.chosen.of(tools))]
        return self.last[0][1]

    async def _check(self) -> None:
        """Check `only`, once it is known what every source of the set lists; what no model can call is there too."""
        listed = self.chosen.listed
        known = {name for names in listed.values() for name in names}
        if all(part in listed for part in self.chosen.parts) and self.chosen.missing(known):
            self.chosen.check({*known, *[name for part in self.chosen.parts for name in await part.left_out()]})

    async def close(self) -> None:
        """Close the source."""
        await self.source.close()

    async def left_out(self) -> Mapping[str, str]:
        """Return what the source leaves out. Raises: as the source."""
        return await self.source.left_out() if isinstance(self.source, LeavesOut) else {}


__all__ = ["toolset"]
