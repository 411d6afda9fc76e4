import datetime
import enum
import json
import typing
from pathlib import Path
from typing import Annotated, Any, NewType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from typing_extensions import TypeAliasType, TypedDict

from graphengine.agents.errors import BadAnswer
from graphengine.agents.json_text import Unreadable, tolerant
from graphengine.agents.reading import Output
from tests.agents.tool_kits import called, check_readings


class Review(BaseModel):
    score: int = Field(ge=1, le=10)
    approved: bool
    issues: list[str] = []


class Loose(BaseModel):
    """Every field has a default."""

    note: str = "nothing"
    approved: bool = True


class Named(BaseModel):
    plain: int = Field(alias="plainAlias")


class Step(TypedDict):
    what: str


class Vote(enum.Enum):
    YES = "approve"
    NO = "reject"


Word = NewType("Word", str)
Short = TypeAliasType("Short", Annotated[str, StringConstraints(max_length=5)])
PAGES = [Path(__file__).parent / "readings" / name for name in ("answers.txt", "arguments.txt")]


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    day: datetime.date
    several: tuple[int, ...]


GOOD = Review(score=8, approved=False, issues=["thin"])


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def show(text: str) -> str:
    """Show a text."""
    return text


def total(numbers: list[int]) -> int:
    """Add numbers."""
    return sum(numbers)


async def reading(what: Any, given: Any) -> str:
    """Return what an answer of a type is read as, or what a tool makes of the arguments that a model wrote."""
    if callable(what) and what in (add, show, total):
        outcome = await called(what, given)
        return f"refused: {outcome.text}" if outcome.is_error else outcome.text
    try:
        return repr(Output(what).read(given))
    except BadAnswer as error:
        return f"refused: {error.message}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
async def test_what_models_write_is_read_as_its_page_says(path: Path) -> None:
    """Each text is read as what it is, or refused with its problem; `UPDATE_PAGES=1` rewrites the pages."""
    await check_readings(path, vars(typing) | globals(), reading)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | st.text(st.sampled_from("ab \"'{}[],:\\\né1"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON)
def test_json_is_read_as_what_it_is(value: object) -> None:
    """Strict or fenced it is the same value; cut off it is refused or the same."""
    made: Output[Any] = Output(Any)
    wrapped = json.dumps({"answer": value})
    assert made.read(wrapped) == value
    assert made.read(f"```json\n{wrapped}\n```") == value
    assert made.read(f"So: {json.dumps({'answer': value}, indent=1)} I hope it's fine.") == value
    for end in range(1, len(wrapped)):
        with pytest.raises(BadAnswer):
            made.read(wrapped[:end])


@given(st.text(st.sampled_from("{}[]\"',: \\ab01\n"), max_size=40))
def test_repaired_json_has_all_the_words_of_the_text(text: str) -> None:
    """No exception but the refusal is raised."""
    try:
        value = tolerant(text)
    except Unreadable:
        return
    written = json.dumps(value, ensure_ascii=False)
    for word in "ab01":
        assert written.count(word) <= text.count(word) + 1


@pytest.mark.parametrize(
    "text",
    [
        "{" * 1_000_000,
        '{"a": "' + "x" * 1_000_000,
        "'" * 1_000_000,
        "{" + "'" * 1_000_000,
        '{"a": ' + " " * 1_000_000,
        "<think>" * 150_000,
        "```\n" * 250_000,
        "{" + '" ' * 500_000,
        '{"a": "' + 'x" ' * 33_000 + '",}',
        "{" + ",".join(f'"{n}": 1' for n in range(30_000)) + ', "0": 2}',
    ],
    ids=range(10),
)
def test_long_nonsense_is_refused(text: str) -> None:
    """So is a million characters of any kind."""
    for output in (Review, bool, int):
        with pytest.raises(BadAnswer):
            Output(output).read(text)
