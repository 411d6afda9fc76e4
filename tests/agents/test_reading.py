import datetime
import enum
import json
import typing
from pathlib import Path
from typing import Annotated, Any, Literal, NewType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from typing_extensions import TypeAliasType, TypedDict

from graphengine import Agent, Context, Graph, Runner
from graphengine.agents.errors import BadAnswer
from graphengine.agents.json_text import UnreadableJson, tolerant, tolerant_of_prose, unfenced
from graphengine.agents.reading import Output
from graphengine.models import ModelUnavailable, ScriptedModel
from tests.agents.tool_kits import called, check_readings
from tests.kit.runs import alone, failing


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
    """Strict, fenced or at the end of other text it is the same value; cut off it is refused."""
    made: Output[Any] = Output(Any)
    wrapped = json.dumps({"answer": value})
    assert made.read(wrapped) == value
    assert made.read(f"```json\n{wrapped}\n```") == value
    assert made.read(f"So:\n```\n{wrapped}\n```\nI hope it's fine.") == value
    assert made.read(f"So, from [1]: {json.dumps({'answer': value}, indent=1)}\n") == value
    for end in range(1, len(wrapped)):
        with pytest.raises(BadAnswer):
            made.read(wrapped[:end])


WORD = st.text("ab [1]{x}", max_size=6)
OF_TYPES: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(0, 99),
    list[int]: st.lists(st.integers(0, 99), max_size=3),
    list[float]: st.lists(st.floats(0, 99), max_size=3),
    list[str]: st.lists(WORD, max_size=3),
    list[Step]: st.lists(st.fixed_dictionaries({"what": WORD}), max_size=2),
    dict[str, int]: st.dictionaries(WORD, st.integers(0, 99), max_size=2),
    Review: st.fixed_dictionaries({"score": st.integers(1, 9), "approved": st.booleans()}),
    Loose: st.fixed_dictionaries({}, optional={"note": WORD, "approved": st.booleans()}),
    Review | list[Step]: st.fixed_dictionaries({"score": st.integers(1, 9), "approved": st.booleans()}),
}
"""JSON values that are read as a value of each type."""
WORDS = st.lists(
    st.sampled_from(["nothing", "in", "source", "[3]", "[1, 2]", "{x}", "{}", '"no"', "it's", "(a)", ",", "or", "\n"]),
    max_size=4,
).map(" ".join)
AROUND = st.sampled_from(["{}", '"{}"', "'{}'", "`{}`", "({})", "[{}]", "“{}”", "**{}**", "```{}```"])


@given(st.sampled_from(list(OF_TYPES)), st.data())
def test_no_value_is_read_out_of_a_sentence(kind: Any, data: st.DataObject) -> None:
    """A sentence may have a value of the type, and brackets, braces and quotes; it is sent back to the model.

    At its end may be an object only if that has the wrapper's key or all keys of the type, which is an answer.
    """
    value = data.draw(OF_TYPES[kind])
    value = {"answer": value} if data.draw(st.booleans()) else value
    shown = data.draw(AROUND).replace("{}", json.dumps(value))
    first = f"I found {data.draw(WORDS)} {shown}" if data.draw(st.booleans()) else f"{shown} is what I found"
    sentence = f"{first} {data.draw(WORDS)} {data.draw(st.sampled_from(['.', '?', 'please', 'in [3]']))}"
    if not isinstance(value, dict) and data.draw(st.booleans()) and first.startswith("I"):
        sentence = first
    with pytest.raises(BadAnswer):
        Output(kind).read(sentence)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (list[Step], 'The answers: [{"what": "dig"}, {"what": "sow"'),
        (Review, 'Both: [{"score": 1, "approved": true}'),
        (Review, 'Shall it be ({"score": 1, "approved": true}'),
        (Review, 'He wrote: "{"score": 1, "approved": true}'),
        (Review, 'Either {"score": 1, "approved": true} or {"score": 2, "approved": true}'),
        (Review, '```\n{"score": 1, "approved": true}\n```\nor\n```\n{"score": 2, "approved": true}\n```'),
        (Review, 'A draft:\n```json\n{"score": 1, "approved": true}\n```\nNo:\n{"score": 2, "approved": true}'),
        (Review, '```\n{"score": 1, "approved": true}\n```\nRather {"score": 2, "approved": true}.'),
        (Review, "It is {'score': 2, 'approved': true,}, not\n```\n{\"score\": 1, \"approved\": true}\n```"),
        (list[int], "A draft:\n```\n[1, 2]\n```\nOn reflection, [2, 3]."),
        (Review, 'I approve: {"score": 1}'),
        (Loose, 'I would say: {"note": "a"}'),
        (dict[str, int], 'I would say: {"a": 1}'),
        (list[str], "[I found nothing]"),
        (list[str], '[I looked, "a", and found nothing]'),
    ],
)
def test_a_part_of_an_answer_is_no_answer(kind: Any, text: str) -> None:
    """So are one of two values, an object without all of its keys, and a sentence in brackets."""
    with pytest.raises(BadAnswer):
        Output(kind).read(text)


