"""Read the cases of an evaluation from JSON Lines, and check them against the graph before the evaluation runs."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import from_json, to_json

from graphengine.agents.sources import read_sources
from graphengine.errors import GraphEngineError, InputError
from graphengine.kernel.inside import explain, is_secret, read_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from graphengine.kernel.extension import GraphDefinition

FILE: Final = "@"


class Case(BaseModel):
    """One case of an evaluation: an input of the graph, and the value with which scorers compare the result.

    Attributes:
        name: The name of the case in the report, unique among the cases.
        input: Fields of the graph's state. The other fields have their defaults.
        expected: A JSON value of any form with which the scorers compare the result; None if they compare nothing.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, pattern=r"\S")
    input: dict[str, JsonValue]
    expected: JsonValue = None


class Score(BaseModel):
    """A scorer's judgement of one result.

    Attributes:
        value: From 0, worthless, to 1, perfect; None if the scorer does not apply to the case.
        why: The reason, for the reader of the report.
        failure: Why the scorer gave no score; "" if it did. Not part of a judge's answer.
    """

    value: float | None = Field(ge=0, le=1, allow_inf_nan=False)
    why: str = ""
    failure: SkipJsonSchema[str] = Field(default="", exclude_if=lambda failure: not failure)


def read_cases(path: str | PathLike[str]) -> list[Case]:
    """Read a data set: a file with one JSON object on each line, with `name`, `input` and `expected`.

    In the `input` of a case, a list can name files to read. An item of a list that is a text and begins with @ names a
    file or a folder, relative to the data set. For example, `"sources": ["@texts/tides.md"]` becomes a list with a
    `TextFile` for each file. Write `@@` at the beginning of a text that really begins with @.

    Args:
        path: The file. A case without a name gets the name `line N`, with the number of its line.

    Raises:
        InputError: The file cannot be read, a line is invalid, or the file contains no cases. The message names the
            line.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"the file of the cases cannot be read: {reason}", where=str(file), repair="name a file of text in UTF-8"
        ) from error
    found = [_case(line, number, file) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not found:
        repair = 'write one case on each line: {"name": "…", "input": {…}, "expected": …}'
        raise InputError("the file has no cases, because all lines are empty", where=str(file), repair=repair)
    return found


def _case(line: str, number: int, file: Path) -> Case:
    where = f"{file}:{number}"
    try:
        case = Case.model_validate_json(_name_line(line, number))
        return case.model_copy(update={"input": {key: _read_field(value, file) for key, value in case.input.items()}})
    except ValidationError as error:
        text = f"the line is not a valid case: {explain(error)}"
        repair = 'write the case as {"name": "…", "input": {…}, "expected": …}'
        raise InputError(text, where=where, repair=repair) from error
    except GraphEngineError as error:
        raise InputError(error.message, where=where, repair=error.repair) from error


def _name_line(line: str, number: int) -> str:
    """Add the name `line N` to a case without a name.

    A line that is no JSON object is left for the validation to refuse.
    """
    text = line.strip()
    return text if '"name"' in text or not text.startswith("{") else f'{{"name":"line {number}",{text[1:]}'


def _read_field(value: JsonValue, file: Path) -> JsonValue:
    """Replace items of a list such as `"@texts/tides.md"` by the files that they name."""
    if not isinstance(value, list):
        return value
    items: list[JsonValue] = []
    for item in value:
        if not isinstance(item, str) or not item.startswith(FILE):
            items.append(item)
        elif item.startswith(FILE + FILE):
            items.append(item[1:])
        else:
            found = read_sources(file.parent / item[1:]).files
            items.extend({"path": os.path.relpath(one.path, file.parent), "text": one.text} for one in found)
    return items


def check_cases(graph: GraphDefinition[Any], cases: Sequence[Case], where: str = "the cases") -> None:
    """Check before an evaluation that each case fits the graph, and that the names of the cases are unique.

    Raises:
        InputError: An input does not fit, two cases have the same name, no case is given, or a case contains a secret
            field, which must not be stored in a data set.
    """
    if not cases:
        raise InputError("the list of cases is empty", where=where, repair="give at least one case")
    twice = [name for name, count in Counter(case.name for case in cases).items() if count > 1]
    if twice:
        text = f"two cases have the same name {twice[0]!r}"
        raise InputError(text, where=where, repair="give each case a different name")
    fields = graph.state.model_fields
    for case in cases:
        place = f"{where}, case {case.name!r}"
        unknown = [name for name in case.input if name not in fields]
        if unknown:
            repair = f"use the fields of the graph: {', '.join(fields)}"
            text = f"the input has the field {unknown[0]!r}, which the graph {graph.name!r} does not have"
            raise InputError(text, where=place, repair=repair)
        secret = [name for name in case.input if is_secret(fields[name].annotation, fields[name].metadata)]
        if secret:
            message = f"the field {secret[0]!r} is secret and cannot be in a case, because cases are not encrypted"
            raise InputError(message, where=place, repair="give the graph the secret as a resource")
        try:
            read_json(
                lambda body: graph.state.model_validate(from_json(body), by_name=True, by_alias=False),
                to_json(case.input),
            )
        except ValidationError as error:
            message = f"the input does not fit the fields of the graph {graph.name!r}: {explain(error)}"
            repair = "give values that have the types of the fields"
            raise InputError(message, where=place, repair=repair) from error


__all__ = ["Case", "Score", "check_cases", "read_cases"]
