"""Describe the differences between two specs of a graph as lines for people, in the form old → new.

The lines are recorded when a run is resumed or branched under a changed graph. They are also part of the error if the
run does not fit the changed graph. Nodes of graphs inside other nodes are named by their paths.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphengine.kernel.inside import condition_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from graphengine.kernel.extension import JsonValue
    from graphengine.kernel.reader import EdgeSpec, GraphSpec, NodeSpec

_TEXT: Final = 80
"""The maximum length of a text; longer ones are cut around the first character that differs."""
_NONE: Final = "none"


def differences(old: GraphSpec, new: GraphSpec, where: str = "") -> list[str]:
    """Describe the differences between two versions of a graph, one line each.

    Args:
        old: The recorded graph spec, with the old names of renamed nodes under `was`; empty if it is not known.
        new: Today's graph spec.
        where: The path of the node that runs the graph, with a slash after it; "" for the run's own graph.
    """
    if not old:
        return []
    lines: list[str] = []
    if old.get("graph") != new.get("graph"):
        lines.append(f"graph {where or '/'}: {old.get('graph')} → {new.get('graph')}")
    if old.get("version") != new.get("version"):
        lines.append(f"{f'graph {where[:-1]}: ' if where else ''}version {old.get('version')} → {new.get('version')}")
    lines += _compare_fields(old, new, where)
    lines += _nodes(old, new, where)
    return lines + list(_edges(old, new, where))


def _compare_fields(old: GraphSpec, new: GraphSpec, where: str) -> list[str]:
    before, after = old.get("state", {}), new.get("state", {})
    lines: list[str] = []
    for name in {**before, **after}:
        if name not in after:
            lines.append(f"field {where}{name} is gone: {before[name]}")
        elif name not in before:
            lines.append(f"field {where}{name} is new: {after[name]}")
        elif before[name] != after[name]:
            lines.append(f"field {where}{name}: {before[name]} → {after[name]}")
        one, other = old.get("reducers", {}).get(name, _NONE), new.get("reducers", {}).get(name, _NONE)
        if one != other and name in before and name in after:
            lines.append(f"field {where}{name}: reducer {one} → {other}")
    return lines + list(_types(old, new, where))


def _types(old: GraphSpec, new: GraphSpec, where: str) -> Iterator[str]:
    """Describe which constraints and defaults of the state's fields differ between two versions of a graph.

    Changes inside types that both versions contain are described too.
    """
    one, other = old.get("rules", {}), new.get("rules", {})
    for name in {**one, **other}:
        is_in_both = not name or (name in old.get("state", {}) and name in new.get("state", {}))
        if is_in_both and one.get(name) != other.get(name):
            what = f"field {where}{name}" if name else f"state {where}".rstrip()
            yield f"{what}: rules {_cut_around_difference(one.get(name), other.get(name))}"
    before, after = old.get("types", {}), new.get("types", {})
    for kind, parts in before.items():
        yield from (f"type {where}{kind}: {line}" for line in _compare_parts(parts, after.get(kind, parts)))


def _compare_parts(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    if old.get("") != new.get(""):
        yield f"rules {_cut_around_difference(old.get(''), new.get(''))}"
    for name in [each for each in {**old, **new} if each]:
        if name not in new:
            yield f"{name} is gone: {old[name]}"
        elif name not in old:
            yield f"{name} is new: {new[name]}"
        elif old[name] != new[name]:
            yield f"{name}: {_cut_around_difference(old[name], new[name])}"


def _nodes(old: GraphSpec, new: GraphSpec, where: str) -> list[str]:
    before = {node["name"]: node for node in old.get("nodes", ())}
    after = {node["name"]: node for node in new.get("nodes", ())}
    lines = [f"node {where}{name} is gone: {_name_kind(node)}" for name, node in before.items() if name not in after]
    lines += [f"node {where}{name} is new: {_name_kind(node)}" for name, node in after.items() if name not in before]
    for name, node in before.items():
        if name in after:
            lines += _compare_nodes(node, after[name], f"{where}{name}")
    return lines


def _name_kind(node: NodeSpec) -> str:
    items = node.get("each")
    each = f" for each {', '.join(items)}" if items else ""
    return f"{node.get('kind', 'function')}{each}"


def _compare_nodes(old: NodeSpec, new: NodeSpec, path: str) -> Iterator[str]:
    if "was" in old:
        yield f"node {path} was called {old['was']}"
    for key in {**old, **new}:
        one, other = old.get(key), new.get(key)
        if one == other or key == "was":
            continue
        if key == "graphs":
            yield from _graphs(old.get("graphs") or {}, new.get("graphs") or {}, path)
        elif key == "details":
            yield from _details(old.get("details") or {}, new.get("details") or {}, path)
        else:
            yield f"node {path}: {key.replace('_', ' ')} {_cut_around_difference(one, other)}"


def _graphs(old: Mapping[str, GraphSpec], new: Mapping[str, GraphSpec], path: str) -> Iterator[str]:
    for choice in {**old, **new}:
        named = f"{path} ({choice})" if choice else path
        if choice not in new:
            yield f"node {named}: graph {old[choice].get('graph')} → none"
        elif choice not in old:
            yield f"node {named}: graph none → {new[choice].get('graph')}"
        else:
            yield from differences(old[choice], new[choice], f"{named}/")


def _details(old: Mapping[str, Mapping[str, str]], new: Mapping[str, Mapping[str, str]], path: str) -> Iterator[str]:
    for choice in {**old, **new}:
        named = f"{path} ({choice})" if choice else path
        one, other = old.get(choice, {}), new.get(choice, {})
        for key in {**one, **other}:
            if one.get(key) != other.get(key):
                yield f"node {named}: {key} {_cut_around_difference(one.get(key), other.get(key))}"


def _edges(old: GraphSpec, new: GraphSpec, where: str) -> Iterator[str]:
    olds, news = list(old.get("ways", ())), list(new.get("ways", ()))
    removed = [edge for edge in olds if edge not in news]
    added = [edge for edge in news if edge not in olds]
    for edge in removed:
        like = next((other for other in added if _ends_of_edge(other) == _ends_of_edge(edge)), None)
        if like is None:
            yield f"edge gone: {where}{_describe_edge_spec(edge)}"
            continue
        added.remove(like)
        for key in {**edge, **like}:
            if edge.get(key) != like.get(key):
                yield f"edge {where}{_ends_of_edge(edge)}: {key} {_cut_around_difference(edge.get(key), like.get(key))}"
    yield from (f"edge new: {where}{_describe_edge_spec(edge)}" for edge in added)
    if not removed and len(olds) == len(news):
        for source in dict.fromkeys(edge["from"] for edge in olds):
            one = [edge for edge in olds if edge["from"] == source]
            if one != [edge for edge in news if edge["from"] == source]:
                yield f"edges out of {where}{source}: they are tried in another order"


def _ends_of_edge(edge: EdgeSpec) -> str:
    """Return the two ends of an edge as text, such as `draft → review`.

    The text serves to find the same edge in another version of the graph: if two edges have the same text, they count
    as the same edge.
    """
    target = edge.get("to") or (f"fork joined at {edge['join']}" if "join" in edge else f"switch on {edge.get('on')}")
    return f"{edge['from']} → {target}"


def _describe_edge_spec(edge: EdgeSpec) -> str:
    rest = {key: fact for key, fact in edge.items() if key not in ("from", "to", "on", "join", "failure")}
    return ", ".join([_ends_of_edge(edge), *(f"{key} {_describe_fact(fact)}" for key, fact in rest.items())])


def _describe_fact(fact: JsonValue) -> str:
    if isinstance(fact, dict):
        if "is" in fact:  # The value is a condition.
            return condition_text(fact)  # type: ignore[arg-type]
        if set(fact) <= {"to", "when"}:  # The value is an arm of a fork.
            return f"{fact['to']} when {_describe_fact(fact['when'])}" if "when" in fact else str(fact["to"])
        return ", ".join(f"{key}: {_describe_fact(value)}" for key, value in fact.items())
    if isinstance(fact, list):
        return ", ".join(map(_describe_fact, fact)) or _NONE
    return _NONE if fact is None else str(fact)


def _cut_around_difference(old: JsonValue, new: JsonValue) -> str:
    """Return a changed value on one line, as `old → new`.

    Long values are cut so that the first character that differs is shown.
    """
    one, other = (" ".join(_describe_fact(fact).split()) for fact in (old, new))
    if max(len(one), len(other)) > _TEXT:
        same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
        start = max(0, same - _TEXT // 4)
        one, other = _cut_text(one, start), _cut_text(other, start)
    quoted = isinstance(old, str) and isinstance(new, str) and (" " in one or " " in other)
    return f"{one!r} → {other!r}" if quoted else f"{one} → {other}"


def _cut_text(text: str, start: int) -> str:
    head, tail = "…" if start and len(text) > start else "", "…" if len(text) > start + _TEXT else ""
    return f"{head}{text[start : start + _TEXT]}{tail}"
