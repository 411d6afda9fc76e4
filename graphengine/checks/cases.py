"""Missing cases: of a choice, and of a switch on a value that can be None. Both are warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.errors import Problem
from graphengine.kernel.extension import Choose, Switch
from graphengine.kernel.inside import closed_values, members

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphengine.kernel.extension import Compiling, NodePlan, StateType
    from graphengine.kernel.inside import Reading


def choice_problems(found: Compiling) -> Iterator[Problem]:
    """Report switches and `choose` nodes that lack a case for a value of an enum or a similar type."""
    for declared in found.graph.nodes:
        if not isinstance(declared.runnable, Choose) or not isinstance(declared.runnable.source, str):
            continue
        reading = found.nodes[declared.name].selector
        values = closed_values(found.state.types_read(reading)) if reading is not None else None
        missing = [value for value in values or () if value not in declared.runnable.cases]
        if missing:
            text = f"choose has no case for {', '.join(map(repr, missing))}, so the node fails with no_choice"
            yield Problem("missing_choice", f"node {declared.name}", text, "add a case for each value", warning=True)


def none_problems(found: Compiling) -> Iterator[Problem]:
    """Warn about switches on a value that can be None if they have no case for None, since such a run would fail.

    There is no warning if a later edge of the node can be taken instead.
    """
    for edge in found.graph.edges:
        if not isinstance(edge, Switch) or type(None) not in found.state.types_read(edge.reading):
            continue
        node = found.nodes.get(edge.source)
        failing = () if node is None else node.failure_edges
        last = [each for each in found.graph.edges if each.source == edge.source and each not in failing][-1]
        takes = None in edge.cases or edge.otherwise is not None or edge is not last
        if takes or _sets(node, edge.reading, found.state):
            continue
        text = f"the switch on {edge.reading.text!r} has no case for None, so such a run would fail with no_way_out"
        file, line = edge.origin or (None, None)
        repair = "add otherwise=…, or a case for None"
        yield Problem("missing_case", f"edge from {edge.source}", text, repair, warning=True, file=file, line=line)


def _sets(node: NodePlan | None, reading: Reading, state: StateType[Any]) -> bool:
    """Return whether a value that a switch reads is never None, because the node before always writes it."""
    written = [] if node is None else [each.field for each in node.writer.whole if each.key is None]
    if node is None or node.each is not None or reading.text not in written:
        return False
    fallback = node.fallback
    calls = [*node.calls, *([fallback.call] if fallback is not None and fallback.call is not None else [])]
    kinds = [kind for call in calls for kind in members(call.body.returns)]
    if fallback is not None and fallback.call is None:
        kinds.append(type(fallback.value))
    may_be_none = {Any, object, None, type(None)}.intersection(kinds) or None in (closed_values(kinds) or ())
    return not may_be_none and state.fields[reading.text].reducer is None
