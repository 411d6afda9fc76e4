"""What an answer has to be, in words, as its JSON Schema tells: for people, who read no schemas.

`in_words` names what is wanted, `choices` the values where they are listed, `example` one value that fits,
`whats_wrong` what is wrong with a value that does not fit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

if TYPE_CHECKING:
    from graphengine.state.json_values import JsonValue

Schema = Mapping[str, "JsonValue"]

_SIMPLE: Final = {
    "boolean": "yes or no",
    "string": "a text",
    "null": "null",
    "integer": "a whole number",
    "number": "a number",
}
_FORMATS: Final = {
    "date": "2030-01-31",
    "date-time": "2030-01-31T12:00:00Z",
    "time": "12:00:00",
    "duration": "PT1H",
    "email": "name@example.com",
    "uri": "https://example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_DEPTH: Final = 3
_COLUMNS: Final = 80
_LISTED: Final = 20


def in_words(schema: Schema, root: Schema | None = None, depth: int = _DEPTH) -> str:
    """What fits a schema, as a noun: `yes or no`, `a whole number from 1 to 10`, `a list, each of it a text`.

    Args:
        schema: The JSON Schema; of one that makes no sense, as a database may have it, nothing is told.
        root: The schema it is a part of, which has the definitions.
        depth: How deep to go into lists and objects; what lies deeper is called JSON.
    """
    try:
        return _in_words(schema, schema if root is None else root, depth)
    except (TypeError, AttributeError, KeyError, ValueError, RecursionError):
        return "JSON"


def choices(schema: Schema) -> list[str]:
    """The values that a schema lists, as a person writes them; none where it lists none."""
    try:
        return _choices(schema, schema, _DEPTH)
    except (TypeError, AttributeError, KeyError, ValueError, RecursionError):
        return []


def example(schema: Schema) -> str | None:
    """Write one value that fits, as a caller types it: JSON, or a text alone; None if none is found."""
    try:
        made = _example(schema, schema, _DEPTH)
    except (TypeError, AttributeError, KeyError, ValueError, RecursionError):
        return None
    if set(schema) - {"type", "title"} and whats_wrong(schema, made):  # a pattern, a step: nothing was made to fit it
        return None
    return made if isinstance(made, str) else to_json(made).decode()


def whats_wrong(schema: Schema, value: JsonValue) -> list[str]:
    """What keeps a value from fitting a schema: a text for each thing, none where it fits.

    A schema that cannot be used fits nothing. It comes from a database, and reads no file and no address: what it
    refers to must be in it.
    """
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - heavy, and needed for answers alone
    from referencing import Registry  # noqa: PLC0415 - as jsonschema

    try:
        found = Draft202012Validator(schema, registry=Registry()).iter_errors(value)
        errors = sorted(found, key=lambda error: [str(p) for p in error.path])
        return list(dict.fromkeys(_told(error, schema) for error in errors))
    except Exception as error:  # noqa: BLE001 - a schema may be anything, and jsonschema then raises anything
        return [f"the schema that is recorded with the question cannot be used: {type(error).__name__}: {error}"]


def _in_words(schema: Schema, root: Schema, depth: int) -> str:
    """The same of a schema that makes sense."""
    schema = _resolved(schema, root)
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if isinstance(values, Sequence):
        return _either([*map(_shown, values[:_LISTED]), *(["…"] if len(values) > _LISTED else [])])
    branches = _branches(schema)
    if branches:
        alone = _choices(schema, root, _DEPTH)[:_LISTED]
        others = [branch for branch in branches if not _choices(branch, root, _DEPTH)] if depth >= 0 else []
        return _either([*alone, *(_in_words(branch, root, depth - 1) for branch in others)] or ["JSON"])
    kind = schema.get("type")
    if kind == "array":
        items = schema.get("items")
        return f"a list, each of it {_in_words(items, root, depth - 1)}" if items and depth > 0 else "a list"
    if kind == "object":
        return _object(schema, root, depth)
    return _SIMPLE.get(str(kind), "JSON") + _bounds(schema)


def _choices(schema: Schema, root: Schema, depth: int) -> list[str]:
    """The same of a schema that makes sense."""
    schema = _resolved(schema, root)
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    branches = _branches(schema) if depth else ()
    return [*map(_shown, values), *(word for branch in branches for word in _choices(branch, root, depth - 1))]


def _example(schema: Schema, root: Schema, depth: int) -> JsonValue:
    """Make a value of a schema that makes sense; bounds are kept, patterns are not."""
    schema = _resolved(schema, root)
    known = [schema[word] for word in ("const", "default") if word in schema]
    known += [value for word in ("examples", "enum") for value in schema.get(word, ())[:1]]
    if known:
        return known[0]
    branches = [branch for branch in _branches(schema) if branch.get("type") != "null"]
    if branches:
        return _example(branches[0], root, depth)
    kind = schema.get("type")
    if kind in ("boolean", "null"):
        return True if kind == "boolean" else None
    if kind in ("integer", "number"):
        return _number(schema, whole=kind == "integer")
    return _several(schema, root, depth) if kind in ("array", "object") else _text(schema)


def _several(schema: Schema, root: Schema, depth: int) -> JsonValue:
    """Make a list or an object, of what it must have."""
    if schema["type"] == "array":
        few = max(1 if depth > 0 else 0, schema.get("minItems", 0))
        shown = schema.get("prefixItems") or [schema.get("items", {})] * min(few, _LISTED)
        return [_example(item, root, depth - 1) for item in shown]
    properties = schema.get("properties", {})
    names = schema.get("required") or (list(properties) if depth > 0 else ())
    return {name: _example(properties.get(name, {}), root, depth - 1) for name in names}


def _text(schema: Schema) -> str:
    """Make a text of the format and length that are wanted."""
    return _FORMATS.get(schema.get("format", ""), "TEXT").ljust(min(schema.get("minLength", 0), _COLUMNS), ".")


def _number(schema: Schema, *, whole: bool) -> JsonValue:
    """Make a number within the bounds of a schema."""
    step = 1 if whole else 0.5
    low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf) + step)
    high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf) - step)
    return max(min(1, high), low)


def _told(error: Any, root: Schema) -> str:  # noqa: ANN401 - of a library without types
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.path).lstrip(".")
    told: str = error.message
    if error.validator in ("type", "enum", "const", "anyOf", "oneOf"):
        told = f"{_shown(error.instance, quoted=True)} is not {in_words(error.schema, root, 0)}"
    elif error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        told = f"{missing[0]} is missing" if len(missing) == 1 else told
    return f"{place}: {told}" if place else told


def _branches(schema: Schema) -> Sequence[Schema]:
    return schema.get("anyOf") or schema.get("oneOf") or ()


def _resolved(schema: object, root: object) -> Schema:
    if not isinstance(schema, Mapping) or not isinstance(root, Mapping):  # read from a database that may say anything
        return {}
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    found = root.get("$defs", {}).get(name) if name else None
    return found if isinstance(found, Mapping) else schema


def _bounds(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    bounds = (
        (low, "of {} or more"),
        (high, "of {} or less"),
        (schema.get("exclusiveMinimum"), "above {}"),
        (schema.get("exclusiveMaximum"), "below {}"),
    )
    told = " and ".join(text.format(bound) for bound, text in bounds if bound is not None)
    return f" {told}" if told else ""


def _object(schema: Schema, root: Schema, depth: int) -> str:
    properties: Schema = schema.get("properties", {})
    needed = schema.get("required", ())
    names = [*needed, *(name for name in properties if name not in needed)]
    if not names or depth <= 0:
        return "a JSON object"
    told = []
    for name in names:
        of_it = properties.get(name)
        facts = [_in_words(of_it, root, depth - 1)] if isinstance(of_it, Mapping) else []
        facts += [] if name in needed else ["may be left out"]
        told.append(f"{name} ({'; '.join(facts)})" if facts else name)
    return f"a JSON object with {', '.join(told)}"


def _either(words: Sequence[str]) -> str:
    words = list(dict.fromkeys(words)) or ["nothing"]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _shown(value: JsonValue, *, quoted: bool = False) -> str:
    """A value as a person writes it: a text without quotes, yes and no for true and false."""
    if isinstance(value, bool) and not quoted:
        return "yes" if value else "no"
    text = repr(value) if isinstance(value, str) and quoted else None
    text = text or (value if isinstance(value, str) else to_json(value).decode())
    return text if len(text) <= _COLUMNS else text[:_COLUMNS] + "…"
