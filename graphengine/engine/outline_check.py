"""Check the shape of a recorded outline where it is read: a right checksum does not show who wrote it.

Steps are checked as they are decoded (`steps.decode_step`). Outlines stay plain JSON, since they are compared and drawn
and not computed with; here every fact has the type that the code counts on. Of other facts nothing is said.
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
    """Check the facts of an outline, and of those of the graphs in it.

    Raises:
        ValueError: One is of another type, or missing.
    """
    unread = [outline]
    while unread:
        try:
            found = msgspec.convert(unread.pop(), _Outline)
        except ValueError as error:
            message = f"a node or an edge of it has facts of another type: {error}"
            raise ValueError(message) from error
        unread += [inner for node in found.nodes for inner in node.graphs.values()]
