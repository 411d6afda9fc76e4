"""Sets of tools: a selection of tools under a common prefix, which may be offered only in some turns."""

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
    """Return tools for `Agent(tools=[*toolset(…), …])` to which the same options apply.

    Args:
        tools: Functions, `tool(function, …)`, `mcp(…)` and other sources, and other sets.
        only: The tools to use, by the names that models see without the prefix. By default all tools are used.
        prefix: A text that is put before each name.
        offered: A function that returns whether a turn offers the tools, as for `tool`. A tool's own `offered` must
            allow the tool as well.

    Raises:
        DefinitionError: A name in `only` does not belong to a tool, or the prefix makes a name that no provider
            accepts. With sources, this error is raised when they are opened, because their tools are not known before.

    Example:
        >>> def look(word: str) -> str: ...
        >>> def write(text: str) -> str: ...
        >>> [each.name for each in toolset(look, write, only=["write"], prefix="wiki_")]
        ['wiki_write']
    """
    kit, hosted = split_tools(tools)
    if hosted:
        text = f"the tool {hosted[0].name!r} cannot be in a toolset, because the model's provider runs the tool"
        raise DefinitionError(text, where="toolset", repair=f"give {hosted[0].name!r} to the agent directly")
    own = [each for each in kit if isinstance(each, Tool)]
    chosen = _Chosen(None if only is None else frozenset(only), prefix, offered, frozenset(each.name for each in own))
    parts = [_SourcePart(each, chosen) for each in kit if not isinstance(each, Tool)]
    if not parts:
        chosen.check(())
    chosen.parts.extend(parts)
    return [*chosen.of(own), *parts]


@dataclass(frozen=True, slots=True, eq=False)
class _Chosen:
    """The arguments of `toolset`, which choose, rename and offer its tools.

    Attributes:
        own: The names of the tools that are known without opening a source.
        parts: The sources.
        listed: The names that each source listed when it was last opened.
    """

    only: frozenset[str] | None
    prefix: str
    offered: Callable[..., bool] | None
    own: frozenset[str]
    parts: list[_SourcePart] = field(default_factory=list)
    listed: dict[_SourcePart, Sequence[str]] = field(default_factory=dict)

    def of(self, tools: Sequence[Tool]) -> list[Tool]:
        """Choose the tools that `toolset(only=…)` names, and apply the prefix and `offered=` of the set to them."""
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
        return sorted((self.only or frozenset()).difference(self.own, known))

    def check(self, known: Collection[str]) -> None:
        """Check that each name in `only=` is the name of a tool.

        Raises:
            DefinitionError: A name belongs neither to a tool without a source nor to one of the tools in `known`.
        """
        for name in self.missing(known):
            text = f"only= of the toolset names {name!r}, which is not a tool of the toolset"
            repair = did_you_mean(name, {*self.own, *known})
            raise DefinitionError(text, where="toolset", repair=repair)


@dataclass(frozen=True, slots=True, eq=False)
class _SourcePart:
    """A source of tools that belongs to a tool set.

    When it is opened, it opens the source that the user passed to `toolset`, and returns only the chosen tools.

    Attributes:
        last: The last result of this part, as a pair: the tools that the source returned, and those of them that belong
            to the set. The list is empty before the source is opened.
    """

    source: ToolSource
    chosen: _Chosen
    last: list[tuple[Sequence[Tool], Sequence[Tool]]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def approve(self) -> object:
        return getattr(self.source, "approve", False)

    @property
    def offered(self) -> Callable[..., bool] | None:
        return both_offer(self.chosen.offered, getattr(self.source, "offered", None))

    async def open(self) -> Sequence[Tool]:
        """Open the source, and return its tools that belong to the set.

        Raises:
            DefinitionError: All sources of the set have been opened, and a name in `only` belongs to no tool.
            Exception: The source raised this error.
        """
        tools = await self.source.open()
        try:
            return await self._of(tools)
        except BaseException:
            await self.source.close()
            raise

    def is_outdated(self) -> bool:
        return isinstance(self.source, Relists) and self.source.is_outdated()

    async def current(self) -> Sequence[Tool]:
        return await self._of(await self.source.current() if isinstance(self.source, Relists) else self.last[0][0])

    async def _of(self, tools: Sequence[Tool]) -> Sequence[Tool]:
        """Choose those of the source's current tools that belong to the set.

        If `tools` is the same list object as in the last call, the same result object is returned. This shows the
        caller that the tools have not changed.
        """
        if not (self.last and self.last[0][0] is tools):
            self.chosen.listed[self] = [each.name for each in tools]
            await self._check()
            self.last[:] = [(tools, self.chosen.of(tools))]
        return self.last[0][1]

    async def _check(self) -> None:
        """Check the names in `only=`, once all sources of the set have listed their tools.

        A name of a tool that no model can call is accepted.
        """
        listed = self.chosen.listed
        known = {name for names in listed.values() for name in names}
        if all(part in listed for part in self.chosen.parts) and self.chosen.missing(known):
            self.chosen.check({*known, *[name for part in self.chosen.parts for name in await part.left_out()]})

    async def close(self) -> None:
        await self.source.close()

    async def left_out(self) -> Mapping[str, str]:
        return await self.source.left_out() if isinstance(self.source, LeavesOut) else {}


__all__ = ["toolset"]
