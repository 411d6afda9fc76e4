import datetime
import enum
import json
from dataclasses import dataclass
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


Word = NewType("Word", str)
Short = TypeAliasType("Short", Annotated[str, StringConstraints(max_length=5)])


def refusal(output: Any, content: object) -> str:
    """Return the message about a refused answer."""
    with pytest.raises(BadAnswer) as caught:
        Output(output).read(content)
    return caught.value.message


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
    """A text type, with or without constraints, has no schema, and its answer is returned unchanged."""
    made = Output(output)
    assert made.schema is None
    assert made.read(' "a"\n') == ' "a"\n'


def test_rules_for_text_hold() -> None:
    """A violation of a rule for text is reported."""
    assert "at most 5 characters" in refusal(Short, "too long")
    assert "valid string" in refusal(str, 5)


@pytest.mark.parametrize("output", [str, int, Review, Vote])
@pytest.mark.parametrize("text", ["", " \n\t"])
def test_an_empty_answer_is_refused(output: Any, text: str) -> None:
    """An empty answer is refused for every type."""
    assert "empty" in refusal(output, text)


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


GOOD = Review(score=8, approved=False, issues=["thin"])


@pytest.mark.parametrize(
    "text",
    [
        '{"score": 8, "approved": false, "issues": ["thin"]}',
        '```json\n{"score": 8, "approved": false, "issues": ["thin"]}\n```',
        'Here it is:\n```\n{"score": 8, "approved": false, "issues": ["thin"],}\n```\nAsk if it isn\'t clear.',
        '{"score": 8, "approved": false, "issues": ["thin",],}',
        "{'score': 8, 'approved': False, 'issues': ['thin']}",
        '{"score": 8\n "approved": false\n "issues": ["thin"]}',
        "{score: 8, approved: false, issues: ['thin']}",
        '<think>Is it {"score": 3}?</think>{"score": 8, "approved": false, "issues": ["thin"]}',
        '{"score": "8", "approved": false, "issues": ["thin"]}',
    ],
)
def test_json_is_found_and_repaired_if_only_its_punctuation_is_wrong(text: str) -> None:
    """Fences, prose, thinking, trailing and missing commas, wrong quotes."""
    assert Output(Review).read(text) == GOOD


@pytest.mark.parametrize(
    "text",
    [
        "I approve. 8 out of 10.",
        '{"score": 8, "approved": true but no}',
        '{"score": 8, "approved": true, "issues": ["th',
        '{"score": 8, "approved": true',
        '{"score": 8, "approved": not true}',
        '{"score": ~8, "approved": true}',
        '{"score": 7/10, "approved": true}',
        '{"score": 8 or 9, "approved": true}',
        '{"score": 8, "approved": , "issues": []}',
        '{"score": 8 // perhaps 9\n, "approved": true}',
        '{"score": 3, "score": 9, "approved": true}',
        '{"score": 3, "approved": true} {"score": 9, "approved": true}',
        'As {"score": 1, "approved": true}: {"score": 9 of 10, "approved": true}',
        'As {"score": 1, "approved": true}: {"score": 9, "appr',
        '{"score": 1e999, "approved": true}',
        '{"score": NaN, "approved": true}',
        '{"score": true, "approved": true}',
        '{"score": 8, "approved": "perhaps"}',
        '[{"score": 8, "approved": true}]',
        "null",
        "{" * 5000,
        '{"score": ' * 5000,
        "[" * 5000 + "]" * 5000,
        '{"score": 1' + "0" * 5000 + ', "approved": true}',
    ],
)
def test_ambiguous_json_is_refused(text: str) -> None:
    """Content would be lost or made up, or is ambiguous."""
    assert refusal(Review, text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"verdict": "no"}', "none of approved, note"),
        ('Not {"approved": true but no}.', "without guessing"),
        ('{"note": , "approved": true}', "without guessing"),
        ('{"note": "x" + "y"}', "without guessing"),
        ("{'note': 'it''s'}", "without guessing"),
        ('{"note" "x", "approved": true}', "without guessing"),
        ("{'note': 'x', 'tags': [,]}", "without guessing"),
        ("{'note': 'x', approved': false}", "without guessing"),
        ("{'': 'x', 'approved': true,}", "without guessing"),
        ("{'note': 'x, 'tags: []}", "without guessing"),
        ('{"note": "x, "tags": []}', "without guessing"),
        ('{"note": "a"} or {"note": "b"}', "without guessing"),
        ('I looked [twice]. {"note": "a"}', "without guessing"),
        ('{"note": "a", "note": "b"}', "'note' twice"),
        ('{"note": ["a"}]', "without guessing"),
        ('{"note": "a", "tags": ["b"], "more": "c', "without guessing"),
        ('{"note": "a}', "without guessing"),
        ('{"note": ""," "tags": []}', "without guessing"),
        ("Fine.", "no JSON"),
    ],
)
def test_defaults_make_nothing_up(text: str, problem: str) -> None:
    """A type whose fields all have defaults does not accept an unrelated answer."""
    assert problem in refusal(Loose, text)


