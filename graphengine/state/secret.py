"""Secrets in a state: which fields hold one, and how their records are encrypted.

A field is secret if its type contains `SecretStr` or `SecretBytes`, or if it is declared with `Secret`. Its record,
wherever it is stored (steps, snapshots, exports), is `{"$secret": "…"}`: the whole JSON of the field, encrypted with
AES-SIV. Equal values of one field give equal records, so that the engine stays a pure function and replays can be
compared. Without the key, a reader learns only whether two records are equal and roughly how long they are.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, PlainSerializer, SecretBytes, SecretStr, ValidationInfo
from pydantic_core import core_schema, to_json

from graphengine.errors import DefinitionError, SecretKeyWrong, install_command
from graphengine.state.hints import is_alias, unaliased, value_of

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

    from graphengine.state.json_values import JsonValue

HIDDEN: Final = "**********"
MAKES_ONE: Final = "secrets.token_urlsafe(32) returns one"

Key: TypeAlias = "str | bytes"
Keys: TypeAlias = "Key | Sequence[Key] | Callable[[], Key | Sequence[Key]]"

_MARK: Final = "$secret"
_LEAST_BYTES: Final = 32
_LEAST_DIFFERENT: Final = 10
_LEAST_SCRUBBED: Final = 3  # shorter texts occur in any message by chance
LEAST_REFUSED: Final = 8  # shorter texts are not refused, for the same reason
_CUT: Final = re.compile(r"( ?(?:\.\.\.|…|\\u2026) ?)")  # in the forms that people, pydantic and JSON write


class Secret:
    """Marks a field of a state as secret: `token: Annotated[str, Secret]`; needs `Graph(secret_key=…)`.

    The value of a field that is marked with `Secret` can be read where a program works with it, and is protected
    elsewhere:

    - Nodes and `Result.state` contain the value in clear text.
    - Steps, snapshots, exports, events and pictures contain the value encrypted.
    - The JSON that pydantic makes of the state shows asterisks in place of the value.
    - Errors and tracebacks of nodes, texts that nodes emit, and the live text of agents show asterisks in place of the
      value. If a node emits an object that contains the value, the whole object is hidden.

    Texts are searched only for the exact value of a secret field, so the value can still be shown in another form. For
    example, the value is shown if a model writes it with blanks between the letters, or if a node emits it in several
    parts with several calls of `ctx.emit`.

    A node fails with the error `not_recordable` if it would record the value of a secret field in another place,
    because the value would be stored there in clear text. Such a place is, for example, another field of the state. It
    can also be a payload, topic, key, question, type or default that the node passes to a method of `ctx`. Values with
    fewer than 8 characters are not searched for, because such short texts occur by chance.

    A graph does not compile if it uses a secret field in a way that would reveal the value. The error has the code
    `secret_field`. The graph must not:

    - use the field in `value`, `plateau`, `changed`, a switch, a choice, a map or a question
    - show the field to an agent
    - pass the field to a subgraph that does not hide it

    `value("token").is_none()` is allowed, and so are conditions that are functions.

    To replace the encryption key of a graph, pass the new key followed by the old key: `secret_key=[new, old]`. New
    records are encrypted with the new key. Keep the old key in the list until every secret field has been written
    again, because earlier records can be read only with the old key.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:  # noqa: ANN401 - pydantic's
        schema = handler(source)
        hidden = core_schema.plain_serializer_function_ser_schema(_hide_value, when_used="json")
        schema["serialization"] = hidden  # type: ignore[index]
        return schema


def _hide_value(value: object) -> str:  # noqa: ARG001 - passed by pydantic
    return HIDDEN


