"""Texts with lone surrogates, as scraped pages have them: recorded with U+FFFD in their place, and no run fails.

A surrogate pair, which Python reads from some JSON as two characters, becomes the character that it stands for.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pytest
from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator
from typing_extensions import TypedDict

from graphengine import Context, Runner, ask
from graphengine.kernel.fake_clock import FakeClock
from graphengine.reducers import append, extend, merge
from graphengine.state.given import utf8_value
from tests.kit.runs import alone, row

TEXT = "a\ud800b \ud83d\ude00"
STRUCK = "a\ufffdb \U0001f600"


class Page(BaseModel):
    model_config = ConfigDict(extra="allow")
    text: str = ""
    title: str = "?"


@dataclass(frozen=True)
class Link:
    text: str = ""


class Span(NamedTuple):
    text: str = ""


class Keys(TypedDict, total=False):
    text: str


class Text(BaseModel):
    text: str = ""
    texts: list[str] = []


Short = Annotated[str, Field(max_length=20)]


class Encoded(BaseModel):
    text: str = ""

    @field_validator("text")
    @classmethod
    def encodes(cls, text: str) -> str:
        """Refuse what cannot be encoded."""
        text.encode()
        return text


TYPES: dict[str, tuple[Any, Any, Any]] = {
    "text": (str, TEXT, STRUCK),
    "text with a limit": (Short, TEXT, STRUCK),
    "optional": (str | None, TEXT, STRUCK),
    "anything": (Any, {TEXT: [TEXT]}, {STRUCK: [STRUCK]}),
    "list": (list[str], ["x", TEXT], ["x", STRUCK]),
    "dict": (dict[str, int], {TEXT: 1}, {STRUCK: 1}),
    "set": (set[str], {TEXT}, {STRUCK}),
    "tuple": (tuple[str, int], (TEXT, 1), (STRUCK, 1)),
    "model": (Page, Page(text=TEXT), Page(text=STRUCK)),
    "extra": (Page, Page.model_validate({"more": [TEXT]}), Page.model_validate({"more": [STRUCK]})),
    "list of models": (list[Page], [Page(text=TEXT)], [Page(text=STRUCK)]),
    "dataclass": (Link, Link(TEXT), Link(STRUCK)),
    "named tuple": (Span, Span(TEXT), Span(STRUCK)),
    "typed dict": (Keys, {"text": TEXT}, {"text": STRUCK}),
    "appended": (Annotated[list[str], append], TEXT, [STRUCK]),
    "appended model": (Annotated[list[Page], append], Page(text=TEXT), [Page(text=STRUCK)]),
    "extended": (Annotated[list[str], extend], [TEXT], [STRUCK]),
    "merged": (Annotated[dict[str, str], merge], {TEXT: TEXT}, {STRUCK: STRUCK}),
    "joined by a function": (Annotated[str, lambda old, new: old + new], TEXT, STRUCK),
}


def state_of(kind: Any, kept: Any) -> type[BaseModel]:
    """Return a state with a field of a type."""
    empty = kept if type(kept) is tuple else type(kept)()
    return create_model("State", x=(kind, empty), text=(str, ""))


@pytest.mark.parametrize(("kind", "given", "kept"), TYPES.values(), ids=TYPES)
async def test_a_node_can_return_them(tmp_path: Path, kind: Any, given: Any, kept: Any) -> None:
    """Of each type; the same is read in this process and in another."""
    graph = alone(state_of(kind, kept), lambda: given, "x")
    async with Runner(tmp_path / "runs.db") as runner:
        first = await runner.start(graph, run_id="r").result()
    async with Runner(tmp_path / "runs.db") as runner:
        again = await runner.resume("r", graph).result()
    assert vars(first.state)["x"] == vars(again.state)["x"] == kept


@pytest.mark.parametrize(("kind", "given", "kept"), TYPES.values(), ids=TYPES)
async def test_a_run_can_begin_with_them(kind: Any, given: Any, kept: Any) -> None:
    """In a mapping of fields."""
    whole = [given] if isinstance(kept, list) and not isinstance(given, list) else given
    async with Runner() as runner:
        result = await runner.start(alone(state_of(kind, kept), lambda: "x", "text"), {"x": whole}).result()
    assert vars(result.state)["x"] == kept


@pytest.mark.parametrize(("kind", "given", "kept"), TYPES.values(), ids=TYPES)
async def test_a_call_can_take_and_return_them(kind: Any, given: Any, kept: Any) -> None:
    """The node gets what it would get again."""
    seen = []
    if isinstance(kept, list) and not isinstance(given, list):
        given = [given]

    def scrape(text: str) -> Any:
        return given

    scrape.__annotations__["return"] = kind

    async def work(ctx: Context) -> str:
        seen.append(await ctx.call(scrape, TEXT))
        return "done"

    async with Runner() as runner:
        assert (await runner.start(alone(Text, work, "text")).result()).state.text == "done"
    assert seen == [kept]


async def test_a_validator_of_the_users_sees_no_lone_surrogate_in_the_end() -> None:
    """What it could not encode is given to it again."""
    async with Runner() as runner:
        assert vars((await runner.start(alone(Encoded, lambda: TEXT, "text")).result()).state)["text"] == STRUCK


async def test_items_of_a_map_can_return_them() -> None:
    """Each of them."""
    graph = alone(Text, lambda each: each + TEXT, "texts", each={"each": "texts"})
    async with Runner() as runner:
        result = await runner.start(graph, {"texts": ["", TEXT]}).result()
    assert result.state.texts == [STRUCK, STRUCK + STRUCK]


async def test_fallbacks_and_graphs_in_graphs_can_return_them() -> None:
    """A fallback's value and its function, and what a nested graph is given and ends with."""

    def fail() -> str:
        raise ValueError

    inner = alone(Text, lambda text: text + TEXT, "text", result="text")
    async with Runner() as runner:
        for work, fallback in ((fail, TEXT), (fail, lambda: TEXT)):
            assert (await runner.start(alone(Text, work, "text", fallback=fallback)).result()).state.text == STRUCK
        assert (await runner.start(alone(Text, inner, "text"), {"text": TEXT}).result()).state.text == STRUCK + STRUCK


