"""What changed between two outlines of a graph, in lines that a person reads: what it was → what it is.

The lines are recorded with the resume or the branch that goes on under the changed graph, and stand in the error where
it cannot. Places inside graphs that are nodes are named by their paths.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.state.json_values import JsonValue

_TEXT: Final = 80
"""More characters of a text are cut, around the first that differs."""
_NONE: Final = "none"
_SINCE_2: Final = ("reads", "sources", "agents", "answer")
"""What a node's outline has since outlines are of version 2."""


def differences(old: Mapping[str, JsonValue], new: Mapping[str, JsonValue], where: str = "") -> list[str]:
    """What differs between two outlines, a line each.

    Args:
        old: The one that was recorded, with the old names of nodes that were renamed under `was`; nothing is known
            of it where it is empty.
        new: Today's.
        where: The path of the node that the graphs are, with a slash behind it.
    """
    if not old:
        return []
    lines: list[str] = []
    if old.get("graph") != new.get("graph"):
        lines.append(f"graph {where or '/'}: {old.get('graph')} → {new.get('graph')}")
    if old.get("version") != new.get("version"):
        lines.append(f"{f'graph {where[:-1]}: ' if where else ''}version {old['version']} → {new['version']}")
    lines += _fields(old, new, where)
    lines += _nodes(old, new, where)
    return lines + list(_ways(old, new, where))


def _fields(old: Mapping[str, JsonValue], new: Mapping[str, JsonValue], where: str) -> list[str]:
    before, after = old.get("state", {}), new.get("state", {})
    lines: list[str] = []
    for name in (*before, *(name for name in after if name not in before)):
        if name not in after:
            lines.append(f"field {where}{name} is gone: {before[name]}")
        elif name not in before:
            lines.append(f"field {where}{name} is new: {after[name]}")
        elif before[name] != after[name]:
            lines.append(f"field {where}{name}: {before[name]} → {after[name]}")
        one, other = old.get("reducers", {}).get(name, _NONE), new.get("reducers", {}).get(name, _NONE)
        if one != other and name in before and name in after and _told(old, new):
            lines.append(f"field {where}{name}: reducer {one} → {other}")
    return lines


def _told(old: Mapping[str, JsonValue], new: Mapping[str, JsonValue]) -> bool:
    """Whether both outlines tell the same things."""
    same: bool = old.get("format", 1) == new.get("format", 1)
    return same


def _nodes(old: Mapping[str, JsonValue], new: Mapping[str, JsonValue], where: str) -> list[str]:
    before = {node["name"]: node for node in old.get("nodes", ())}
    after = {node["name"]: node for node in new.get("nodes", ())}
    lines = [f"node {where}{name} is gone: {_kind(node)}" for name, node in before.items() if name not in after]
    lines += [f"node {where}{name} is new: {_kind(node)}" for name, node in after.items() if name not in before]
    skipped = () if _told(old, new) else _SINCE_2
    for name, node in before.items():
        if name in after:
            lines += _node(node, after[name], f"{where}{name}", skipped)
    return lines


def _kind(node: Mapping[str, JsonValue]) -> str:
    each = f" for each {', '.join(node['each'])}" if node.get("each") else ""
    return f"{node.get('kind', 'function')}{each}"


def _node(
    old: Mapping[str, JsonValue], new: Mapping[str, JsonValue], path: str, skipped: Sequence[str]
) -> Iterator[str]:
    """What differs in a node, and in the graphs that it is."""
    if "was" in old:
        yield f"node {path} was called {old['was']}"
    for key in (*old, *(key for key in new if key not in old)):
        one, other = old.get(key), new.get(key)
        if one == other or key == "was" or key in skipped:
            continue
        if key == "graphs":
            yield from _graphs(one or {}, other or {}, path)
        elif key == "agents":
            yield from _agents(one or {}, other or {}, path)
        else:
            yield f"node {path}: {key.replace('_', ' ')} {_texts(one, other)}"


