"""Checks of the secret fields of a graph's state and of the key that encrypts them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.errors import DefinitionError, Problem
from graphengine.state.secret import MAKES_ONE, cipher_of, nested_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphengine.graph.definition import GraphDefinition
    from graphengine.state.field import FieldType
    from graphengine.state.schema import StateType

_CODE = "secret_field"


def encrypted(graph: GraphDefinition[Any], state: StateType[Any]) -> Iterator[Problem]:
    """Set up the encryption of a state's secret fields with the graph's key, and yield their problems."""
    for name, field in state.fields.items():
        yield from _field_problems(graph, f"field {state.model.__name__}.{name}", field)
    if not state.secrets or graph.secret_key is None:
        return
    try:
        cipher = cipher_of(graph.name, graph.secret_key)
    except DefinitionError as error:
        yield Problem("secret_key", "secret_key=", error.message, error.repair)
        return
    except Exception as error:  # noqa: BLE001 - a user's function
        message, repair = f"the function raised {type(error).__name__}", f"return a key: {MAKES_ONE}"
        yield Problem("secret_key", "secret_key=", message, repair)
        return
    for name in state.secrets:
        state.fields[name].cipher = cipher


def _field_problems(graph: GraphDefinition[Any], where: str, field: FieldType) -> Iterator[Problem]:
    nested = nested_secret(field.model.model_fields[field.name].annotation)
    if nested:
        text = f"{nested} is a secret inside a model, but only whole fields are encrypted"
        yield Problem(_CODE, where, text, "declare the field Annotated[…, Secret], and its content as plain text")
    elif not field.secret:
        return
    elif field.reducer is not None or field.dumped:
        what = "a reducer" if field.reducer is not None else "a serialiser of its own"
        yield Problem(_CODE, where, f"a secret field cannot have {what}", "remove that, and write the field as a whole")
    elif graph.secret_key is None:
        text = "the field is secret, but the graph has no key to encrypt it"
        yield Problem(_CODE, where, text, "add Graph(secret_key=…), or pass the secret as a resource instead")