RIGHT = True


class Asked(BaseModel):
    found: Any = []


def asking(agent: Agent[Any]) -> Graph[Asked]:
    """Return a graph whose node asks an agent, and then a person."""

    async def ask(ctx: Context) -> Any:
        found = await agent.run(question="Which?")
        return found if await ctx.ask("Right?", bool) else []

    return alone(Asked, ask, "found")


@pytest.mark.parametrize(
    ("output", "texts", "found"),
    [
        (list[int], ["The sources are [3]."], [3]),
        (Literal["yes", "no"], ["```yes\n```"], "yes"),
        (Literal["yes", "no"], ['```json\n"yes"```', "no"], "no"),
        (int, ["```json 8```", "9"], 9),
    ],
)
async def test_what_an_earlier_version_took_or_refused_stays_so(
    output: Any, texts: list[str], found: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It recorded no rules of reading with the answers, so they are read by the rules of then."""
    agent: Agent[Any] = Agent("a", output=output, model=ScriptedModel(texts))
    with monkeypatch.context() as earlier:
        earlier.setattr("graphengine.agents.conversation.is_json", lambda _: True)
        earlier.setattr("graphengine.agents.reading.tolerant", lambda text, _: tolerant_of_prose(text))
        earlier.setattr("graphengine.agents.reading.unfenced", lambda text, **_: unfenced(text, as_before=True))
        async with Runner(tmp_path / "runs.db") as runner:
            assert (await runner.start(asking(agent), run_id="r").result()).status == "waiting"
    async with Runner(tmp_path / "runs.db") as runner:
        result = await (await runner.answer("r", RIGHT, asking(agent))).result()
    assert (result.state.found, result.usage.calls) == (found, len(texts))


@pytest.mark.parametrize("text", ['```json\n"yes"```', '```json\n"yes"\n```', "```yes\n```", "yes"])
async def test_an_answer_in_a_fence_is_recorded_with_the_rules_by_which_it_was_read(text: str, tmp_path: Path) -> None:
    """So the run that goes on reads it again by them."""
    agent: Agent[Any] = Agent("a", output=Literal["yes", "no"], model=ScriptedModel([text]))
    async with Runner(tmp_path / "runs.db") as runner:
        await runner.start(asking(agent), run_id="r").result()
        result = await (await runner.answer("r", RIGHT, asking(agent))).result()
    assert (result.state.found, result.usage.calls) == ("yes", 1)


async def test_an_answer_that_was_refused_stays_refused_after_a_failure(tmp_path: Path) -> None:
    """Its record says by which rules it is read, so that the run that goes on does not take it."""
    agent = Agent("a", output=list[int], model=ScriptedModel(["The sources are [3].", ModelUnavailable("no key")]))
    async with Runner(tmp_path / "runs.db") as runner:
        await failing(runner.start(asking(agent), run_id="r").result(), "no key")
        again = agent.but(model=ScriptedModel(['{"answer": [4]}']))
        await runner.resume("r", asking(again)).result()
        result = await (await runner.answer("r", RIGHT, asking(again))).result()
    assert (result.state.found, result.usage.calls) == ([4], 2)


@given(st.text(st.sampled_from("{}[]\"',: \\ab01\n"), max_size=40))
def test_repaired_json_has_all_the_words_of_the_text(text: str) -> None:
    """No exception but the refusal is raised."""
    try:
        value = tolerant(text, {"a"})
    except UnreadableJson:
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
