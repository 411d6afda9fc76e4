"""Secrets in a state: which fields hold one, and how it is kept where nobody without the key can read it.

A field is secret if its type has a `SecretStr` or `SecretBytes` in it, or if it is declared so with `Secret`. Its
record, wherever it stands (steps, snapshots, exports), is `{"$secret": "…"}`: the field's JSON as a whole, encrypted
with AES-SIV. The same value of the same field gives the same record, so that deciding stays a pure function and replays
can be compared; who reads records can tell that two are equal, and about how long they are, and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, PlainSerializer, SecretBytes, SecretStr, ValidationInfo
from pydantic_core import core_schema, to_json

from graphengine.errors import SecretKeyWrong

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

    from graphengine.state.json_values import JsonValue

HIDDEN: Final = "**********"
"""What is shown in place of a secret."""

Key: TypeAlias = "str | bytes"
Keys: TypeAlias = "Key | Sequence[Key] | Callable[[], Key | Sequence[Key]]"

_MARK: Final = "$secret"
_LEAST_BYTES: Final = 32
_LEAST_DIFFERENT: Final = 10
_LEAST_SCRUBBED: Final = 3  # shorter texts stand in every message by chance


class Secret:
    """Marks a field of a state as secret: `token: Annotated[str, Secret]`; needs `Graph(secret_key=…)`.

    Nodes get the value as it is; records, and JSON that pydantic makes of the state, have it encrypted or hidden.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:  # noqa: ANN401 - pydantic's
        """The type itself, hidden where it is written as JSON."""
        schema = handler(source)
        hidden = core_schema.plain_serializer_function_ser_schema(_hidden, when_used="json")
        schema["serialization"] = hidden  # type: ignore[index]
        return schema


def _hidden(value: object) -> str:  # noqa: ARG001 - pydantic gives it
    return HIDDEN


@dataclass(frozen=True, slots=True)
class Cipher:
    """Encrypts with the first of some keys, decrypts with any of them.

    Attributes:
        graph: The graph's name; with the field's it is what a record belongs to, so that none stands for another.
    """

    graph: str
    _ciphers: tuple[Any, ...] = field(repr=False, compare=False)

    def seal(self, name: str, body: bytes) -> JsonValue:
        """The record of a field whose JSON this is."""
        sealed = self._ciphers[0].encrypt(body, [self._place(name)])
        return {_MARK: base64.b64encode(sealed).decode()}

    def unseal(self, name: str, record: JsonValue) -> bytes:
        """The JSON of a field; one that was recorded before it became secret is taken as it is.

        Raises:
            SecretKeyWrong: None of the keys opens it.
        """
        if not is_sealed(record):
            return to_json(record)
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - only where there are secrets

        try:
            sealed = base64.b64decode(str(record[_MARK]), validate=True)
        except (binascii.Error, ValueError):
            sealed = b""
        for cipher in self._ciphers:
            try:
                opened: bytes = cipher.decrypt(sealed, [self._place(name)])
            except (InvalidTag, ValueError):
                continue
            return opened
        raise SecretKeyWrong(
            f"the secret in {name!r} cannot be read with the key of graph {self.graph!r}",
            where=f"field {name}",
            repair="give the key it was recorded with; after a change of keys both: secret_key=[new, old]",
        )

    def _place(self, name: str) -> bytes:
        return f"graphengine/{self.graph}/{name}".encode()


def is_sealed(record: JsonValue) -> bool:
    """Whether a record has the form of an encrypted one."""
    return isinstance(record, dict) and list(record) == [_MARK]


def cipher_of(graph: str, keys: object) -> Cipher:
    """The cipher of a graph's keys.

    Raises:
        ValueError: They are no good keys, or there is nothing to encrypt with; says what to do.
    """
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV  # noqa: PLC0415 - only where there are secrets
    except ImportError:
        message = "secrets need the package cryptography: pip install 'graphengine[secrets]'"
        raise ValueError(message) from None
    given = keys() if callable(keys) else keys
    listed = list(given) if isinstance(given, (list, tuple)) else [given]
    if not listed:
        message = "secret_key= is empty: give a key"
        raise ValueError(message)
    return Cipher(graph, tuple(AESSIV(_derived(key)) for key in listed))


def _derived(key: object) -> bytes:
    raw = key.get_secret_value() if isinstance(key, (SecretStr, SecretBytes)) else key
    body = raw.encode() if isinstance(raw, str) else raw
    if not isinstance(body, bytes):
        message = f"secret_key= is a {type(key).__name__}: give text or bytes, or a function that gives them"
        raise ValueError(message)
    if len(body) < _LEAST_BYTES or len(set(body)) < _LEAST_DIFFERENT:
        message = f"secret_key= is too weak: give {_LEAST_BYTES} bytes or more of secrets.token_urlsafe(32) or its like"
        raise ValueError(message)
    return hashlib.sha512(b"graphengine secret\0" + body).digest()


