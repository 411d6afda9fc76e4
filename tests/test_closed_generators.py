"""An asynchronous generator that is left is closed where it is left, not when it is collected.

A loop over one that ends early (a break, an error, a cancelled task, the end of the generator around it) leaves it in
the middle. Python then closes it in a task of its own, some time later: its `finally` runs beside what came after, and
an error in it is a log line about `aclose()` that nobody awaits. `async with aclosing(…)` closes it at once.
"""

from __future__ import annotations

import ast
from pathlib import Path

import graphengine

ROOT = Path(graphengine.__file__).parent

# What others wrote and close themselves, and what holds nothing: it may be read without `aclosing`.
_ELSEWHERE = {
    ("agents/a2a.py", "client.send_message(types.SendMessageRequest(message=message_to_send))"),
    ("agents/mcp_repairs.py", "whole(chunk_size)"),
    ("agents/mcp_repairs.py", "repaired()"),
    ("agents/conversation.py", "unhurried(self._tools.values())"),
    ("agents/mcp_servers.py", "unhurried(reversed(known))"),
    ("models/anthropic.py", "listed"),
    ("models/anthropic.py", "await client.messages.batches.results(batch.id)"),
    ("models/anthropic.py", "await client.messages.batches.results(batch)"),
    ("models/connections.py", "self._of"),
    ("models/openai_calls.py", "client.batches.list(limit=100)"),
    ("models/received.py", "chunks"),
    ("serve/service/app.py", "events"),  # `_gather_events` cancels the task that reads it, and its caller closes it
}


def _named(node: ast.AsyncWith) -> set[str]:
    """Return the names that a block closes: what it is `as`, and what stands in its brackets."""
    names = {item.optional_vars.id for item in node.items if isinstance(item.optional_vars, ast.Name)}
    for item in node.items:
        if isinstance(item.context_expr, ast.Call):
            names |= {given.id for given in item.context_expr.args if isinstance(given, ast.Name)}
    return names


def _iterated(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.AsyncFor):
        return [node.iter]
    if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        return [each.iter for each in node.generators if each.is_async]
    return []


def _unclosed(node: ast.AST, closed: frozenset[str] = frozenset()) -> list[str]:
    """Return what is iterated over and not closed by a block around it."""
    if isinstance(node, ast.AsyncWith):
        closed |= _named(node)
    found = [ast.unparse(each) for each in _iterated(node) if not (isinstance(each, ast.Name) and each.id in closed)]
    for child in ast.iter_child_nodes(node):
        found += _unclosed(child, closed)
    return found


def test_a_loop_closes_the_generator_that_it_leaves() -> None:
    """Each `async for` of the package reads what a block around it closes, or what is listed above with its reason."""
    found = {
        (path.relative_to(ROOT).as_posix(), text)
        for path in ROOT.rglob("*.py")
        if "async for" in (source := path.read_text())
        for text in _unclosed(ast.parse(source))
    }
    assert found == _ELSEWHERE
