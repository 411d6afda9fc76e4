"""Schemas and names of tools in the one form that the APIs of all providers accept.

A tool that somebody else has made, such as a tool of an MCP server, may have any name, and any JSON Schema of its
arguments. Each API refuses some names and schemas, with a status 400 for the whole call:

- Anthropic's Messages API refuses names of properties outside `[A-Za-z0-9_.-]{1,64}`.
- OpenAI's Responses and Chat Completions APIs refuse an object without `properties` and an array without `items`.
- All APIs refuse alternatives at the top, and anything that is not a JSON Schema of the draft 2020-12.

Because all providers receive the same form, a conversation can continue with a fallback of another provider. The form
accepts at least the arguments that the declared schema accepts. The declared schema validates the arguments.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from graphengine.models.sdk import sound_json
from graphengine.schemas.walking import BRANCHES, NAMED, SERIES, SINGLE, part_at

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from pydantic import JsonValue

    from graphengine.models.received import JsonObject

_DEEPEST: Final = 60
"""How deeply a schema may be nested. Each level needs several frames of Python's stack, here and in jsonschema."""
LONGEST_NAME: Final = 64
_DIGEST: Final = 8
_SHOWN: Final = 2_000
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_.-]")
_KINDS: Final = ("array", "boolean", "integer", "null", "number", "object", "string")
_MEANT: Final = {
    "bool": "boolean",
    "dict": "object",
    "double": "number",
    "float": "number",
    "int": "integer",
    "list": "array",
    "long": "integer",
    "str": "string",
    "text": "string",
}
"""Types of other languages that servers write, and the types of JSON Schema that they mean."""
_MOST_PARTS: Final = 300
_NEEDS_NO_WORDS: Final = frozenset({"$defs", "title"})
_NOT_AT_THE_TOP: Final = (*BRANCHES, "const", "enum", "not")
_DROPPED: Final = frozenset(
    {"$anchor", "$defs", "$dynamicAnchor", "$dynamicRef", "$id", "$recursiveAnchor", "$recursiveRef", "$schema"}
    | {"$vocabulary", "additionalItems", "definitions", "dependencies", "id"}
)
"""Keywords that are dropped: those that state where a schema is, and those of old drafts.

Each reference is made a reference into the definitions, so the first kind is not needed.
"""


@dataclass(frozen=True, slots=True)
class SentSchema:
    """The schema of a tool's arguments as it is sent to a model, with the property names that had to be changed.

    Attributes:
        schema: The JSON Schema of an object.
        names: For each property with another name in this schema, that name and the declared name.
    """

    schema: JsonObject
    names: Mapping[str, str]

    def declared(self, arguments: Mapping[str, object]) -> dict[str, object]:
        """Return the arguments that a model wrote under the names that the tool declared."""
        return {self.names.get(name, name): value for name, value in arguments.items()}


def sent_schema(schema: Mapping[str, JsonValue]) -> SentSchema:
    """Convert the schema of a tool's arguments to a form that the APIs of all providers accept.

    Args:
        schema: The schema of the tool's arguments, as it was declared.

    Raises:
        ValueError: No model could write such arguments; the text states why.

    Example:
        >>> sent_schema({"type": "object", "properties": {"user id": {"type": "str"}}}).schema
        {'type': 'object', 'properties': {'user_id': {'type': 'string'}}}
    """
    try:
        return _SchemaForm(sound_json(dict(schema), levels=_DEEPEST)).sent()
    except RecursionError as error:
        text = f"the schema of the arguments is nested more than {_DEEPEST} levels deep"
        raise ValueError(text) from error


