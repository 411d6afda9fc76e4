"""The state of a graph, split into its fields, with what checks find in it."""

from __future__ import annotations

from dataclasses import is_dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from graphengine.compile.secrets import encrypted
from graphengine.errors import Problem
from graphengine.state.declared import model_of
from graphengine.state.schema import StateType

if TYPE_CHECKING:
    from graphengine.compile.checking import Checks
    from graphengine.graph.definition import GraphDefinition


def state_of(graph: GraphDefinition[Any], checks: Checks) -> tuple[StateType[Any] | None, list[Problem]]:
    """Split a graph's state into its fields, and list its problems.

    Returns:
        The state, None if it is not a model or cannot be split; and the problems.
    """
    try:
        model = model_of(graph.state)
    except ValueError as error:
        given: object = graph.state
        kind = type(given)
        is_instance = issubclass(kind, BaseModel) or is_dataclass(kind)
        repair = f"pass the class: {kind.__name__}" if is_instance else "declare class State(BaseModel)"
        return None, [Problem("bad_state", "state", str(error), repair)]
    try:
        state, found = _split(model, checks)
    except (PydanticUserError, PydanticSchemaGenerationError) as error:
        where, repair = f"state {model.__name__}", "use types that JSON can represent"
        problem = Problem("not_recordable", where, first_line(error), repair)
        return None, [*checks.model(model), problem]
    if state.secrets:
        state = StateType.of(model)  # of this graph alone, whose cipher its fields get
    return state, [*found, *encrypted(graph, state)]


@lru_cache(maxsize=128)
def _split(model: type[BaseModel], checks: Checks) -> tuple[StateType[Any], tuple[Problem, ...]]:
    """Split a model into its fields, and list its problems: nine tenths of a compilation, so once for each class."""
    state = StateType.of(model)
    problems = list(checks.model(model))
    for name, field in state.fields.items():
        problems += checks.field(f"field {model.__name__}.{name}", field)
    return state, tuple(problems)


def first_line(error: Exception) -> str:
    """Return the first line of an error."""
    return str(error).splitlines()[0]