@dataclass(frozen=True, slots=True)
class Cipher:
    """Encrypts the secret fields of a graph with its first key, and decrypts them with any of its keys.

    Attributes:
        graph: The name of the graph. Each record is bound to its graph and field, so that it cannot be used for another
            field.
    """

    graph: str
    _ciphers: tuple[Any, ...] = field(repr=False, compare=False)

    def seal(self, name: str, body: bytes) -> JsonValue:
        """Encrypt the JSON of a secret field."""
        sealed = self._ciphers[0].encrypt(body, [self._place(name)])
        return {_MARK: base64.b64encode(sealed).decode()}

    def unseal(self, name: str, record: JsonValue) -> bytes:
        """Decrypt the record of a secret field, and return the JSON of its value.

        A record from before the field was declared secret is not encrypted. Its JSON is returned as it is.

        Raises:
            SecretKeyWrong: None of the keys decrypts the record.
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
            repair="pass the key with which the secret was recorded; after a change of keys: secret_key=[new, old]",
        )

    def _place(self, name: str) -> bytes:
        return f"graphengine/{self.graph}/{name}".encode()


def is_sealed(record: JsonValue) -> TypeGuard[Mapping[str, object]]:
    return isinstance(record, dict) and list(record) == [_MARK]


def cipher_of(graph: str, keys: object) -> Cipher:
    """Return the object that encrypts the secret fields of a graph with these keys.

    Raises:
        DefinitionError: The keys are not valid, or the package cryptography is missing.
    """
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV  # noqa: PLC0415 - only where there are secrets
    except ImportError:
        message = "secrets need the package cryptography, which is not installed"
        raise DefinitionError(message, repair=install_command("secrets")) from None
    current_keys = keys() if callable(keys) else keys
    listed = list(current_keys) if isinstance(current_keys, (list, tuple)) else [current_keys]
    if not listed:
        raise DefinitionError("secret_key= is empty, but secret fields need a key", repair=f"pass a key: {MAKES_ONE}")
    return Cipher(graph, tuple(AESSIV(_derive_key(key)) for key in listed))


def _derive_key(key: object) -> bytes:
    raw = key.get_secret_value() if isinstance(key, (SecretStr, SecretBytes)) else key
    body = raw.encode() if isinstance(raw, str) else raw
    if not isinstance(body, bytes):
        repair = f"pass text or bytes, or a function that returns them: {MAKES_ONE}"
        raise DefinitionError(f"secret_key= has the type {type(key).__name__}, not text or bytes", repair=repair)
    if len(body) < _LEAST_BYTES or len(set(body)) < _LEAST_DIFFERENT:
        text = "secret_key= is too weak, because it is too short or has too few different bytes"
        raise DefinitionError(text, repair=f"pass {_LEAST_BYTES} random bytes: {MAKES_ONE}")
    return hashlib.sha512(b"graphengine secret\0" + body).digest()


def is_secret(annotation: object, metadata: Sequence[object]) -> bool:
    """Return whether a field with this annotation and metadata is declared secret or contains a secret."""
    return any(item is Secret or isinstance(item, Secret) for item in metadata) or has_secret(annotation)


def has_secret(annotation: object) -> bool:
    """Return whether a type contains a secret. Secrets in the fields of models inside the type do not count."""
    return _has_secret(annotation, ())


def _has_secret(annotation: object, inside: tuple[object, ...]) -> bool:
    if is_alias(annotation):
        return annotation not in inside and _has_secret(value_of(annotation), (*inside, annotation))
    if get_origin(annotation) is Annotated and any(item is Secret for item in get_args(annotation)[1:]):
        return True
    inner = [item for item in get_args(annotation) if not isinstance(item, str)]
    return _is_secret_type(annotation) or any(_has_secret(item, inside) for item in inner)


def nested_secret(annotation: object) -> str:
    """Describe a secret that is declared too deep, inside a model or a recursive alias; "" if there is none."""
    return _find_nested_secret(unaliased(annotation), ())


def _find_nested_secret(annotation: object, seen: tuple[object, ...]) -> str:
    if is_alias(annotation):
        return f"{annotation} contains itself and a secret" if has_secret(annotation) else ""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in seen:
        for name, info in annotation.model_fields.items():
            if is_secret(info.annotation, info.metadata):
                return f"{annotation.__name__}.{name} is a secret inside a model"
            found = _find_nested_secret(unaliased(info.annotation), (*seen, annotation))
            if found:
                return found
    return next(filter(None, (_find_nested_secret(item, seen) for item in get_args(annotation))), "")


def revealed(annotation: Any) -> Any:  # noqa: ANN401 - annotations
    """Return an annotation without its marks for secrets, so that pydantic writes the values in clear text.

    This is done to encrypt the JSON of the value afterwards. For example, `Annotated[str, Secret]` becomes `str`.
    """
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation is SecretStr or annotation is SecretBytes:
        return _REVEALED[annotation]
    if origin is Annotated:
        kept = tuple(item for item in inner[1:] if item is not Secret and not isinstance(item, Secret))
        return Annotated[(revealed(inner[0]), *kept)] if kept else revealed(inner[0])
    if origin is Union or origin is UnionType:
        return Union[tuple(map(revealed, inner))]  # noqa: UP007 - built at runtime
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
    """Yield all texts in which a secret value could appear, so that they can be hidden wherever they are shown.

    A text is yielded in each form in which Python, JSON or base64 would write it.
    """
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
    for item in _texts_inside(value):
        yield from clear_texts(item)


def _texts_inside(value: object) -> list[object]:
    if isinstance(value, BaseModel):
        return list(vars(value).values())
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    return list(value) if isinstance(value, (list, tuple, set, frozenset)) else []


def _forms(text: str) -> Iterator[str]:
    """Yield a secret text unchanged, and in the forms in which Python, JSON and base64 would write it."""
    yield text
    yield repr(text)[1:-1]
    yield repr(text.encode("utf-8", "replace"))[2:-1]
    if _is_text(text):
        yield to_json(text).decode()[1:-1]
        yield json.dumps(text)[1:-1]
    yield base64.b64encode(text.encode("utf-8", "replace")).decode()


def _is_text(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)


def scrubbed(value: Any, texts: Sequence[str], mark: str = HIDDEN, least: int = _LEAST_SCRUBBED) -> Any:  # noqa: ANN401 - records
    """Return a value in which secret texts are replaced, including parts that are left of a secret that was cut.

    Args:
        value: The value, as JSON.
        texts: The secret texts, the longest first.
        mark: The text that replaces each of them.
        least: The length from which parts of a secret are replaced.
    """
    if not texts:
        return value
    if isinstance(value, str):
        return _without_places(value, _find_places(value, texts, least), mark)
    if isinstance(value, Mapping):
        return {key: scrubbed(item, texts, mark, least) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(scrubbed(item, texts, mark, least) for item in value)
    return value


def _find_places(value: str, texts: Sequence[str], least: int) -> list[tuple[int, int]]:
    """Return where secret texts occur in a text, as pairs of start and end, including parts of secrets that were cut.

    For example, pydantic rejects a key of 60 characters and quotes it in its error as
    `input_value='sk-ant-api03-…-wXyZ'`, with the middle cut out. The whole key does not occur in that error, but its
    beginning and its end do. Such a part is found if it is next to a mark such as `…` and has at least `least`
    characters.
    """
    found: list[tuple[int, int]] = []
    for text in texts:
        at = value.find(text)
        while at >= 0:
            found.append((at, at + len(text)))
            at = value.find(text, at + len(text))
    # Most texts contain no such part, and this check is cheap.
    may_begin = [text for text in texts if text[:least] in value]
    may_end = [text for text in texts if text[-least:] in value]
    longest = max(map(len, texts), default=0)
    for cut in _CUT.finditer(value) if may_begin or may_end else ():
        begin, end = cut.span()
        overlap = max((begun_at_end(text, value[max(0, begin - longest) : begin]) for text in may_begin), default=0)
        ended = max((ended_at_start(text, value[end : end + longest]) for text in may_end), default=0)
        found += [(begin - overlap, begin)] if overlap >= least else []
        found += [(end, end + ended)] if ended >= least else []
    return found


def _without_places(value: str, places: Sequence[tuple[int, int]], mark: str) -> str:
    shown, at = "", 0
    for begin, end in sorted(places):
        shown += value[at:begin] + mark if begin >= at else ""
        at = max(at, end)
    return shown + value[at:]


def screened(text: str, texts: Sequence[str], mark: str = HIDDEN) -> tuple[str, str]:
    """Hide secrets in a text that is still being streamed, and return the part that can be shown now and the rest.

    The rest is the end of the text. It is held back if a secret may begin there. Parts of secrets next to `…` are
    replaced last, because the next piece of the stream may complete the text around them.
    """
    whole = str(scrubbed(text, texts, mark, len(text) + 1))
    shown = len(whole) - max((begun_at_end(each, whole) for each in texts), default=0)
    return str(scrubbed(whole[:shown], texts, mark)), whole[shown:]


def begun_at_end(secret: str, text: str) -> int:
    """Return how many characters at the end of a text may be the beginning of a secret that is not complete yet."""
    at = text.find(secret[0], max(0, len(text) - len(secret) + 1))
    while at >= 0 and not secret.startswith(text[at:]):
        at = text.find(secret[0], at + 1)
    return len(text) - at if at >= 0 else 0


def ended_at_start(secret: str, text: str) -> int:
    """Return how many characters at the start of `text` are the end of a secret whose beginning was cut off.

    >>> ended_at_start("sk-ant-wXyZ", "wXyZ is wrong")
    4
    """
    end = text.rfind(secret[-1], 0, len(secret) - 1) + 1
    while end and not secret.endswith(text[:end]):
        end = text.rfind(secret[-1], 0, end - 1) + 1
    return end


def concealed(value: object, texts: Sequence[str]) -> object:
    """Hide secret texts in data of any type that watchers see, also in the keys of dicts.

    An object that is neither a text nor a collection is hidden as a whole if it shows a secret.

    Args:
        value: The data.
        texts: The secret texts, the longest first.
    """
    if isinstance(value, str):
        return scrubbed(value, texts)
    if isinstance(value, Mapping):
        return {concealed(key, texts): concealed(item, texts) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        make = getattr(value, "_make", type(value))  # for a named tuple
        return make([concealed(item, texts) for item in value])
    return HIDDEN if _shows(value, texts) else value


def _shows(value: object, texts: Sequence[str]) -> bool:
    """Return whether the text, the `repr` or the JSON of an object contains one of these secret texts.

    An object that cannot be converted to text cannot be searched, so the result is then True to be safe.
    """
    if value is None or isinstance(value, (int, float)):
        return holds(value, texts)
    try:
        if isinstance(value, (bytes, bytearray, memoryview)):
            value = bytes(value).decode("utf-8", "replace")
        shown = [str(value), repr(value), to_json(value, inf_nan_mode="strings", serialize_unknown=True).decode()]
    except Exception:  # noqa: BLE001 - code of the object, which may raise anything: it cannot be searched
        return True
    return any(holds(each, texts) for each in shown)


def holds(value: JsonValue, texts: Sequence[str]) -> bool:
    """Return whether a record contains a secret text, or a long part of a secret that was cut off."""
    if isinstance(value, str):
        return bool(_find_places(value, texts, LEAST_REFUSED))
    if isinstance(value, (int, float)):
        return str(value) in texts
    if isinstance(value, Mapping):
        return any(holds(item, texts) for pair in value.items() for item in pair)
    return isinstance(value, (list, tuple)) and any(holds(item, texts) for item in value)


def worth_scrubbing(texts: Iterable[str]) -> list[str]:
    """Return those secret texts that are long enough to be searched for, the longest first.

    A very short text would also be found in unrelated words.
    """
    return sorted({text for text in texts if len(text) >= _LEAST_SCRUBBED}, key=len, reverse=True)
