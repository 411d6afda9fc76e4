import contextlib
import enum
import re
import time
from collections import namedtuple
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from graphengine.agents.guards import (
    Guard,
    apply_to_value,
    as_guards,
    check_text,
    forbidden,
    guard,
    max_characters,
    max_words,
    personal_data,
    required,
)
from graphengine.agents.personal import masked
from graphengine.errors import BadAnswer, DefinitionError, GuardFailed


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


def retried(one: Guard, text: str) -> str:
    """Return the message that a model gets about its answer."""
    with pytest.raises(BadAnswer) as caught:
        check_text([one], text, "output", where="agent a")
    assert caught.value.where == "agent a"
    return caught.value.message


@pytest.mark.parametrize(
    ("one", "good", "bad", "problem"),
    [
        (max_characters(3), "abc", "abcd", "4 characters; at most 3"),
        (max_words(2), " a  b ", "a b c", "3 words; at most 2"),
        (required("Sources:"), "See SOURCES: a", "Resources: a", "'Sources:'"),
        (required(re.compile(r"\d")), "1", "one", r"/\d/"),
        (forbidden("ass", "as if"), "class", "As IF", "'as if'"),
        (forbidden(re.compile("x+")), "X", "axx", "/x+/"),
        (personal_data("email", then="retry"), "a@b", "a@b.org b@c.org", "e-mail address (2)"),
    ],
)
def test_a_guard_passes_or_reports_the_problem_to_the_model(one: Guard, good: str, bad: str, problem: str) -> None:
    """On output the model is asked again by default; a guard ignores the other side."""
    assert check_text([one], good, "output") == good
    assert problem in retried(one, bad)
    assert check_text([one], bad, "input") == bad


@pytest.mark.parametrize(
    ("one", "given_", "expected"),
    [
        (max_characters(5, then="rewrite"), "abc defg", "abc…"),
        (max_characters(1, then="rewrite"), "abc", "…"),
        (max_words(2, then="rewrite"), " a\n\nb  c d", " a\n\nb…"),
        (forbidden("secret", re.compile(r"\d+"), then="rewrite"), "A Secret: 42", "A [removed]: [removed]"),
        (personal_data(), "ann@example.org", "[e-mail address]"),
        (guard(str.strip), " a ", "a"),
    ],
)
def test_a_guard_rewrites(one: Guard, given_: str, expected: str) -> None:
    """The rewritten text passes the guard."""
    assert check_text([one], given_, "output") == expected
    assert check_text([one], expected, "output") == expected


def test_a_guard_fails_the_node() -> None:
    """A guard fails the node by default on input, and on output if set; the message has the guard and the problem."""
    with pytest.raises(GuardFailed, match=r"(?s)max_words rejected the question: .* 2 words.*at: agent a"):
        check_text([max_words(1, on="input")], "a b", "input", where="agent a")
    with pytest.raises(GuardFailed, match="rejected the answer"):
        check_text([required("x", then="fail")], "a b", "output")


def test_personal_data_is_in_no_message() -> None:
    """Messages contain the kinds of personal data, not the data."""
    with pytest.raises(GuardFailed) as caught:
        check_text([personal_data(then="fail")], "ann@example.org, +49 30 901820", "output")
    assert "ann" not in str(caught.value)
    assert "e-mail address (1), phone number (1)" in str(caught.value)


def test_guards_look_in_turn() -> None:
    """Each guard gets the result of the guard before it."""
    guards = [guard(str.strip), guard(str.upper), max_characters(2)]
    assert check_text(guards, "   a  ", "output") == "A"


def test_a_plain_function_is_a_guard() -> None:
    """It returns the text, perhaps changed, or raises ValueError."""

    def kind(text: str) -> str:
        if "fool" in text:
            raise ValueError("be kind")
        return text.lower()

    (one,) = as_guards([kind])
    assert isinstance(one, Guard)
    assert check_text([one], "HO", "output") == "ho"
    assert retried(one, "fool") == "be kind"
    with pytest.raises(GuardFailed, match="kind rejected the answer: be kind"):
        check_text([guard(kind, then="fail")], "fool", "output")
    assert as_guards([one]) == (one,)


def test_a_function_that_returns_no_text_is_named_in_the_error() -> None:
    """A missing return does not empty an answer."""
    forgetful: Any = lambda text: None  # noqa: E731
    with pytest.raises(DefinitionError, match="returned NoneType"):
        check_text([guard(forgetful)], "a", "output")


async def wait(text: str) -> str:
    """Return a text after a while."""
    return text


NONSENSE: dict[str, Any] = {
    "an input asked again": lambda: max_words(1, on="input", then="retry"),
    "an input cut": lambda: max_characters(1, on="input", then="rewrite"),
    "an input cut to words": lambda: max_words(1, on="input", then="rewrite"),
    "required written in": lambda: required("a", then="rewrite"),
    "a function that should rewrite": lambda: guard(str.strip, then="rewrite"),
    "personal data of a question asked again": lambda: personal_data(on="input", then="retry"),
    "no side": lambda: forbidden("a", on="both"),  # type: ignore[arg-type]
    "no consequence": lambda: forbidden("a", then="shrug"),  # type: ignore[arg-type]
    "no kind": lambda: personal_data("name"),  # type: ignore[arg-type]
    "nothing required": required,
    "blank forbidden": lambda: forbidden(" "),
    "zero": lambda: max_characters(0),
    "a truth": lambda: max_words(True),  # noqa: FBT003
    "an async function": lambda: guard(wait),  # type: ignore[arg-type]
    "is not a guard": lambda: as_guards([5]),  # type: ignore[list-item]
}


