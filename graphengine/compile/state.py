"""The state of a graph: it is split into fields, and its secret fields are encrypted with the key of the graph."""

from __future__ import annotations

from dataclasses import is_dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from graphengine.errors import DefinitionError, Problem
from graphengine.state.declared import model_of
from graphengine.state.schema import StateType
from graphengine.state.secret import MAKES_ONE, cipher_of, nested_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphengine.compile.checking import Checks
    from graphengine.graph.definition import GraphDefinition
    from graphengine.state.field import FieldType


_CODE = "secret_field"


def state_of(graph: GraphDefinition[Any], checks: Checks) -> tuple[StateType[Any] | None, list[Problem]]:
    """Analyse the class that a graph declares as its state, and list its problems.

    Returns:
        The state, or None if the class is not a model or its fields cannot be analysed; and the problems.
    """
    try:
        model = model_of(graph.state)
    except ValueError as error:
        declared: object = graph.state
        kind = type(declared)
        is_instance = issubclass(kind, BaseModel) or is_dataclass(kind)
        repair = f"pass the class: {kind.__name__}" if is_instance else "declare class State(BaseModel)"
        return None, [Problem("bad_state", "state", str(error), repair)]
    try:
        state, found = _split(model, checks)
    except (PydanticUserError, PydanticSchemaGenerationError) as error:
        where, repair = f"state {model.__name__}", "use types that JSON can represent"
        problem = Problem("not_recordable", where, str(error).splitlines()[0], repair)
        return None, [*checks.model(model), problem]
    if state.secrets:
        state = StateType.of(model)  # a state for this graph alone, because its fields get the cipher of the graph
    return state, [*found, *set_up_encryption(graph, state)]


@lru_cache(maxsize=128)
def _split(model: type[BaseModel], checks: Checks) -> tuple[StateType[Any], tuple[Problem, ...]]:
    """Analyse the fields of a state's class, and list its problems.

    This takes nine tenths of the time of compiling a graph, so the result is cached for each class.
    """
    state = StateType.of(model)
    problems = list(checks.model(model))
    for name, field in state.fields.items():
        problems += checks.field(f"field {model.__name__}.{name}", field)
    return state, tuple(problems)


def set_up_encryption(graph: GraphDefinition[Any], state: StateType[Any]) -> Iterator[Problem]:
    """Prepare the encryption of secret fields with the graph's keys, and yield problems such as missing keys."""
    for name, field in state.fields.items():
        yield from _secret_problems(graph, f"field {state.model.__name__}.{name}", field)
    if not state.secrets or graph.secret_key is None:
        return
    try:
        cipher = cipher_of(graph.name, graph.secret_key)
    except DefinitionError as error:
        yield Problem("secret_key", "secret_key=", error.message, error.repair)
        return
    except Exception as error:  # noqa: BLE001 - a user's function
        message = f"the function of secret_key= raised {type(error).__name__} in place of returning a key"
        repair = f"return a key: {MAKES_ONE}"
        yield Problem("secret_key", "secret_key=", message, repair)
        return
    for name in state.secrets:
        state.fields[name].cipher = cipher


def _secret_problems(graph: GraphDefinition[Any], where: str, field: FieldType) -> Iterator[Problem]:
    nested = nested_secret(field.model.model_fields[field.name].annotation)
    if nested:
        text = f"{nested}, but only whole fields are encrypted"
        yield Problem(_CODE, where, text, "declare the field Annotated[…, Secret], and its content as plain text")
    elif not field.secret:
        return
    elif field.reducer is not None or field.dumped:
        what = "a reducer" if field.reducer is not None else "a serialiser of its own"
        text = f"a secret field cannot have {what}, because only whole fields are encrypted"
        yield Problem(_CODE, where, text, f"remove {what}, and write the field as a whole")
    elif graph.secret_key is None:
        text = "the field is secret, but the graph has no key to encrypt it"
        yield Problem(_CODE, where, text, "add Graph(secret_key=…), or pass the secret as a resource instead")