def is_secret(annotation: object, metadata: Sequence[object]) -> bool:
    """Whether a field of this annotation and metadata holds a secret."""
    return any(item is Secret or isinstance(item, Secret) for item in metadata) or has_secret(annotation)


def has_secret(annotation: object) -> bool:
    """Whether a type has a secret in it, models aside."""
    if get_origin(annotation) is Annotated and any(item is Secret for item in get_args(annotation)[1:]):
        return True
    inner = get_args(annotation)
    return _is_secret_type(annotation) or any(has_secret(item) for item in inner if not isinstance(item, str))


def nested_secret(annotation: object, seen: tuple[object, ...] = ()) -> str:
    """The first secret inside a model in this annotation, as `Model.field`; "" if there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in seen:
        for name, info in annotation.model_fields.items():
            if is_secret(info.annotation, info.metadata):
                return f"{annotation.__name__}.{name}"
            found = nested_secret(info.annotation, (*seen, annotation))
            if found:
                return found
    return next(filter(None, (nested_secret(item, seen) for item in get_args(annotation))), "")


def revealed(annotation: Any) -> Any:  # noqa: ANN401 - annotations
    """The annotation with secrets that are written as they are, for the JSON that is encrypted."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation is SecretStr or annotation is SecretBytes:
        return _REVEALED[annotation]
    if origin is Annotated:
        kept = tuple(item for item in inner[1:] if item is not Secret and not isinstance(item, Secret))
        return Annotated[(revealed(inner[0]), *kept)] if kept else revealed(inner[0])
    if origin is Union or origin is UnionType:
        return Union[tuple(map(revealed, inner))]  # noqa: UP007 - made of what is there
    if isinstance(origin, type) and inner and has_secret(annotation):
        return origin[tuple(item if item is Ellipsis else revealed(item) for item in inner)]  # type: ignore[index]
    return annotation


def _is_secret_type(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, (SecretStr, SecretBytes))


def _as_text(value: SecretStr) -> str:
    return value.get_secret_value()


def _as_base64(value: SecretBytes) -> str:
    return base64.b64encode(value.get_secret_value()).decode()


def _from_base64(value: object, info: ValidationInfo) -> object:
    return base64.b64decode(value, validate=True) if info.mode == "json" and isinstance(value, str) else value


_REVEALED: Final[dict[type, Any]] = {
    SecretStr: Annotated[SecretStr, PlainSerializer(_as_text, return_type=str, when_used="json")],
    SecretBytes: Annotated[
        SecretBytes,
        PlainSerializer(_as_base64, return_type=str, when_used="json"),
        BeforeValidator(_from_base64),
    ],
}


def clear_texts(value: object) -> Iterator[str]:
    """The texts in a secret value that must not be seen anywhere."""
    if isinstance(value, (SecretStr, SecretBytes)):
        value = value.get_secret_value()
    if isinstance(value, bytes):
        yield base64.b64encode(value).decode()
        yield repr(value)[2:-1]
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        yield from _forms(value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield str(value)
    for item in _inside(value):
        yield from clear_texts(item)


def _inside(value: object) -> list[object]:
    """What a value is made of, that may hold texts."""
    if isinstance(value, BaseModel):
        return list(vars(value).values())
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    return list(value) if isinstance(value, (list, tuple, set, frozenset)) else []


def _forms(text: str) -> Iterator[str]:
    """A text as it is, and as Python, JSON and base64 write it."""
    yield text
    yield repr(text)[1:-1]
    if _is_text(text):
        yield to_json(text).decode()[1:-1]
        yield json.dumps(text)[1:-1]
    yield base64.b64encode(text.encode("utf-8", "replace")).decode()


def _is_text(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)


def scrubbed(value: Any, texts: Sequence[str]) -> Any:  # noqa: ANN401 - records
    """A record with every one of these texts hidden in it; the longest go first."""
    if isinstance(value, str):
        for text in texts:
            if text in value:
                value = value.replace(text, HIDDEN)
        return value
    if isinstance(value, Mapping):
        return {key: scrubbed(item, texts) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(scrubbed(item, texts) for item in value)
    return value


def holds(value: JsonValue, texts: Sequence[str]) -> bool:
    """Whether one of these texts stands anywhere in a record."""
    if isinstance(value, str):
        return any(text in value for text in texts)
    if isinstance(value, Mapping):
        return any(holds(item, texts) for pair in value.items() for item in pair)
    return isinstance(value, (list, tuple)) and any(holds(item, texts) for item in value)


def worth_scrubbing(texts: Iterable[str]) -> list[str]:
    """Those of the texts that are long enough to be looked for, the longest first."""
    return sorted({text for text in texts if len(text) >= _LEAST_SCRUBBED}, key=len, reverse=True)
