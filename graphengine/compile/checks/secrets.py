"""Whether a graph's state may hold the secrets that it declares, and what encrypts them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.errors import Problem
from graphengine.state.secret import cipher_of, nested_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphengine.graph.graph import Graph
    from graphengine.state.field import FieldType
    from graphengine.state.schema import StateType

_CODE = "secret_field"


def encrypted(graph: Graph[Any], state: StateType[Any]) -> Iterator[Problem]:
    """Let the secret fields of a state be encrypted with the graph's key; gives what is wrong with them."""
    for name, field in state.fields.items():
        yield from _field_problems(graph, f"field {state.model.__name__}.{name}", field)
    if not state.secrets or graph.secret_key is None:
        return
    try:
        cipher = cipher_of(graph.name, graph.secret_key)
    except Exception as error:  # noqa: BLE001 - a function of the user's
        told = str(error) if isinstance(error, ValueError) else f"it raised {type(error).__name__}"
        yield Problem("secret_key", "secret_key=", told, "give a good key")
        return
    for name in state.secrets:
        state.fields[name].cipher = cipher


def _field_problems(graph: Graph[Any], where: str, field: FieldType) -> Iterator[Problem]:
    nested = nested_secret(field.model.model_fields[field.name].annotation)
    if nested:
        text = f"{nested} is a secret inside a model, and a field is encrypted as a whole"
        yield Problem(_CODE, where, text, "declare the field Annotated[…, Secret], and what is in it as plain text")
    elif not field.secret:
        return
    elif field.reducer is not None or field.dumped:
        what = "a reducer" if field.reducer is not None else "a serialiser of its own"
        yield Problem(_CODE, where, f"a secret with {what}", "write the whole of it, without that")
    elif graph.secret_key is None:
        text = "it holds a secret, and the graph has no key to encrypt it with"
        yield Problem(_CODE, where, text, "Graph(secret_key=…), or give the secret as a resource instead")
