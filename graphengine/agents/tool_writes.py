"""Fields of the state that tools write: which part of a result is recorded for each field, and how it is read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from graphengine.agents.reading import Output
from graphengine.agents.records import ToolOutcome, outcome_of
from graphengine.errors import DefinitionError
from graphengine.kernel.extension import Context
from graphengine.kernel.inside import Injected, Path, is_path, parse, text_of, type_at, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphengine.kernel.extension import AttemptFacts, JsonValue


@dataclass(frozen=True, slots=True)
class WrittenPart:
    """A field of the state that a tool writes, and the part of the tool's result that is written to it.

    Attributes:
        field: The name of the field.
        path: Where the written part stands inside the tool's result; None if the whole result is written.
        kind: The type of that part, as far as the annotation of the result shows it.
        reader: Converts the part to JSON and back.
    """

    field: str
    path: Path | None
    kind: object
    reader: Output[Any]

    def is_in(self, result: object) -> bool:
        """Return whether the result of a tool call contains the part that is to be written to a field of the state.

        A part that is None counts as contained. The part is missing if a dict lacks the key, or if a list is too short.
        """
        value = result
        for part in () if self.path is None else self.path.parts:
            found = Path("", "", (part,)).walk(value)
            if found is None:
                return _may_hold_key(value, part[1])
            value = found
        return True

    def recorded(self, result: object) -> JsonValue:
        """Convert the part of a tool's result to JSON, and make sure that it can be read back.

        Raises:
            PydanticSerializationError, ValidationError: The part does not fit its type, or its JSON form does not fit,
                as with NaN.
        """
        part = result if self.path is None else self.path.walk(result)
        try:
            found = self.reader.recorded(part)
        except PydanticSerializationError:  # perhaps it is JSON: a person's result, or that of a replacement
            found = self.reader.recorded(self.reader.from_record(cast("Any", part)))
        self.reader.from_record(found)
        return found


def parts_of(writes: object, function: Callable[..., object], tool: str) -> tuple[WrittenPart, ...]:
    """Read the argument `writes=` of a tool: the fields that the tool writes, each with its part of the result.

    Raises:
        DefinitionError: The argument has another form, or the result has no such part.
    """
    where = f"tool {tool}"
    pairs: object = {writes: "."} if isinstance(writes, str) and writes else writes
    if isinstance(writes, (list, tuple)):
        pairs = {name: name for name in writes}
    if not isinstance(pairs, Mapping) or not all(_is_pair(*pair) for pair in pairs.items()):
        repair = "give writes='field' for the whole result, writes=['first', 'second'] for keys of the result, or "
        repair += "writes={'field': 'path.in.result'}"
        text = f"writes={writes!r}: writes must be the name of a field, a list of names, or a mapping"
        raise DefinitionError(text, where=where, repair=repair)
    return tuple(
        _build_written_part(field, source, Injected.of(function).returns, where) for field, source in pairs.items()
    )


def _is_pair(field: object, source: object) -> bool:
    return (
        isinstance(field, str)
        and field.isidentifier()
        and isinstance(source, str)
        and (source == "." or is_path(source))
    )


def _build_written_part(field: str, source: str, returns: object, where: str) -> WrittenPart:
    if source == ".":
        return WrittenPart(field, None, returns, Output(cast("Any", returns), where=where))
    path = parse(source)
    below = Path(f"result.{path.text}", "result", (("name", path.root), *path.parts))
    types, hint = type_at(returns, below)
    if not types and returns not in (Any, object):
        text = (
            f"writes= fills the field {field!r} from {source!r}, which {type_name(returns)}, the result, does not have"
        )
        repair = hint.replace("'result.", "'") or "write '.' for the whole result"
        raise DefinitionError(text, where=where, repair=repair)
    kind: Any = types[0] if len(types) == 1 else Any
    return WrittenPart(field, Path(path.text, path.root, below.parts), kind, Output(kind, where=where))


def _may_hold_key(value: object, key: str | int) -> bool:
    if isinstance(value, Mapping):
        return key in value or str(key) in value
    return not isinstance(value, (list, tuple)) or (isinstance(key, int) and -len(value) <= key < len(value))


def outcome_with(parts: Sequence[WrittenPart], tool: str, value: object) -> ToolOutcome:
    """Convert the result of a tool's function to the outcome of the call.

    `parts` are the fields of the state that the tool writes. The outcome contains their values from the result.
    """
    found = outcome_of(tool, value)
    if not parts or found.is_error or isinstance(value, ToolOutcome):
        return found
    try:
        writes = {part.field: part.recorded(value) for part in parts if part.is_in(value)}
    except (PydanticSerializationError, ValidationError, ValueError) as error:
        why = text_of(error).splitlines()[0]
        text = f"{tool} did its work, but its result is not of the type that it is annotated with: {why}"
        return ToolOutcome(text, is_error=True)
    return ToolOutcome(found.text, media=found.media, writes=writes)


def read_writes(parts: Sequence[WrittenPart], writes: Mapping[str, JsonValue]) -> list[tuple[str, object]]:
    """Convert the recorded values that a call writes to fields back to the types of these fields."""
    found: Mapping[str, Any] = writes
    return [(part.field, part.reader.from_record(found[part.field])) for part in parts if part.field in found]


class ToolContext(Context):
    """The argument `ctx` of a tool: the context of its node, and the values that earlier calls write.

    Attributes:
        written: The values that earlier calls of this visit write, by field, in the order of the calls. The state
            contains them once the visit is completed.

    Example:
        >>> def total(ctx: ToolContext) -> int:
        ...     '''Add up what is in the cart.'''
        ...     return sum(ctx.written.get("cart", ()))
    """

    __slots__ = ("written",)

    def __init__(self, attempt: AttemptFacts, written: Mapping[str, Sequence[object]]) -> None:
        super().__init__(attempt)
        self.written = written


__all__ = ["ToolContext", "WrittenPart", "outcome_with", "parts_of", "read_writes"]
