"""The identity of a call of an agent, computed from its inputs by name.

The identity is used to find a conversation again that has already begun. It depends only on the names, types and values
of the inputs. Instructions, prompts, schemas and tools are not part of it, so they may change while a conversation is
in progress. Calls with the same identity are numbered.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json

from graphengine.models.base import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphengine.kernel.extension import JsonValue

Kept: TypeAlias = "Callable[[object], Mapping[str, object] | None]"
"""Returns the values of the fields that the class of a model or dataclass had in the earlier code that recorded a call.

Returns None for values of other kinds.
"""
_ATOMS: Final = (str, int, float, bool, type(None))


def identity_of(
    inputs: Mapping[str, object], messages: str, apart: Mapping[str, object], kept: Kept | None = None
) -> dict[str, JsonValue]:
    """Return a digest of each input of an agent's call, by the name of the input.

    When a run is resumed, the digests are compared with recorded ones, to find the conversation that the same call
    began before.

    Args:
        inputs: The inputs.
        messages: The name of the input that contains the conversation so far; "" if there is none.
        apart: The resources and the Context of the node. They are left out, because they can differ in the resumed run.
        kept: Returns the values of the fields that the class of a model or dataclass had when the earlier code recorded
            the call, and None for other values. Pass it to compare the digests with digests of the earlier code.

    Raises:
        DoesNotFit: `kept` was passed, and an input cannot have had its present form when the call was recorded.
    """
    found: dict[str, JsonValue] = {}
    for name, value in sorted(inputs.items()):
        if name in apart and apart[name] is value:
            continue
        found[name] = digest(_talk(value) if name == messages else typed(value, kept))
    return found


def digest(value: object) -> str:
    """Return a short hash of a value that is the same in every process."""
    return hashlib.blake2b(to_json(value, inf_nan_mode="strings"), digest_size=9).hexdigest()


def typed(value: Any, kept: Kept | None = None) -> object:  # noqa: ANN401, PLR0911 - whatever a call is given, one return for each kind
    """Convert a value to a JSON form from which a digest is computed.

    Equal values get equal forms in every process, and values of different types get different forms: the list `[1]`
    becomes `{"list": [1]}`, and the tuple `(1,)` becomes `{"tuple": [1]}`. A model or a dataclass is represented by its
    fields alone, so its class may be renamed.
    """
    if isinstance(value, enum.Enum):
        value = value.value
    if type(value) in _ATOMS:
        return value
    if kept is not None and (fields := kept(value)) is not None:
        return typed(fields, kept)
    if isinstance(value, (BaseModel, Mapping)):
        items: Mapping[Any, object] = value if isinstance(value, Mapping) else dict(value)
        pairs = ([to_json(typed(key, kept)).decode(), typed(each, kept)] for key, each in items.items())
        return {"map": sorted(pairs, key=lambda pair: str(pair[0]))}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return typed({each.name: getattr(value, each.name, None) for each in dataclasses.fields(value)}, kept)
    if isinstance(value, AbstractSet):
        return {"set": sorted(to_json(typed(each, kept)).decode() for each in value)}
    if isinstance(value, (list, tuple)):
        return {"tuple" if isinstance(value, tuple) else "list": [typed(each, kept) for each in value]}
    kind = type(value)
    try:
        return {kind.__name__: to_json(value, inf_nan_mode="strings", bytes_mode="base64").decode()}
    except (PydanticSerializationError, ValueError, RecursionError):  # such as an open file, a model or a client
        return {"object": kind.__qualname__}


def _talk(value: object) -> object:
    """Convert the messages of a conversation to lists from which a digest is computed.

    Only the attributes that a Message has in every version of this package are used. A digest that an earlier version
    recorded therefore stays valid.
    """
    messages = value if isinstance(value, Sequence) else ()
    return [
        [each.role, each.text, each.call_id, [[call.id, call.name, call.arguments] for call in each.calls]]
        if isinstance(each, Message)
        else typed(each)
        for each in messages
    ]


__all__ = ["digest", "identity_of", "typed"]
