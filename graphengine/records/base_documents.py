"""The base classes of all JSON documents, and the documents of errors.

Commands that must start quickly import this module, so it must not import pydantic.
"""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003 - msgspec reads it
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from graphengine.errors import CompileError, Problem

if TYPE_CHECKING:
    from graphengine.errors import GraphEngineError

SCHEMA: Final = 2
"""The version number of the JSON documents. `docs/project/versions.md` says when it rises."""


class Part(Struct):
    """An object inside a JSON document."""


class Document(Part, tag_field="schema", tag=SCHEMA):
    """A complete JSON document. Its key `schema` contains the version number of all JSON documents."""


def plain(document: object) -> Any:  # noqa: ANN401 - JSON
    """Convert a document to plain dicts, lists and values, so that any JSON library can write it.

    The argument can also be a list or another value that contains documents.
    """
    return msgspec.to_builtins(document)


# --- Errors ----------------------------------------------------------------------------------------------------------


class Error(Part):
    """An error as JSON documents describe it.

    Attributes:
        code: The kind of the error, such as `invalid_input`. Codes do not change from version to version.
        message: A sentence that says what happened, with the values.
        where: The place of the error, such as a file or a run; "" if there is no place.
        repair: How to fix the error; "" if that is not known.
    """

    code: str
    message: str
    where: str
    repair: str


class Refusal(Error):
    """An error that ended a command or a request.

    Attributes:
        problems: If a graph does not compile, all problems of the graph.
    """

    problems: Sequence[Problem] | UnsetType = UNSET


class CheckedGraph(Part):
    """A graph that was checked, and the problems that were found in it.

    Attributes:
        name: The name of the graph.
        file: The file of the graph, as given on the command line or relative to the project's folder.
        problems: The errors and warnings, in the order in which they were found.
    """

    name: str
    file: str
    problems: Sequence[Problem]


class Broken(Part):
    """A file whose graphs cannot be used: the file cannot be run, or another file has a graph of the same name.

    Attributes:
        file: The file.
        line: The line of the error, from 1; null if unknown.
        error: The reason.
    """

    file: str
    line: int | None
    error: Error


class Failed(Document):
    """What a command or a request returns as JSON if it fails.

    Attributes:
        error: The error.
    """

    error: Refusal


class Trouble(Failed, kw_only=True):
    """The last event of a stream of events that ends with an error.

    Attributes:
        event: The kind of the event.
        error: The error that ended the stream.
    """

    event: Literal["trouble"] = "trouble"


def refusal_of(error: GraphEngineError) -> Refusal:
    """Convert an error to the JSON object that describes it.

    For a graph that does not compile, include all problems.
    """
    problems = error.problems if isinstance(error, CompileError) else UNSET
    return Refusal(code=error.code, message=error.message, where=error.where, repair=error.repair, problems=problems)


def error_document(error: GraphEngineError) -> Failed:
    """Convert an error to the complete JSON document that a failed command or request returns."""
    return Failed(error=refusal_of(error))
