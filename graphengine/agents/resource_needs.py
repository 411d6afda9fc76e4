"""What the tools of agents need of a Runner: checked when a plan is about to be run there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.agents.model_routing import is_agent
from graphengine.kernel import CompileError, Extension, Problem
from graphengine.kernel.definitions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from graphengine.kernel.definitions import Plan


class ResourceNeeds(Extension):
    """Refuses graphs whose tools need a resource that neither they nor the Runner have.

    Args:
        given: The names of the Runner's resources.
    """

    def __init__(self, given: Collection[str] = ()) -> None:
        self._given = frozenset(given)

    def checked(self, plan: Plan[Any], *, is_queued: bool = False) -> None:
        """Refuse a graph whose tools lack a resource. A run that is only queued gets those of its worker.

        Raises:
            CompileError: Such a tool is in it.
        """
        problems = [] if is_queued else list(_lacking(plan, self._given))
        if problems:
            raise CompileError(plan.graph, problems)


def _lacking(plan: Plan[Any], around: Collection[str], below: str = "") -> Iterator[Problem]:
    """Yield a problem for each resource that a tool of an agent of this graph, or of one in it, lacks."""
    given = {*around, *plan.resources}
    for name, node in plan.nodes.items():
        fallback = node.fallback.call if node.fallback is not None else None
        for call in (*node.calls, fallback):
            agent = None if call is None else getattr(call.body, "agent", None)
            if call is not None and call.graph is not None:
                yield from _lacking(call.graph, given, f"{below}{name}/")
            elif is_agent(agent):
                from graphengine.agents.tool_checks import given_by  # noqa: PLC0415 - there are agents

                for need in agent.__body__().needs(given):
                    near = did_you_mean(need.name, given)
                    repair = near if near.startswith("did you mean") else given_by(need.name)
                    yield Problem("bad_tool", f"node {below}{name}", need.message, repair)


__all__ = ["ResourceNeeds"]
