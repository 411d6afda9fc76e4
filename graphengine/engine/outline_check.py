"""A check of the shape of a recorded outline where it is read: a valid checksum does not prove who wrote it.

Steps are checked as they are decoded (`decode_step`). Outlines stay plain JSON, because they are only compared
and drawn. The structs here list the keys that the code relies on, with their types; other keys are not checked.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from graphengine.state.json_values import JsonValue


class _Node(Struct):
    name: str
    kind: str = ""
    title: str = ""
    on: str = ""
    question: str = ""
    answer: str = ""
    on_resume: str = ""
    writes: Sequence[str] = ()
    reads: Sequence[str] = ()
    choices: Sequence[str] = ()
    each: Mapping[str, str] = {}
    sources: Mapping[str, str] = {}
    kinds: Mapping[str, str] = {}
    agents: Mapping[str, Mapping[str, JsonValue]] = {}
    graphs: Mapping[str, Mapping[str, JsonValue]] = {}


class _Arm(Struct):
    to: str
    when: str = ""


class _Edge(Struct):
    source: str = msgspec.field(name="from")
    to: str = ""
    when: str = ""
    label: str = ""
    on: str = ""
    join: str = ""
    cases: Mapping[str, str] = {}
    otherwise: str | None = None
    arms: Sequence[_Arm] = ()


class _Outline(Struct):
    graph: str = ""
    version: int = 0
    state: Mapping[str, JsonValue] = {}
    reducers: Mapping[str, JsonValue] = {}
    nodes: Sequence[_Node] = ()
    ways: Sequence[_Edge] = ()


def check_outline(outline: Mapping[str, JsonValue]) -> None:
    """Check an outline, and those of the graphs inside it.

    Raises:
        ValueError: A value has another type, or is missing.
    """
    unread = [outline]
    while unread:
        try:
            found = msgspec.convert(unread.pop(), _Outline)
        except ValueError as error:
            message = f"a node or an edge in it has a value of another type: {error}"
            raise ValueError(message) from error
        unread += [inner for node in found.nodes for inner in node.graphs.values()]
