"""LangGraph's names that programs import, each with the graphengine equivalent; see `graphengine.graph.elsewhere`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphengine.kernel.inside import RESULTS

if TYPE_CHECKING:
    from collections.abc import Mapping


IMPORTS: Final[Mapping[str, str]] = {
    "StateGraph": "Graph('name', State)",
    **dict.fromkeys(("MessagesState", "add_messages"), "a field messages: Annotated[list[Message], extend]"),
    **dict.fromkeys(("ToolNode", "tools_condition", "create_react_agent"), "Agent('name', tools=[…])"),
    "interrupt": "ask('…', bool) or await ctx.ask('…', bool), and await runner.answer(run_id, value, graph)",
    **dict.fromkeys(("InMemorySaver", "MemorySaver", "SqliteSaver"), "Runner(), or Runner('runs.db')"),
    "PostgresSaver": "Runner('postgresql://…')",
    "RetryPolicy": "Retry(attempts=3)",
}
"""What is imported elsewhere, besides what nodes return."""


def check_import(name: str) -> None:
    """Check that this is no name that is imported elsewhere.

    Raises:
        ImportError: It is, with what to write here. An AttributeError would lose its text in an import.
    """
    if repair := IMPORTS.get(name) or RESULTS.get(name):
        raise ImportError(f"graphengine has no {name!r}; here: {repair}", name="graphengine")
