"""Drafts of `migrate=`: the code that runs which no longer fit need, as far as both specs of the graph tell it."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphengine.kernel.reader import GraphSpec
    from graphengine.migration.apply import Walked
    from graphengine.migration.positions import Mismatch


def renamed_fields(recorded: GraphSpec, today: GraphSpec) -> dict[str, list[str]]:
    """Return the fields that are gone, each with the new ones of its type, one of which could be it."""
    before, now = recorded.get("state", {}), today.get("state", {})
    return {
        gone: [new for new in now if new not in before and now[new] == kind]
        for gone, kind in before.items()
        if gone not in now
    }


def draft_of(graph: Walked, mismatches: Sequence[Mismatch]) -> str:
    """Return a migration from a recorded version, as code; `...` is what only a person knows.

    Args:
        graph: The graph, as recorded and in its present form.
        mismatches: Why runs that were recorded under that version do not fit it, or what they would leave behind.
    """
    fields = dict.fromkeys(each.field for each in mismatches if each.field)
    nodes = dict.fromkeys(each.at for each in mismatches if each.at)
    lines = list(_function(graph, list(fields))) if fields else []
    given = [f"from_{graph.version}"] if fields else []
    renamed, moved, notes = _draft_places(graph, list(nodes))
    given += [f"{name}={{{text}}}" for name, text in (("renamed", renamed), ("moved", moved)) if text]
    made = given[0] if given == [f"from_{graph.version}"] else f"Migration({', '.join(given)})"
    newer = max(graph.plan.version, graph.version + 1)
    state = graph.plan.state.model.__name__
    call = f"Graph({graph.plan.graph!r}, {state}, version={newer}, migrate={{{graph.version}: {made}}})"
    return "\n".join([*lines, *notes, call])


def _function(graph: Walked, fields: Sequence[str]) -> Iterator[str]:
    """Yield the function that changes fields.

    A new field takes the value of the one of its type that is gone; of several, of the one with a similar name.
    """
    recorded, today = graph.graph_spec.get("state", {}), graph.plan.graph_spec.get("state", {})
    gone = [name for name in recorded if name not in today]
    yield f"def from_{graph.version}(old: dict[str, Any]) -> dict[str, Any]:"
    for name in fields:
        same = [each for each in gone if recorded[each] == today.get(name)]
        if name in recorded:
            yield f"    old[{name!r}] = ...  # was {recorded[name]}, is {today.get(name)}"
        elif meant := same[0] if len(same) == 1 else next(iter(get_close_matches(name, same, n=1)), ""):
            gone.remove(meant)
            yield f"    old[{name!r}] = old.pop({meant!r})  # is this the same field?"
        else:
            yield f"    old[{name!r}] = ...  # new: {today.get(name)}"
    for name in gone:
        yield f"    old.pop({name!r}, None)  # is gone"
    yield "    return old"
    yield ""


def _draft_places(graph: Walked, nodes: Sequence[str]) -> tuple[str, str, list[str]]:
    """Return what to rename and to move, as items of a dict, and comments.

    A node that is gone was renamed if one node of its kind is new. A node that is still there is begun again.
    """
    recorded = {node["name"]: node for node in graph.graph_spec.get("nodes", ())}
    today = {node["name"]: node for node in graph.plan.graph_spec.get("nodes", ())}
    renamed, moved, notes = [], [], []
    for name in nodes:
        kind = recorded[name].get("kind") if name in recorded else None
        near = [new for new, node in today.items() if new not in recorded and node.get("kind") == kind]
        if name in today:
            moved.append(f"{name!r}: {name!r}")
            notes.append(f"# moved: what is in progress at {name!r} begins again")
        elif len(near) == 1:
            renamed.append(f"{name!r}: {near[0]!r}")
            notes.append(f"# renamed: is {near[0]!r} what {name!r} was? If not, use moved=")
        else:
            moved.append(f"{name!r}: ...")
            notes.append(f"# moved: where runs at {name!r} continue: {', '.join(map(repr, today))}")
    return ", ".join(renamed), ", ".join(moved), notes


__all__ = ["draft_of", "renamed_fields"]