def _graphs(old: Mapping[str, JsonValue], new: Mapping[str, JsonValue], path: str) -> Iterator[str]:
    for choice in (*old, *(choice for choice in new if choice not in old)):
        named = f"{path} ({choice})" if choice else path
        if choice not in new:
            yield f"node {named}: graph {old[choice]['graph']} → none"
        elif choice not in old:
            yield f"node {named}: graph none → {new[choice]['graph']}"
        else:
            yield from differences(old[choice], new[choice], f"{named}/")


def _agents(old: Mapping[str, JsonValue], new: Mapping[str, JsonValue], path: str) -> Iterator[str]:
    for choice in (*old, *(choice for choice in new if choice not in old)):
        named = f"{path} ({choice})" if choice else path
        one, other = old.get(choice, {}), new.get(choice, {})
        for key in (*one, *(key for key in other if key not in one)):
            if one.get(key) != other.get(key):
                yield f"node {named}: {key} {_texts(one.get(key), other.get(key))}"


def _ways(old: Mapping[str, JsonValue], new: Mapping[str, JsonValue], where: str) -> Iterator[str]:
    olds, news = list(old.get("ways", ())), list(new.get("ways", ()))
    gone = [way for way in olds if way not in news]
    come = [way for way in news if way not in olds]
    for way in gone:
        like = next((other for other in come if _ends(other) == _ends(way)), None)
        if like is None:
            yield f"way gone: {where}{_way(way)}"
            continue
        come.remove(like)
        for key in (*way, *(key for key in like if key not in way)):
            if way.get(key) != like.get(key):
                yield f"way {where}{_ends(way)}: {key} {_texts(way.get(key), like.get(key))}"
    yield from (f"way new: {where}{_way(way)}" for way in come)
    if not gone and len(olds) == len(news):
        for source in dict.fromkeys(way["from"] for way in olds):
            one = [way for way in olds if way["from"] == source]
            if one != [way for way in news if way["from"] == source]:
                yield f"ways out of {where}{source}: they are tried in another order"


def _ends(way: Mapping[str, JsonValue]) -> str:
    """Whence and whither a way leads: what it is known by."""
    target = way.get("to") or (f"fork joined at {way['join']}" if "join" in way else f"switch on {way.get('on')}")
    return f"{way['from']} → {target}"


def _way(way: Mapping[str, JsonValue]) -> str:
    rest = {key: fact for key, fact in way.items() if key not in ("from", "to", "on", "join", "failure")}
    return ", ".join([_ends(way), *(f"{key} {_plain(fact)}" for key, fact in rest.items())])


def _plain(fact: JsonValue) -> str:
    """A fact of an outline as text."""
    if isinstance(fact, dict):
        if set(fact) <= {"to", "when"}:  # an arm
            return f"{fact['to']} when {fact['when']}" if "when" in fact else str(fact["to"])
        return ", ".join(f"{key}: {_plain(value)}" for key, value in fact.items())
    if isinstance(fact, list):
        return ", ".join(map(_plain, fact)) or _NONE
    return _NONE if fact is None else str(fact)


def _texts(old: JsonValue, new: JsonValue) -> str:
    """Both, each on one line; long ones are cut around the first character that differs."""
    one, other = (" ".join(_plain(fact).split()) for fact in (old, new))
    if max(len(one), len(other)) > _TEXT:
        same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
        start = max(0, same - _TEXT // 4)
        one, other = _cut(one, start), _cut(other, start)
    quoted = isinstance(old, str) and isinstance(new, str) and (" " in one or " " in other)
    return f"{one!r} → {other!r}" if quoted else f"{one} → {other}"


def _cut(text: str, start: int) -> str:
    head, tail = "…" if start and len(text) > start else "", "…" if len(text) > start + _TEXT else ""
    return f"{head}{text[start : start + _TEXT]}{tail}"