@pytest.mark.parametrize("make", NONSENSE.values(), ids=NONSENSE)
def test_what_makes_no_sense_is_refused_when_it_is_written(make: Any) -> None:
    """A guard that makes no sense is refused when it is written, with a repair."""
    with pytest.raises(DefinitionError) as caught:
        make()
    assert caught.value.repair


def test_every_text_of_a_structured_answer_is_looked_at() -> None:
    """Texts in models and their extra fields, dataclasses, dicts with their keys, tuples and sets; not in enums."""
    page = Page([Note(text="a@b.org", tags={"x", "c@d.org"}, **more("e@f.org"))], {"g@h.org": ("i@j.org", 1)})
    clean = apply_to_value([personal_data()], page)
    mask = "[e-mail address]"
    assert clean == Page([Note(text=mask, tags={"x", mask}, **more(mask))], {mask: (mask, 1)})
    assert page.notes[0].text == "a@b.org"
    assert apply_to_value([personal_data()], Pair("a@b.org", Mood.BAD)) == Pair(mask, Mood.BAD)
    moods = [Mood.BAD, Tone.BAD]
    assert apply_to_value([forbidden("bad", then="fail")], moods) == moods


def test_a_value_without_changes_is_the_same_object() -> None:
    """A guard that changes nothing returns the same object."""
    page = Page([Note(text="a", tags={"b"}, **more({"c": "d"}))], {"e": ("f", 1)})
    assert apply_to_value([personal_data(), guard(str), max_words(5)], page) is page


def test_what_is_required_may_be_in_any_text() -> None:
    """The limit on length applies to each text by itself."""
    value = {"a": ["one two"], "b": "Sources: x"}
    assert apply_to_value([required("sources:"), max_words(2)], value) == value
    with pytest.raises(BadAnswer, match="'thanks'"):
        apply_to_value([required("thanks")], value)
    assert apply_to_value([required("thanks")], value, "input") == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to ann.b+c@mail.example.org.", "Write to [e-mail address]."),
        ("zoë@exämple.org,x@y", "[e-mail address],x@y"),
        ("DE89 3704 0044 0532 0130 00 please", "[IBAN] please"),
        ("gb82west12345698765432", "[IBAN]"),
        ("GB82 WEST 1234 5698 7654 33", "GB82 WEST 1234 5698 7654 33"),
        ("NO9386011117947,", "[IBAN],"),
        ("4111 1111 1111 1111, 4111-1111-1111-1111; 378282246310005", "[card number], [card number]; [card number]"),
        ("4111 1111 1111 1112", "4111 1111 1111 1112"),
        ("Order 12 4111 1111 1111 1111 9", "Order 12 [card number] 9"),
        ("4111\u00a01111\u00a01111\u00a01111", "[card number]"),
        (
            "10.0.0.1 or 256.1.1.1 or fe80::1. 2001:db8::ff00:42:8329",
            "[IP address] or 256.1.1.1 or [IP address]. [IP address]",
        ),
        ("std::vector a::b :: 12:34:56 1.2.3 1.2.3.4.5", "std::vector a::b :: 12:34:56 1.2.3 1.2.3.4.5"),
        ("+49 (0)30 901820 or 0049 30 901820", "[phone number] or [phone number]"),
        ("+1 (555) 123-4567 (555) 234-5678 555-234-5678", "[phone number] [phone number] [phone number]"),
        ("0171/1234567, 06 12 34 56 78, (030) 123 456 78", "[phone number], [phone number], [phone number]"),
        ("2024-01-15 10:30, 1700000000000, 3.14159265358979, 1,234,567.89", None),
        ("ISBN 978-3-16-148410-0, room 0123, 100 000 000, 12345678901", None),
    ],
)
def test_personal_data_is_found_by_its_form(text: str, expected: str | None) -> None:
    """Texts of a similar form are left unchanged."""
    assert masked(text)[0] == (text if expected is None else expected)


def test_kinds_can_be_chosen() -> None:
    """A guard replaces only the chosen kinds; others are left unchanged."""
    assert masked("a@b.org 10.0.0.1", ["ip"]) == ("a@b.org [IP address]", {"IP address": 1})


@given(st.text(st.sampled_from("0123456789+-. ()/:@ADEbf"), max_size=60))
def test_unmasked_text_is_unchanged(text: str) -> None:
    """The text between the masks is kept, in order."""
    clean, found = masked(text)
    rest = re.split(r"\[(?:e-mail address|IBAN|card number|IP address|phone number)\]", clean)
    assert len(rest) == sum(found.values()) + 1
    assert re.fullmatch(".+".join(re.escape(piece) for piece in rest), text)


HOSTILE = {
    "letters": "a",
    "at signs": "a@",
    "labels": "@b-.",
    "dots": "b.",
    "digits": "1",
    "fours": "4 ",
    "groups": "4111-",
    "countries": "DE12 ",
    "signs": "DE12A",
    "colons": ":",
    "hexes": "a:",
    "bytes": "1.",
    "pluses": "+1 1",
    "zeros": "01 (",
    "brackets": "(((",
    "blanks": " ",
}


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE)
def test_long_texts_take_a_moment(piece: str) -> None:
    """The time is linear in the length of any text, not quadratic."""
    guards = [personal_data(), forbidden("a b", then="rewrite"), max_words(5, then="rewrite"), max_characters(5)]
    begun = time.process_time()
    with contextlib.suppress(BadAnswer):
        check_text(guards, piece * (100_000 // len(piece)), "output")
    assert time.process_time() - begun < 3
