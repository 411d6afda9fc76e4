import enum
from collections import namedtuple
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from graphengine.agents.errors import BadAnswer, GuardFailed
from graphengine.agents.guards import Guard, apply_to_value, as_guards, bare_markdown, check_text, guard
from graphengine.errors import DefinitionError


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


Pair = namedtuple("Pair", "left right")  # noqa: PYI024 - as users may write it


def more(item: object) -> dict[str, Any]:
    """Return a note with fields that its type does not have."""
    return {"more": [item]}


def kind(text: str) -> str:
    """Refuse fools, and lower the voice."""
    if "fool" in text:
        raise ValueError("be kind")
    return text.lower()


def masked(text: str) -> str:
    """Replace one address."""
    return text.replace("a@b.org", "[e-mail]")


def test_a_plain_function_is_a_guard_of_answers() -> None:
    """It returns the text, perhaps changed, or raises ValueError, whose words the model gets with its answer."""
    (one,) = as_guards([kind])
    assert isinstance(one, Guard)
    assert check_text([one], "HO", "output") == "ho"
    with pytest.raises(BadAnswer) as caught:
        check_text([one], "fool", "output", where="agent a")
    assert (caught.value.message, caught.value.where) == ("be kind", "agent a")
    assert as_guards([one]) == (one,)


def test_a_guard_ignores_the_other_sides() -> None:
    """A guard of questions does not look at answers, nor one of answers at questions."""
    assert check_text([guard(kind)], "fool", "input") == "fool"
    assert check_text([guard(kind, on="input")], "fool", "output") == "fool"


def test_a_guard_fails_the_node() -> None:
    """It does so by default on input, and on output if set; the message has the guard, the problem and the place."""
    with pytest.raises(GuardFailed, match=r"(?s)kind rejected the question: be kind.*at: agent a"):
        check_text([guard(kind, on="input")], "fool", "input", where="agent a")
    with pytest.raises(GuardFailed, match="kind rejected the answer: be kind"):
        check_text([guard(kind, then="fail")], "fool", "output")


def test_guards_look_in_turn() -> None:
    """Each guard gets the result of the guard before it."""
    assert check_text([guard(str.strip), guard(str.upper), guard(lambda text: f"<{text}>")], "  a ", "output") == "<A>"


def test_a_function_that_returns_no_text_is_named_in_the_error() -> None:
    """A missing return does not empty an answer."""
    forgetful: Any = lambda text: None  # noqa: E731
    with pytest.raises(DefinitionError, match="returned NoneType"):
        check_text([guard(forgetful)], "a", "output")


async def wait(text: str) -> str:
    """Return a text after a while."""
    return text


NONSENSE: dict[str, Any] = {
    "an input asked again": lambda: guard(kind, on="input", then="retry"),
    "no side": lambda: guard(kind, on="both"),  # type: ignore[arg-type]
    "no consequence": lambda: guard(kind, then="shrug"),  # type: ignore[arg-type]
    "an async function": lambda: guard(wait),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("make", NONSENSE.values(), ids=NONSENSE)
def test_what_makes_no_sense_is_refused_when_it_is_written(make: Any) -> None:
    """A guard that makes no sense is refused when it is written, with a repair."""
    with pytest.raises(DefinitionError) as caught:
        make()
    assert caught.value.repair


def test_every_text_of_a_structured_answer_is_looked_at() -> None:
    """Texts in models and their extra fields, dataclasses, dicts with their keys, tuples and sets; not in enums."""
    raw, mask = "a@b.org", "[e-mail]"
    page = Page([Note(text=raw, tags={"x", raw}, **more(raw))], {raw: (raw, 1)})
    clean = apply_to_value([guard(masked)], page)
    assert clean == Page([Note(text=mask, tags={"x", mask}, **more(mask))], {mask: (mask, 1)})
    assert page.notes[0].text == raw
    assert apply_to_value([guard(masked)], Pair(raw, Mood.BAD)) == Pair(mask, Mood.BAD)
    moods = [Mood.BAD, Tone.BAD]
    assert apply_to_value([guard(str.upper)], moods) == moods


def test_a_value_without_changes_is_the_same_object() -> None:
    """A guard that changes nothing returns the same object."""
    page = Page([Note(text="a", tags={"b"}, **more({"c": "d"}))], {"e": ("f", 1)})
    assert apply_to_value([guard(masked), guard(str)], page) is page


TIDES = "# Tides\n\nThey rise."


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (TIDES, TIDES),
        (f"Here is the brief:\n\n{TIDES}", TIDES),
        (f"Sure!\n```markdown\n{TIDES}\n```\nAnything else?", TIDES),
        (f"~~~\n{TIDES}\n~~~", TIDES),
        ("no title", "no title"),
        (f"## Not a title\n\n{TIDES}", f"## Not a title\n\n{TIDES}"),
        (f"```sh\nls\n```\n\n{TIDES}", f"```sh\nls\n```\n\n{TIDES}"),
        (f"{'word ' * 41}\n{TIDES}", f"{'word ' * 41}\n{TIDES}"),
    ],
)
def test_a_document_loses_what_stands_around_it(text: str, left: str) -> None:
    """A fence and chatter; nothing else is touched."""
    assert bare_markdown(text) == left