def fitting_names(names: Collection[str], unfit: re.Pattern[str] = _UNFIT, prefix: str = "") -> dict[str, str]:
    """Convert names to names that an API accepts: 1 to 64 allowed characters, and no two equal.

    Other characters become underscores. If the name is then too long, or equal to another name, it ends in a digest of
    the whole name.

    Example:
        >>> fitting_names(["a b", "b c", "b/c", ""])
        {'a b': 'a_b', 'b c': 'b_c_8e8bcc63', 'b/c': 'b_c_04e698ba', '': '_1271cf25'}
    """
    fitting = {name: prefix + unfit.sub("_", name) for name in names}
    counts = Counter(fitting.values())
    found = {
        name: short
        for name, short in fitting.items()
        if name and len(short) <= LONGEST_NAME and (counts[short] == 1 or short == prefix + name)
    }
    taken = set(found.values())
    for name in names:
        if name not in found:
            found[name] = unlike(fitting[name], name, taken)
            taken.add(found[name])
    return {name: found[name] for name in names}


def unlike(name: str, by: str, taken: Collection[str]) -> str:
    """Return a name that is not in `taken`: the name, shortened to 64 characters, with a digest of `by` at its end."""
    digest = hashlib.blake2b(by.encode("utf-8", "replace"), digest_size=_DIGEST // 2).hexdigest()
    found = f"{name[: LONGEST_NAME - _DIGEST - 1]}_{digest}"
    return unlike(name, f"{by}\n", taken) if found in taken else found


def simple_schema(schema: JsonObject) -> JsonObject:
    """Simplify the schema of a tool's arguments for a server that refuses some keywords of JSON Schema.

    Only types, properties, required properties, items, descriptions, enumerations of texts, and the type of further
    properties remain. All other keywords of a part of the schema are written into the description of that part, as
    JSON. The simpler schema accepts at least the arguments that the schema accepts. Arguments are validated by the
    declared schema in any case.

    References are replaced by the schemas to which they refer, until the result has `_MOST_PARTS` parts. Further parts
    allow any value.

    Args:
        schema: The schema, in the form that `sent_schema` returns.

    Example:
        >>> simple_schema({"type": "object", "properties": {"n": {"type": "string", "pattern": "^a"}}})
        {'type': 'object', 'properties': {'n': {'type': 'string', 'description': '{"pattern": "^a"}'}}}
    """
    return _SimpleForm(schema).simplify(schema, frozenset())


class _SimpleForm:
    def __init__(self, root: JsonObject) -> None:
        self._root, self._parts = root, 0

    def simplify(self, part: JsonValue, seen: frozenset[str]) -> JsonObject:
        """Simplify one part of the schema of a tool's arguments, such as the schema of one property.

        `seen` contains the references that were followed to reach the part, so that a cycle of references ends.
        """
        self._parts += 1
        if self._parts > _MOST_PARTS:
            return {}
        schema, seen = self._resolve(part, seen)
        simple: JsonObject = {}
        kinds = _list_type_names(schema.get("type"))
        if len(kinds) == 1:
            simple["type"] = kinds[0]
            schema.pop("type")
        if kinds == ["object"]:
            simple |= self._members(schema, seen)
        if kinds == ["array"]:
            simple["items"] = self.simplify(schema.pop("items", None), seen)
        allowed = _list_of_values(schema.get("enum"))
        if allowed and all(isinstance(each, str) for each in allowed):
            simple["enum"] = schema.pop("enum")
        declared = schema.pop("description", None)
        own_text = declared if isinstance(declared, str) else ""
        lost = {key: value for key, value in schema.items() if key not in _NEEDS_NO_WORDS}
        words = self._write(lost) if lost else ""
        if description := " ".join(each for each in (own_text, words) if each):
            simple["description"] = description
        return simple

    def _resolve(self, part: JsonValue, seen: frozenset[str]) -> tuple[JsonObject, frozenset[str]]:
        """Replace a `$ref` by the schema to which it refers.

        Returns the schema, and all references that were followed to reach it, so that a cycle of references can be
        found.
        """
        schema: JsonObject = dict(_object_or_empty(part))
        while isinstance(reference := schema.get("$ref"), str) and reference not in seen:
            del schema["$ref"]
            schema = _object_or_empty(cast("JsonValue", part_at(self._root, reference))) | schema
            seen |= {reference}
        schema.pop("$ref", None)
        return schema, seen

    def _members(self, schema: JsonObject, seen: frozenset[str]) -> JsonObject:
        """Return the keywords that describe an object's properties, with the schema of each property simplified.

        Further properties are allowed if the schema allows them, or if it names no properties at all.
        """
        properties = _object_or_empty(schema.pop("properties", None))
        members: JsonObject = {"properties": {name: self.simplify(each, seen) for name, each in properties.items()}}
        if required := _list_unique_texts(schema.pop("required", None)):
            members["required"] = [*required]
        further = schema.pop("additionalProperties", None if properties else True)
        if isinstance(further, dict):
            members["additionalProperties"] = self.simplify(further, seen) or True
        elif further is True:
            members["additionalProperties"] = True
        return members

    def _write(self, lost: JsonObject) -> str:
        """Write the keywords that the server does not support as JSON, for the description that the model reads.

        Definitions to which these keywords refer are written as well.
        """
        text, definitions = json.dumps(lost, ensure_ascii=False), _object_or_empty(self._root.get("$defs"))
        named = {name: each for name, each in definitions.items() if f'"#/$defs/{name}"' in text}
        if named:
            text = json.dumps({**lost, "$defs": named}, ensure_ascii=False)
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


class _SchemaForm:
    """Converts one schema to the form that the APIs of all providers accept (see `sent_schema`)."""

    def __init__(self, declared: JsonObject) -> None:
        self._declared = declared
        self._definitions: JsonObject = {}
        self._references: dict[str, str] = {}

    def sent(self) -> SentSchema:
        top = self._flat(self._declared, frozenset())
        kinds = _list_type_names(top.get("type"))
        if kinds and "object" not in kinds:
            text = f"the schema describes arguments of type {' or '.join(kinds)}, but must describe an object"
            raise ValueError(text)
        properties, required = _object_or_empty(top.pop("properties")), _list_unique_texts(top.pop("required"))
        properties = {name: each for name, each in properties.items() if not _is_never(each)}
        properties = {**properties, **{name: {} for name in required if name not in properties}}
        names = fitting_names(properties)
        renamed = {short: name for name, short in names.items() if short != name}
        converted = {"type": "object", **cast("JsonObject", self._clean(top))}
        if renamed:
            converted = {key: value for key, value in converted.items() if not key.startswith("dependent")}
        converted |= {
            "type": "object",
            "properties": {names[name]: self._clean(properties[name]) for name in properties},
        }
        if required:
            converted["required"] = [names[name] for name in required]
        if not properties:
            converted.setdefault("additionalProperties", True)
        if self._definitions:
            order = {**_object_or_empty(self._declared.get("$defs")), **self._definitions}
            converted["$defs"] = {name: self._definitions[name] for name in order if name in self._definitions}
        return SentSchema({key: converted[key] for key in {**self._declared, **converted} if key in converted}, renamed)

    def _flat(self, schema: JsonObject, seen: frozenset[str]) -> JsonObject:
        """Turn the top of the schema into a plain object, because the APIs refuse `$ref` and `anyOf` there.

        The object has the properties of all alternatives. A property is required only if every alternative requires it.
        The result accepts at least what the schema accepts. Keywords that cannot be kept are written into the
        description.
        """
        reference = schema.get("$ref")
        if isinstance(reference, str):
            target = None if reference in seen else self._at(reference)
            flat = self._flat(target if isinstance(target, dict) else {}, seen | {reference})
            schema = {**flat, **{key: value for key, value in schema.items() if key != "$ref"}}
        parts = _AlternativeParts(
            dict(_object_or_empty(schema.get("properties"))), dict.fromkeys(_list_unique_texts(schema.get("required")))
        )
        for key in BRANCHES:
            possible = [
                each for each in _list_of_values(schema.get(key)) if isinstance(each, dict) and not _is_never(each)
            ]
            branches = [self._flat(each, seen) for each in possible]
            parts.add(
                key, [each for each in branches if "object" in (_list_type_names(each.get("type")) or ["object"])]
            )
        for inside in (schema.get("then"), schema.get("else")):
            if isinstance(inside, dict):
                parts.add("anyOf", [{**self._flat(inside, seen), "required": []}])
        lost = {key: schema[key] for key in _NOT_AT_THE_TOP if key in schema}
        kept: JsonObject = {key: value for key, value in schema.items() if key not in lost}
        if lost:
            words = json.dumps(lost, ensure_ascii=False)[:_SHOWN]
            description = kept.get("description")
            kept["description"] = (
                f"{description} (and {words})" if isinstance(description, str) and description else words
            )
        return {**kept, "properties": parts.properties, "required": [*parts.required]}

    def _at(self, reference: str) -> JsonValue:
        """Return the part of the schema to which a `$ref` points.

        Returns None if there is no such part, or if it is in another document.
        """
        named = _object_or_empty(self._declared.get("$defs"))  # some servers write only the name
        return named[reference] if reference in named else cast("JsonValue", part_at(self._declared, reference))

    def _reference(self, reference: str) -> JsonObject:
        """Copy the schema to which a `$ref` points into the definitions, and return a `$ref` to the copy.

        If the reference points to nothing, the result is a schema that allows any value.
        """
        if reference not in self._references:
            target = self._at(reference)
            if target is None:
                return {}
            name = _UNFIT.sub("_", reference.rpartition("/")[2]).strip("_") or "arguments"
            if name in self._references.values():
                name = unlike(name, reference, self._references.values())
            self._references[reference] = name
            self._definitions[name] = {}
            self._definitions[name] = self._clean(target)
        return {"$ref": f"#/$defs/{self._references[reference]}"}

    def _clean(self, schema: JsonValue) -> JsonValue:
        """Convert a part of the schema to the draft 2020-12 of JSON Schema.

        Keywords with invalid values are left out.
        """
        if schema is False:
            return {"not": {}}
        if not isinstance(schema, dict):
            return {}
        cleaned: JsonObject = {}
        for key, value in _of_2020(schema).items():
            cleaned |= self._keyword(key, value)
        if "array" in _list_type_names(cleaned.get("type")):
            cleaned.setdefault("items", {})
        if "properties" in cleaned:
            undeclared: JsonObject = {name: {} for name in _list_unique_texts(cleaned.get("required"))}
            cleaned["properties"] = {
                **_object_or_empty(cleaned["properties"]),
                **(undeclared | _object_or_empty(cleaned["properties"])),
            }
        if cleaned.get("additionalProperties") == {}:
            cleaned["additionalProperties"] = True
        return cleaned

    def _keyword(self, key: str, value: JsonValue) -> JsonObject:
        """Convert one keyword of a JSON Schema and its value to draft 2020-12; {} if the keyword must be left out."""
        if key == "$ref":
            return self._reference(value) if isinstance(value, str) else {}
        if key in NAMED:
            return {
                key: {name: self._clean(each) for name, each in _object_or_empty(value).items() if not _is_never(each)}
            }
        if key in SINGLE:
            return {key: value if isinstance(value, bool) else self._clean(value)}
        if key in SERIES:
            return {key: [self._clean(each) for each in _list_of_values(value)]} if _list_of_values(value) else {}
        if key == "type":
            kinds = _list_type_names(value)
            return {key: kinds[0] if len(kinds) == 1 and value != kinds else [*kinds]} if kinds else {}
        return {key: value} if key not in _DROPPED and (key not in _FITS or _FITS[key](value)) else {}


class _AlternativeParts:
    """Collects the properties of an object schema that has alternatives, in order to merge them into one plain object.

    Alternatives are the branches of `anyOf`, `oneOf` or `allOf`.
    """

    def __init__(self, properties: JsonObject, required: dict[str, None]) -> None:
        self.properties = properties
        self.required = required
        self._own = set(properties)

    def add(self, key: str, branches: Sequence[JsonObject]) -> None:
        """Add the properties of the branches of a keyword: `anyOf`, `oneOf` or `allOf`.

        A property becomes required if every branch requires it; with `allOf`, one branch is enough.
        """
        joint = "allOf" if key == "allOf" else "anyOf"
        for branch in branches:
            for name, each in _object_or_empty(branch["properties"]).items():
                before = self.properties.setdefault(name, each)
                if name not in self._own and before != each:
                    earlier = (
                        _list_of_values(before.get(joint)) if isinstance(before, dict) and len(before) == 1 else []
                    )
                    self.properties[name] = {joint: [*(earlier or [before]), each]}
        sets = [set(_list_unique_texts(branch["required"])) for branch in branches]
        if sets:
            every = set.union(*sets) if key == "allOf" else set.intersection(*sets)
            self.required |= {
                name: None for branch in branches for name in _list_unique_texts(branch["required"]) if name in every
            }


def _of_2020(schema: JsonObject) -> JsonObject:
    """Rewrite keywords of older drafts of JSON Schema in the form of draft 2020-12.

    For example, `items` with a list of schemas becomes `prefixItems`.
    """
    rewritten = dict(schema)
    if isinstance(rewritten.get("items"), list):
        rewritten["prefixItems"] = rewritten.pop("items")
        if "additionalItems" in rewritten:
            rewritten["items"] = rewritten["additionalItems"]
    for key in ("anyOf", "oneOf"):  # some libraries write an optional property in this way
        parts = [each for each in _list_of_values(rewritten.get(key)) if not _is_never(each)]
        if parts and parts != rewritten[key]:
            rewritten[key] = parts
            if len(parts) == 1 and isinstance(parts[0], dict) and not parts[0].keys() & rewritten.keys():
                rewritten = {**{name: value for name, value in rewritten.items() if name != key}, **parts[0]}
    for limit, without in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(rewritten.get(without), bool):
            is_without = rewritten.pop(without)
            if is_without and limit in rewritten:
                rewritten[without] = rewritten.pop(limit)
    return rewritten


def _is_never(schema: JsonValue) -> bool:
    return schema is False or (isinstance(schema, dict) and schema.get("not") in ({}, True))


def _list_type_names(value: JsonValue) -> list[str]:
    """Return the JSON types that the keyword `type` lists.

    Names from programming languages, such as `int`, are translated.
    """
    names = [
        each.lower() for each in _list_of_values(value if isinstance(value, list) else [value]) if isinstance(each, str)
    ]
    return [*dict.fromkeys(kind for name in names if (kind := _MEANT.get(name, name)) in _KINDS)]


def _object_or_empty(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _list_of_values(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _list_unique_texts(value: JsonValue) -> list[str]:
    return [*dict.fromkeys(each for each in _list_of_values(value) if isinstance(each, str))]


def _is_plain_number(value: JsonValue) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_size(value: JsonValue) -> bool:
    return _is_plain_number(value) and cast("float", value) >= 0 and cast("float", value) % 1 == 0


def _is_pattern(value: JsonValue) -> bool:
    try:
        return isinstance(value, str) and bool(re.compile(value))
    except (re.error, RecursionError, OverflowError):
        return False


_FITS: Final[Mapping[str, Callable[[JsonValue], bool]]] = {
    **dict.fromkeys(("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum"), _is_plain_number),
    **dict.fromkeys(("maxContains", "maxItems", "maxLength", "maxProperties", "minContains"), _is_size),
    **dict.fromkeys(("minItems", "minLength", "minProperties"), _is_size),
    **dict.fromkeys(
        ("$comment", "contentEncoding", "contentMediaType", "description", "format", "title"),
        lambda value: isinstance(value, str),
    ),
    **dict.fromkeys(("deprecated", "readOnly", "uniqueItems", "writeOnly"), lambda value: isinstance(value, bool)),
    "$ref": lambda _: False,  # a reference that is a text is handled before
    "dependentRequired": lambda value: (
        isinstance(value, dict) and all(_list_unique_texts(v) == v for v in value.values())
    ),
    "enum": lambda value: bool(_list_of_values(value)),
    "examples": lambda value: isinstance(value, list),
    "multipleOf": lambda value: _is_plain_number(value) and cast("float", value) > 0,
    "pattern": _is_pattern,
    "required": lambda value: isinstance(value, list) and _list_unique_texts(value) == value,
}
"""For each keyword whose value is not a schema: a check whether the draft allows the value."""

__all__ = ["LONGEST_NAME", "SentSchema", "fitting_names", "sent_schema", "simple_schema", "unlike"]
