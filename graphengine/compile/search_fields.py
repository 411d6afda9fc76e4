"""The check of `Graph(search=…)`: the fields of the input and the result by which the runs of a graph are found."""

from __future__ import annotations

from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, Literal, get_origin
from uuid import UUID

from graphengine.state.path import type_at
from graphengine.state.searched import MOST_FIELDS, SearchedField

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphengine.compile.binding import Binder
    from graphengine.graph.definition import GraphDefinition

_WHERE: Final = "search="
_CODE: Final = "bad_search"
_SCALARS: Final = (str, int, float, NoneType, Enum, date, time, timedelta, UUID, Decimal, PurePath)


def searched_fields(graph: GraphDefinition[Any], binder: Binder) -> Iterator[SearchedField]:
    """Return the fields by which runs can be searched (`search=`), and report fields that cannot be used.

    Search values are stored in clear text outside the log, so a secret field cannot be used.
    """
    declared: object = graph.search
    if not isinstance(declared, (list, tuple)) or not all(isinstance(each, str) for each in declared):
        text = f"search={declared!r} is not a list of paths"
        binder.report(_CODE, _WHERE, text, 'give a list, as in search=["input.country"]')
        return
    names = dict.fromkeys(declared)
    if len(names) > MOST_FIELDS:
        text = f"search= names {len(names)} fields, but a run can be found by at most {MOST_FIELDS}"
        binder.report(_CODE, _WHERE, text, "keep the fields by which people look for runs")
    for name in names:
        path = _path_of(name, graph.result)
        if path is None:
            text = f"search= names {name!r}, which is not a field of the input or the result"
            repair = "begin with input. or output., as in 'input.country'"
            if name == "output":
                repair = "name a field of the final state, as in 'output.status', or declare result="
            binder.report(_CODE, _WHERE, text, repair)
            continue
        reading = binder.reading(path, _WHERE)
        if reading is None or reading.path is None:
            continue
        if reading.roots & binder.state.secrets:
            binder.open(reading, _WHERE, "leave the field out of search=, whose values are kept in clear text")
            continue
        kinds, _ = type_at(binder.state.fields[reading.path.root].info.annotation, reading.path)
        if not all(map(_is_scalar, kinds)):
            text = f"search= names {name!r}, which is not a single text, number, boolean or date"
            binder.report(_CODE, _WHERE, text, "name a part of the field, as in 'input.order.country'")
            continue
        yield SearchedField(
            name, reading.path, any(isinstance(each, type) and issubclass(each, Decimal) for each in kinds)
        )


def _path_of(name: str, result: str | None) -> str | None:
    """Convert a name in `search=` to the path of the field in the state: `input.country` becomes `country`.

    `output` stands for the field that holds the result of the graph, if the graph declares one. With the result `bill`,
    `output.total` becomes `bill.total`. The result is None if the name is not of this form.
    """
    part, dot, rest = name.partition(".")
    if part == "output" and result is not None:
        return result + dot + rest
    if part.startswith("output[") and result is not None:
        return result + name.removeprefix("output")
    return rest if part in ("input", "output") and rest else None


def _is_scalar(kind: Any) -> bool:  # noqa: ANN401 - an annotation
    kind = getattr(kind, "__supertype__", kind)  # of a NewType
    return get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, _SCALARS))
