import datetime
import enum
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NewType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, RootModel, StringConstraints
from typing_extensions import TypeAliasType, TypedDict

from graphengine.agents.errors import BadAnswer
from graphengine.agents.json_text import Unreadable, tolerant
from graphengine.agents.reading import Output
from graphengine.errors import DefinitionError
from tests.agents.tool_kits import called, check_readings


class Review(BaseModel):
    score: int = Field(ge=1, le=10)
    approved: bool
    issues: list[str] = []


class Loose(BaseModel):
    """Every field has a default."""

    note: str = "nothing"
    approved: bool = True


class Tree(BaseModel):
    kids: list["Tree"] = []


class Named(BaseModel):
    plain: int = Field(alias="plainAlias")


class Vote(enum.Enum):
    YES = "approve"
    NO = "reject"


class Step(TypedDict):
    what: str


@dataclass
class Point:
    x: int


class Unknown:
    """A type for which pydantic has no schema."""


PAGES = [Path(__file__).parent / "readings" / name for name in ("answers.txt", "arguments.txt")]
Word = NewType("Word", str)
Short = TypeAliasType("Short", Annotated[str, StringConstraints(max_length=5)])


def refusal(output: Any, content: object) -> str:
    """Return the message about a refused answer."""
    with pytest.raises(BadAnswer) as caught:
        Output(output).read(content)
    return caught.value.message


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
    await check_readings(path, globals(), reading)


@pytest.mark.parametrize("output", [Review, Tree, Point, Step, Loose])
def test_an_object_is_not_wrapped(output: Any) -> None:
    """Its schema has properties at the root, even if the type contains itself."""
    schema = Output(output).schema
    assert schema is not None
    assert schema["type"] == "object"
    assert "answer" not in schema["properties"]  # type: ignore[operator]
    assert not Output(output).wrapped


@pytest.mark.parametrize(
    "output",
    [
        int,
        list[Review],
        dict[str, int],
        Review | None,
        Literal["a"],
        Vote,
        bool,
        RootModel[list[int]],
        tuple[int, str],
        Any,
    ],
)
def test_anything_else_is_the_answer_of_an_object(output: Any) -> None:
    """Providers require an object at the root; definitions move there with it."""
    schema = Output(output).schema
    assert schema is not None
    assert (schema["type"], schema["required"], list(schema["properties"])) == (  # type: ignore[arg-type]
        "object",
        ["answer"],
        ["answer"],
    )
    assert "$defs" not in schema["properties"]["answer"]  # type: ignore[index,call-overload,operator]
    assert Output(output).wrapped


@pytest.mark.parametrize("output", [str, Annotated[str, Field(min_length=2)], Word, Short])
def test_text_is_no_structure(output: Any) -> None:
    """A text type, with or without constraints, has no schema."""
    assert Output(output).schema is None


def test_names_are_what_providers_take() -> None:
    """Letters, digits, `_` and `-`, at most 64."""
    assert Output(Review).name == "Review"
    assert Output(list[Review]).name == "list_Review"
    others: list[Any] = [Annotated[int, Field(ge=1)], enum.Enum("V" * 200, "a b")]
    assert [Output(other).name for other in others] == ["int", "V" * 64]


def test_a_type_that_json_cannot_carry_is_refused() -> None:
    """A type that JSON cannot carry is refused when the agent is made, not when it is called."""
    with pytest.raises(DefinitionError, match="cannot be the type of an answer"):
        Output(Unknown)


def test_a_value_of_rules_that_fits_is_kept() -> None:
    """It is the same object, and not a copy."""
    assert Output(Review).read(GOOD) is GOOD


def test_fields_are_asked_for_by_name() -> None:
    """Aliases are for other uses."""
    schema = Output(Named).schema
    assert schema is not None
    assert list(schema["properties"]) == ["plain"]  # type: ignore[arg-type]


def test_many_mistakes_are_reported_in_a_short_text() -> None:
    """A model gets the first ten problems, with shortened values, and the number of the others."""
    many = refusal(list[int], json.dumps(["x" * 1000] * 50))
    assert many.endswith("- and 40 more")
    assert len(many) < 3000


def test_feedback_has_the_problem_and_the_expected_form() -> None:
    """Feedback has the problem and the form for objects, wrapped values and text; also for a check's ValueError."""
    made = Output(Review)
    with pytest.raises(BadAnswer) as caught:
        made.read("{}")
    message = made.feedback(caught.value)
    assert message.startswith("Your answer cannot be used: the answer does not fit Review:\n- score: Field required")
    assert message.endswith("as one JSON object that fits the schema, and nothing else.")
    assert '{"answer": …}' in Output(int).feedback(ValueError("too low"))
    assert Output(str).feedback(ValueError("too \ud800 low")) == (
        "Your answer cannot be used: too \ufffd low\n\nGive the whole answer again, corrected."
    )
    assert "KeyError" in made.feedback(KeyError())


def test_an_error_names_its_place() -> None:
    """An error names the agent as its place."""
    with pytest.raises(BadAnswer) as caught:
        Output(int, where="agent critic").read("x")
    assert caught.value.where == "agent critic"


def test_a_changed_value_is_checked_again() -> None:
    """A guard's change may have made it invalid."""
    rules: Any = Short
    made, short = Output(Review), Output(rules)
    assert made.again(GOOD) == GOOD
    with pytest.raises(BadAnswer, match="score"):
        made.again(GOOD.model_copy(update={"score": 11}))
    with pytest.raises(BadAnswer):
        made.again(GOOD.model_copy(update={"score": "many"}))
    with pytest.raises(BadAnswer):
        short.again("too long")


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
