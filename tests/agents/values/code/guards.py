import enum
from collections import namedtuple
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from graphengine.agents.guards import apply_to_value, as_guards, bare_markdown, check_text, guard
from graphengine.errors import GraphEngineError


class Mood(enum.Enum):
    BAD = "bad"


class Tone(enum.StrEnum):
    BAD = "bad"


class Note(BaseModel):
    model_config = ConfigDict(extra="allow")
    text: str
    tags: set[str] = set()
    mood: Mood = Mood.BAD


@dataclass(frozen=True)
class Page:
    notes: list[Note]
    by_name: dict[str, tuple[str, int]]
    length: int = field(init=False, default=3)


Pair = namedtuple("Pair", "left right")


def kind(text):
    """Refuse fools, and lower the voice."""
    if "fool" in text:
        raise ValueError("be kind")
    return text.lower()


def masked(text):
    return text.replace("a@b.org", "[e-mail]")


def said(text, side, *guards):
    """Return what guards make of a text."""
    return check_text(as_guards(guards), text, side, where="agent a")


def place(side, *guards):
    """Return where a guard says that it refused a text."""
    try:
        said("fool", side, *guards)
    except GraphEngineError as error:
        return error.where


def changed(value, function):
    """Return what a guard makes of a value, which stays as it was."""
    before = repr(value)
    found = apply_to_value([guard(function)], value)
    assert repr(value) == before
    return "the same object" if found is value else found


RAW = "a@b.org"
PAGE = Page([Note(text=RAW, tags={RAW}, more=[RAW])], {RAW: (RAW, 1)})  # type: ignore[call-arg]
TIDES = "# Tides\n\nThey rise."