async def test_messages_questions_and_answers_can_have_them() -> None:
    """Also topics' messages from outside, the default of an answer, and what is shown and recorded."""

    async def work(ctx: Context) -> list[str]:
        ctx.emit(TEXT, record=True)
        ctx.send("own", [TEXT])
        sent = await ctx.receive("outside", str)
        answer = await ctx.ask(TEXT)
        default = await ctx.ask("Late?", name="late", timeout_seconds=10, default=TEXT)
        return [sent, answer, default]

    async def received(ctx: Context) -> str:
        return (await ctx.receive("own", list[str]))[0]

    graph = row(Text, ("work", work, "texts"), ("received", received, "text"), ("asked", ask(lambda: TEXT), "text"))
    clock = FakeClock()
    async with Runner(clock=clock) as runner:
        await runner.start(graph, run_id="r").result()
        await runner.send("r", "outside", TEXT)
        assert [wait.question for wait in (await runner.resume("r", graph).result()).waits] == [STRUCK]
        await (await runner.answer("r", TEXT, graph)).result()
        clock.move(10)
        result = await runner.resume("r", graph).result()
        assert (result.state.texts, result.state.text) == ([STRUCK, STRUCK, STRUCK], STRUCK)
        assert [wait.question for wait in result.waits] == [STRUCK]


async def test_a_branch_and_a_run_after_another_can_be_given_them() -> None:
    """The update of a branch, and the fields that replace those carried over."""
    graph = alone(Text, lambda: ["done"], "texts")
    async with Runner() as runner:
        await runner.start(graph, run_id="r").result()
        assert (await runner.branch("r", graph, 1, update={"text": TEXT}).result()).state.text == STRUCK
        assert (await runner.start(graph, {"text": TEXT}, after="r").result()).state.text == STRUCK


def test_a_value_without_them_is_left_alone() -> None:
    """It stays the very object, whatever it is made of."""
    for kind, _, kept in TYPES.values():
        assert utf8_value(kept) is kept, kind
    circle: list[Any] = [TEXT]
    circle.append(circle)
    assert utf8_value(circle) is circle
