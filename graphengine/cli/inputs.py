"""Convert `key=value` on the command line to the values of a state, by the types of its fields.

A field whose values are all texts (str, dates, paths, text enums) gets the value unchanged; the value is never parsed.
Any other field gets JSON. If the field also allows text, a value that is not valid JSON is text. A list gets a whole
JSON array, which begins with `[`, or one item each time its key is given.

Some values have a special form:

- `@file` becomes a `TextFile` for a field of this type, read by its kind (`graphengine.agents.sources`). For a text
  field it becomes the text of the file, and for any other field the JSON in the file.
- `@folder` adds a `TextFile` for each file of the folder to a list.
- `@photo.png` becomes a `Media` for a field of this type.
- An address, `https://…`, becomes a `TextFile` of the page, or a `Media`, for a field of these types.
- A leading `@@` means a literal `@`.
- `key:=value` is JSON for every field, so that a text can be None: `name:=null`.
- Without a key, `@state.json`, or `-` for stdin, is a JSON object of fields.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from graphengine.agents.errors import SourceUnreadable
from graphengine.agents.sources import read_source, read_sources
from graphengine.errors import InputError
from graphengine.kernel.extension import clipped, did_you_mean
from graphengine.kernel.inside import explain, is_secret, members, read_json
from graphengine.media import Media, TextFile
from graphengine.records.whole_characters import with_whole_characters
from graphengine.schemas.walking import kinds, resolve_reference, variants

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.kernel.extension import JsonValue, StateType
    from graphengine.schemas.walking import Schema

S = TypeVar("S", bound=BaseModel)

_ADDRESSES: Final = ("http://", "https://")
_SHOWN: Final = 60  # the maximum number of characters of an option in a message


@dataclass(frozen=True, slots=True)
class Form:
    """The form in which a user writes the values of a field in options such as `--input`.

    Attributes:
        kinds: The JSON types that the field accepts; empty for any type.
        file: The subclass of TextFile that the field accepts; None if the field accepts no files.
        media: Whether the field accepts pictures, documents and sounds (`Media`).
        item: How an item is written, if the field is a list; otherwise None.
        is_secret: Whether messages must not show the values.
    """

    kinds: frozenset[str]
    file: type[TextFile] | None = None
    media: bool = False
    item: Form | None = None
    is_secret: bool = False

    @property
    def is_text(self) -> bool:
        """Whether every value of the field is a text, so that values are not parsed as JSON."""
        return self.kinds - {"null"} == {"string"}


def forms_of(state: type[BaseModel]) -> dict[str, Form]:
    """Return the form in which a user writes the values of each field of a state on the command line."""
    schema = state.model_json_schema(by_alias=False)
    properties = resolve_reference(schema, schema).get("properties", {})
    forms: dict[str, Form] = {}
    for name, info in state.model_fields.items():
        form = _build_form(properties.get(name, {}), schema, info.annotation)
        forms[name] = replace(form, is_secret=True) if is_secret(info.annotation, info.metadata) else form
    return forms


def update_forms_of(state: StateType[Any]) -> dict[str, Form]:
    """Return the form in which a user writes an update of each field of a state on the command line.

    An update is written like the field's value. If the field's reducer appends one item to a list, an update is written
    like an item.
    """
    forms = forms_of(state.model)
    for name, form in forms.items():
        if state.fields[name].operation == "append" and form.item is not None:
            forms[name] = form.item
    return forms


def parse_pairs(
    pairs: Sequence[str],
    forms: Mapping[str, Form],
    option: str,
    notes: list[str] | None = None,
) -> dict[str, object]:
    """Parse arguments of the form `key=value` into values of fields.

    Args:
        pairs: The arguments.
        forms: How the values of each field are written. Other fields are refused.
        option: The option that contained the pairs, for errors.
        notes: A list to which a note is added for each folder with files that were left out.

    Raises:
        InputError: A pair has no `=`, a key is unknown or given twice, a value is invalid JSON, or a file cannot be
            read. If several pairs are wrong, the error names all of them.
    """
    values: dict[str, object] = {}
    wrong: list[InputError] = []
    for pair in pairs:
        try:
            _add_pair(values, pair, forms, option, [] if notes is None else notes)
        except InputError as error:
            wrong.append(error)
    if len(wrong) > 1:
        message = "; ".join(f"{each.where}: {each.message}" for each in wrong)
        raise InputError(message, where=option, repair="; ".join(each.repair for each in wrong))
    if wrong:
        raise wrong[0]
    return values


def texts_of(pairs: Sequence[str], option: str) -> dict[str, str]:
    """Parse arguments of the form `who=text` into a text for each agent or node.

    `who=@file` reads the text from a file.

    Raises:
        InputError: A pair has no `=`, an agent or node is named twice, or a file cannot be read.
    """
    texts: dict[str, object] = {}
    for pair in pairs:
        who, equals, text = pair.partition("=")
        where = f"{option} {clipped(pair, _SHOWN)}"
        if not equals or not who:
            raise InputError(
                f"{clipped(pair, _SHOWN)!r} does not name the agent or node that the text is for",
                where=where,
                repair=f"write {option} NAME=TEXT",
            )
        _set_once(texts, who, read_text(text[1:], where) if text.startswith("@") else text, where)
    return cast("dict[str, str]", texts)


def _add_pair(values: dict[str, object], pair: str, forms: Mapping[str, Form], option: str, notes: list[str]) -> None:
    """Parse one argument of `--input` or a similar option, such as `key=value`, and add the value to `values`.

    The argument can also be `@FILE`, for a file that contains the values of many fields.
    """
    if pair == "-" or pair.startswith("@"):
        _add_file(values, pair, forms, option)
        return
    key, equals, raw = pair.partition("=")
    is_json = key.endswith(":")
    key = key.removesuffix(":")
    where = f"{option} {clipped(pair, _SHOWN)}"
    if not equals:
        repair = f"write {option} key=value"
        if pair.lstrip().startswith("{"):
            repair += (
                f" for each field, or read a JSON object from a file with {option} @state.json, or from stdin with "
            )
            repair += f"{option} -"
        raise InputError(f"{clipped(pair, _SHOWN)!r} does not have the form key=value", where=where, repair=repair)
    form = _form_of(key, forms, where)
    if form.is_secret:
        where = f"{option} {key}=…"
    earlier = values.get(key)
    is_whole = is_json or (raw == "null" and "null" in form.kinds)
    if form.item is not None and not is_whole:
        items = _parse_items(raw, form.item, where, notes)
        values[key] = [*(earlier if isinstance(earlier, list) else ()), *items]
    else:
        if is_json:  # given directly, or in a file
            text = read_text(raw[1:], where) if raw.startswith("@") else raw
            value: object = _parse_json_value(text, Form(frozenset()), where)
        else:
            value = _parse_input_value(raw, form, where)
        _set_once(values, key, value, where)


def _add_file(values: dict[str, object], given: str, forms: Mapping[str, Form], option: str) -> None:
    """Read a JSON object from a file (`@FILE`) or from stdin (`-`), and add its fields to `values`."""
    where = f"{option} {clipped(given, _SHOWN)}"
    found = _parse_json_value(read_text(given.removeprefix("@"), where), Form(frozenset()), where)
    if not isinstance(found, dict):
        raise InputError(
            "the JSON is not an object with the names of fields as keys",
            where=where,
            repair='write a JSON object such as {"field": "value"}; the value of one field is read by key=@file',
        )
    for key, value in found.items():
        _form_of(key, forms, where)
        _set_once(values, key, value, where)


def _form_of(key: str, forms: Mapping[str, Form], where: str) -> Form:
    if key not in forms:
        raise InputError(f"the state has no field {key!r}", where=where, repair=did_you_mean(key, forms))
    return forms[key]


def _set_once(values: dict[str, object], key: str, value: object, where: str) -> None:
    if key in values:
        raise InputError(
            f"{key!r} is given twice, but can have only one value", where=where, repair=f"give {key!r} once"
        )
    values[key] = value


def state_from(state: type[S], values: Mapping[str, object]) -> S:
    """Build a state from the values of its fields.

    Raises:
        InputError: The values do not fit the state.
    """
    try:
        return read_json(partial(state.model_validate_json, by_name=True, by_alias=False), to_json(values))
    except ValidationError as error:
        raise _build_misfit_error(state, error) from (None if _has_secrets(state) else error)
    except PydanticSerializationError as error:
        where = f"--input for {state.__name__}"
        message = f"the values do not fit the fields of the state: {error}"
        raise InputError(message, where=where, repair="give text in UTF-8") from error


def _build_misfit_error(state: type[BaseModel], error: ValidationError) -> InputError:
    """Return the error for values that do not fit the state, with a repair that names the missing fields."""
    missing = [str(found["loc"][0]) for found in error.errors() if found["type"] == "missing" and found["loc"]]
    give = "give values of the types that the fields declare"
    repair = "add " + " ".join(f"--input {name}=…" for name in missing) if missing else give
    message = f"the values do not fit the fields of the state: {explain(error, hide=_has_secrets(state))}"
    return InputError(message, where=f"--input for {state.__name__}", repair=repair)


def _has_secrets(state: type[BaseModel]) -> bool:
    """Return whether error messages must leave out values, because the state contains secret fields."""
    return any(is_secret(info.annotation, info.metadata) for info in state.model_fields.values())


def read_text(name: str, where: str) -> str:
    """Return the text of a file, or of stdin.

    Args:
        name: The path of the file; `-` for stdin.
        where: The option or argument that named the file, for errors.

    Raises:
        InputError: The file cannot be read, or is not UTF-8 text.
    """
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"the file {name!r} is not UTF-8 text: {error.reason} at byte {error.start}",
            where=where,
            repair="save the file as UTF-8",
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"the file {name!r} cannot be read: {reason}",
            where=where,
            repair="name a file that exists; to pass a text that begins with @, write @@ in place of @",
        ) from error


def _parse_items(raw: str, item: Form, where: str, notes: list[str]) -> list[object]:
    """Return the items that one `key=value` argument adds to a field that is a list.

    The value can be one item, a JSON array of items, or a file or a folder of items (`@PATH`).
    """
    if raw.startswith("@") and not raw.startswith("@@"):
        if item.file is not None:
            with _name_option_in_errors(where):
                sources = read_sources(raw[1:])
            notes += [f"{where}: {sources}"] if sources.left_out else []
            return [item.file(path=one.path, text=one.text) for one in sources.files]
        if item.is_text or item.media:
            return [_parse_input_value(raw, item, where)]
        found = _parse_json_value(read_text(raw[1:], where), item, where)
        return found if isinstance(found, list) else [found]
    if item.file is not None and raw.startswith(_ADDRESSES):
        return [_fetch_page(raw, item.file, where)]
    try:
        found = from_json(raw, allow_inf_nan=False)
    except (ValueError, TypeError) as error:  # TypeError is raised for lone surrogates
        if raw.startswith("["):
            repair = """write a JSON array, in quotes for the shell: 'key=["a", "b"]'; or each item: key=a key=b"""
            message = f"the value begins as a list in JSON, but is not valid JSON: {error}"
            raise InputError(message, where=where, repair=repair) from error
        return [_parse_input_value(raw, item, where)]
    return found if isinstance(found, list) else [_parse_input_value(raw, item, where)]


def _fetch_page(url: str, kind: type[TextFile], where: str) -> TextFile:
    """Fetch a page of the web as the value of a field.

    Large pages and addresses in a private network are refused.
    """
    from graphengine.agents.sources.web import read_page

    with _name_page_option_in_errors(url, where):
        found = read_page(url)
    return kind(path=found.path, text=found.text)


@contextmanager
def _name_page_option_in_errors(url: str, where: str) -> Iterator[None]:
    """Inside this `with` block, convert errors about a web page to errors that name the option with its address."""
    from graphengine.agents.sources.web import PageRefused

    try:
        yield
    except PageRefused as error:
        raise InputError(f"{url} cannot be read: {error.message}", where=where, repair=error.repair) from error


@contextmanager
def _name_option_in_errors(where: str) -> Iterator[None]:
    """Add the name of an option to errors about files that are raised inside this `with` block.

    The option is the one that named the file, so that the user knows which option to correct.
    """
    try:
        yield
    except SourceUnreadable as error:
        error.where = where
        if isinstance(error.__cause__, OSError):
            error.repair += "; to pass a text that begins with @, write @@ in place of @"
        raise


def _parse_input_value(raw: str, form: Form, where: str) -> object:
    if raw.startswith("@@"):
        raw = raw[1:]
    elif raw.startswith("@") and form.file is not None:
        with _name_option_in_errors(where):
            found = read_source(raw[1:])
        return form.file(path=found.path, text=found.text)
    elif form.file is not None and raw.startswith(_ADDRESSES):
        return _fetch_page(raw, form.file, where)
    elif raw.startswith("@") and form.media:
        return _read_media_file(raw[1:], where)
    elif form.media and not form.is_text and raw.startswith(_ADDRESSES):
        from graphengine.agents.sources.web import read_media

        with _name_page_option_in_errors(raw, where):
            return read_media(raw)
    elif raw.startswith("@"):
        text = read_text(raw[1:], where)
        return text if "string" in form.kinds else _parse_json_value(text, form, where)
    return raw if form.is_text else _parse_json_value(raw, form, where)


def _read_media_file(name: str, where: str) -> Media:
    try:
        return Media(data=Path(name).read_bytes(), name=Path(name).name)
    except ValidationError as error:
        repair = "name a PNG, JPEG, GIF, WebP, PDF, WAV or MP3 file"
        message = f"the file {name!r} is not a picture, document or sound in a supported format"
        raise InputError(message, where=where, repair=repair) from error
    except OSError as error:
        reason = error.strerror or str(error)
        repair = "name a file that exists"
        raise InputError(f"the file {name!r} cannot be read: {reason}", where=where, repair=repair) from error


def _parse_json_value(text: str, form: Form, where: str) -> JsonValue:
    try:
        return from_json(with_whole_characters(text.encode()), allow_inf_nan=False)
    except (ValueError, TypeError) as error:
        if "string" in form.kinds:
            return text
        message = f"the value must be written as JSON, but is not valid JSON: {error}"
        raise InputError(message, where=where, repair=_suggest_repair(form)) from error


def _suggest_repair(form: Form) -> str:
    if form.file is not None or form.media:
        return "name a file, as in key=@file"
    if form.kinds - {"null"} == {"boolean"}:
        return "write true or false"
    if form.kinds and form.kinds <= {"integer", "number", "null"}:
        return "write a number, such as 5"
    if "object" in form.kinds:
        return """write JSON, in quotes for the shell: 'key={"name": "value"}', or key=@file"""
    return """write JSON, in quotes for the shell; a text needs quotes of its own: 'key="text"'"""


def _build_form(schema: Schema, root: Schema, annotation: object) -> Form:
    branches = variants(schema, root)
    found = frozenset[str]().union(*map(kinds, branches))
    any_kind = not all(map(kinds, branches))
    item = None
    if {m for m in members(annotation) if m is not type(None)} == {Decimal}:
        found = frozenset(("string",))  # as JSON, a number would lose digits
    if found - {"null"} == {"array"}:
        arrays = [branch for branch in branches if "array" in kinds(branch)]
        arguments = [a for m in members(annotation) if get_origin(m) is not dict for a in get_args(m)]
        item = _build_form(arrays[0].get("items") or {}, root, arguments[0] if arguments else object)
    classes = [member for member in members(annotation) if isinstance(member, type)]
    file = next((each for each in classes if issubclass(each, TextFile)), None)
    media = any(issubclass(each, Media) for each in classes)
    return Form(frozenset() if any_kind else found, file, media, item)