@pytest.mark.parametrize(
    "text", ["1e999", '{"answer": 1e999}', "NaN", "{'answer': Infinity}", '{"answer": "-inf"}', '"NaN"']
)
def test_a_number_is_finite(text: str) -> None:
    """NaN and infinity are refused, since records cannot hold them."""
    assert refusal(float, text)


def test_a_boolean_is_accepted_next_to_a_number_as_text() -> None:
    """Only a boolean or NaN in place of a number is refused."""
    made: Output[Any] = Output(int | Review)
    assert made.read('{"score": "8", "approved": true}') == Review(score=8, approved=True)


def test_an_apostrophe_opens_no_text() -> None:
    """An apostrophe inside a word does not open a quoted text."""
    assert Output(Loose).read("{note: it's so, approved: false}") == Loose(note="it's so", approved=False)


@pytest.mark.parametrize(
    "text", ["8", '{"answer": 8}', '"8"', "8.0", "```\n8\n```", '{"answer": 8, "why": "good"}', "{'answer': 8}"]
)
def test_a_number_is_read_wrapped_or_bare(text: str) -> None:
    """A number is read wrapped or bare, as long as it is a number."""
    assert Output(int).read(text) == 8


@pytest.mark.parametrize(
    "text",
    [
        "I would say 8",
        "7/10",
        "8.",
        "8.5",
        "~8",
        "8 or 9",
        "true",
        '{"answer": true}',
        "1,000",
        "8 9",
        "[8]",
        '{"score": 8}',
        "eight",
        "null",
        '{"answer": 7/10}',
        '{"answer": 10%}',
    ],
)
def test_no_number_is_made_of_something_else(text: str) -> None:
    """Prose, fractions, alternatives, lists and booleans are refused."""
    assert refusal(int, text)


@pytest.mark.parametrize(
    ("output", "text", "expected"),
    [
        (bool, "Yes.", True),
        (bool, "**no**", False),
        (bool, '"TRUE"', True),
        (bool, '{"answer": "Yes"}', True),
        (bool, "false", False),
        (Vote, "Approve.", Vote.YES),
        (Vote, '"reject"', Vote.NO),
        (Vote, "`REJECT`.", Vote.NO),
        (Vote, '{"answer": "Reject."}', Vote.NO),
        (Literal["yes", "no"], "“Yes.”", "yes"),
        (Literal["yes", "no"], "<think>no?</think>\nyes", "yes"),
        (Literal["a.", "b"], "A", "a."),
        (Literal["A", "a"], "a", "a"),
        (Literal[1, 2], "2.", 2),
        (Literal["a"] | None, "A", "a"),
        (Literal["a"] | None, "null", None),
        (Annotated[bool, Field(description="whether")], "yes", True),
    ],
)
def test_a_choice_is_read_from_its_word(output: Any, text: str, expected: object) -> None:
    """Quotes and full stops around it and its case do not matter."""
    assert Output(output).read(text) == expected


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (Literal["approved", "rejected"], "NOT APPROVED"),
        (Literal["approved", "rejected"], "not rejected"),
        (Literal["approved", "rejected"], "approved or rejected"),
        (Literal["approved", "rejected"], '{"answer": "not approved"}'),
        (Literal["approved", "rejected"], '{"verdict": "approved"}'),
        (Literal["approved", "rejected"], "approve"),
        (Literal["approved", "rejected"], "approved!"),
        (Literal["A", "a"], "“A.”"),
        (Vote, "YES"),
        (bool, "yes and no"),
        (bool, "1"),
        (bool, '{"answer": 1}'),
        (bool, '{"answer": "on"}'),
        (bool, "null"),
        (Literal[1, 2], "true"),
        (Literal[""], " . "),
    ],
)
def test_no_choice_is_read_out_of_other_words(output: Any, text: str) -> None:
    """The whole text has to match exactly one."""
    assert refusal(output, text)


def test_a_refused_choice_names_the_choices() -> None:
    """A refused choice names the choices in the form in which they are to be given."""
    assert refusal(bool, "maybe") == 'the answer is not one of true, false (given: "maybe")'
    assert refusal(Vote, '{"answer": "maybe"}') == 'the answer is not one of "approve", "reject" (given: "maybe")'


@pytest.mark.parametrize("text", ['[{"what": "dig"}]', '{"answer": [{"what": "dig"}]}', "Steps:\n[{'what': 'dig'},]"])
def test_a_list_is_read_wrapped_or_bare(text: str) -> None:
    """Prose around it and wrong quotes do not matter."""
    assert Output(list[Step]).read(text) == [{"what": "dig"}]


def test_a_dict_may_have_the_key_of_the_wrapping() -> None:
    """The interpretation that fits is used: the value under the key first, if it is the only key."""
    made = Output(dict[str, int])
    assert made.read('{"answer": {"a": 1}}') == {"a": 1}
    assert made.read('{"answer": 1}') == {"answer": 1}
    assert made.read('{"answer": 1, "b": 2}') == {"answer": 1, "b": 2}


def test_dates_may_be_unquoted() -> None:
    """Dates are read without the quotes that JSON requires; prose is still not a date."""
    assert Output(datetime.date).read("2026-01-02.") == datetime.date(2026, 1, 2)
    assert refusal(datetime.date, "On 2026-01-02")


def test_prose_is_no_text_in_a_union() -> None:
    """An answer of an optional text has to be JSON: prose is refused."""
    made = Output(str | None)
    assert made.read('{"answer": null}') is None
    assert made.read('"I do not know"') == "I do not know"
    assert refusal(str | None, "I do not know")


def test_values_of_rules_are_validated_directly() -> None:
    """They need not be JSON; text among them is read like a model's."""
    made = Output(Review)
    assert made.read(GOOD) is GOOD
    assert made.read(GOOD.model_dump()) == GOOD
    assert made.read(GOOD.model_dump_json()) == GOOD
    assert "score" in refusal(Review, {"score": 11, "approved": True})
    assert refusal(int, None)


def test_fields_are_asked_for_and_read_by_name() -> None:
    """Aliases are for other uses; values by rules may use either."""
    made = Output(Named)
    assert made.schema is not None
    assert list(made.schema["properties"]) == ["plain"]  # type: ignore[arg-type]
    assert made.read('{"plain": 1}').plain == 1
    assert made.read({"plainAlias": 1}).plain == 1


def test_mistakes_are_reported_so_that_a_model_can_act_on_them() -> None:
    """The place, the problem, the given value, shortened; a missing field has no given value."""
    message = refusal(Review, '{"score": 11, "issues": ["a", 5]}')
    assert message.splitlines() == [
        "the answer does not fit Review:",
        "- score: Input should be less than or equal to 10 (given: 11)",
        "- approved: Field required",
        "- issues[1]: Input should be a valid string (given: 5)",
    ]
    assert "- answer[0].what:" in refusal(list[Step], '{"answer": [{"what": 1}]}')
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


@pytest.mark.parametrize("text", ['{"what": "a\\ud800b"}', '{"what": "a\ud800b"}', "{'what': 'a\\ud800b',}"])
def test_a_lone_surrogate_is_replaced(text: str) -> None:
    """A lone surrogate is replaced in JSON, escaped or not, and in repaired JSON."""
    assert Output(Step).read(text) == {"what": "a\ufffdb"}
    assert Output(str).read("a\ud800b") == "a\ufffdb"


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


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    day: datetime.date
    several: tuple[int, ...]


def test_a_strict_type_is_read_as_json() -> None:
    """If JSON has no form of its own for a value, its text is used."""
    text = "{'day': '2026-01-02', 'several': [1]}"
    assert Output(Strict).read(text) == Strict(day=datetime.date(2026, 1, 2), several=(1,))


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
