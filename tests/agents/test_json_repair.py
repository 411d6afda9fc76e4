"""JSON with mistakes: how much work its repair may be, where that is done, and what is logged."""

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import json_repair
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Runner, tool
from graphengine.agents import arguments, json_text, reading
from graphengine.agents.approval import Approval
from graphengine.agents.errors import BadAnswer
from graphengine.models import Response, ScriptedModel, ToolCall
from tests.agents.tool_kits import called
from tests.kit.runs import SOON, alone, over

NASTY = {
    "parentheses": '{"x": ' + "(" * 20_000 + "}",
    "closed": '{"x": ' + "(" * 4_500 + "1" + ")" * 4_500 + "}",
    "brackets": '{"x": ' + "[" * 9_000 + "}",
    "braces": '{"x": ' + "{" * 9_000 + "}",
    "both": '{"x": ' + "({" * 4_500 + "}",
    "keys": '{"a": ' * 3_000 + "}",
    "quotes": '{"x": ' + '"' * 9_000 + "}",
    "other quotes": "{'x': " + "'\"" * 4_500 + "}",
    "curly quotes": "{“x”: " + "“a”,'" * 4_000 + "}",
    "backslashes": '{"x": "' + "\\" * 9_000 + "}",
    "escaped quotes": '{"x": "' + '\\"' * 9_000 + "}",
    "colons": '{"x": ' + ":" * 9_000 + "}",
    "commas": '{"x": ' + "," * 9_000 + "}",
    "comments": '{"x": ' + "/*" * 4_500 + "}",
    "fences": '{"x": "' + "```json\n" * 2_000 + "}",
    "strings in brackets": '{"x": ' + '[("' * 6_000 + "}",
}
ORDINARY = {
    "a comma at the end": json.dumps([{"title": "Tides", "score": 7, "tags": ["sea", "moon"]}] * 80)[:-1] + ",]",
    "single quotes": str([{"title": "Tides", "score": 7.5, "good": True, "none": None}] * 80),
    "keys without quotes": "[" + "{title: 'Tides', score: 7}, " * 80 + "]",
    "one long text": '{"text": "' + "The tide comes in, and it goes out again. " * 60 + '",}',
    "lines in a text": "{'text': '" + "The tide comes in,\\nand it goes out.\\n" * 60 + "'}",
    "deep": "[" * 40 + "1," + "]" * 40,
    "tuples": "{'x': [" + "(1, 2), " * 80 + "]}",
    "a little": "{'x': 1,}",
}


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """Return a function that returns which part of the reads that it may take the last repair has taken."""
    texts: list[json_text.Metered] = []
    make = json_text.metered

    def noting(text: str) -> json_text.Metered:
        texts.append(make(text))
        return texts[-1]

    monkeypatch.setattr(json_text, "metered", noting)

    def share() -> float:
        allowed = 400_000 + 16 * len(texts[-1])
        return (allowed - texts[-1].left[0]) / allowed

    return share


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_a_repair_reads_no_text_often(text: str, strict: bool, used: Callable[[], float]) -> None:  # noqa: FBT001 - a parameter
    """However brackets, quotes and backslashes are nested, the work is bounded by the length."""
    json_text.repair_json(text, strict=strict)
    assert used() <= 1.01


@pytest.mark.parametrize("text", ORDINARY.values(), ids=ORDINARY)
def test_ordinary_mistakes_take_a_part_of_what_is_allowed(text: str, used: Callable[[], float]) -> None:
    """They are repaired, strictly too, with at most half of the work that a repair may be."""
    for strict in (True, False):
        assert json_text.repair_json(text, strict=strict) == json_repair.loads(text, strict=strict)
        assert used() < 0.5
    if text != ORDINARY["tuples"]:  # which are no lists: an answer with them would be a guess
        assert json_text.tolerant(text, ())


@given(st.text(st.sampled_from("{}[]()\"',: \\ab01\n“”#/*`.-t"), max_size=40), st.booleans())
def test_a_repair_finds_what_the_library_finds(text: str, strict: bool) -> None:  # noqa: FBT001 - drawn
    """The limit changes nothing about texts that do not reach it."""
    try:
        expected: Any = json.loads(json.dumps(json_repair.loads(text, skip_json_loads=strict, strict=strict)))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        expected = json_text.NOTHING
    assert json_text.repair_json(text, strict=strict) == expected


@pytest.mark.parametrize(
    "text", ["```" + " " * 200_000 + "x", "~~~" + " \t" * 100_000 + "\n", "```a" + "\n " * 100_000]
)
def test_a_fence_is_looked_for_once(text: str) -> None:
    """Blanks after a fence are not divided in all ways, as a pattern with two repetitions of them would."""
    assert json_text.unfenced(text) == text.strip()


def in_another_thread(function: Callable[..., object], began: list[str]) -> Callable[..., object]:
    """Return a function that calls another one when the event loop has made a turn meanwhile."""
    loop = asyncio.get_running_loop()

    def waits(*args: Any, **kwargs: Any) -> object:
        turned = threading.Event()
        loop.call_soon_threadsafe(turned.set)
        assert turned.wait(SOON), "the event loop is held"
        began.append(threading.current_thread().name)
        return function(*args, **kwargs)

    return waits


@pytest.mark.parametrize("in_run", [False, True])
async def test_an_answer_is_repaired_in_a_thread(monkeypatch: pytest.MonkeyPatch, in_run: bool) -> None:  # noqa: FBT001 - a parameter
    """The event loop goes on meanwhile, in a run and without one."""
    began: list[str] = []
    monkeypatch.setattr(reading, "tolerant", in_another_thread(json_text.tolerant, began))
    agent = Agent("a", prompt="go", output=dict[str, int], model=ScriptedModel(["{'x': 1,}"]))
    if in_run:
        graph = alone(Result, agent, "found", name="g", node="n")
        async with Runner() as runner:
            assert (await runner.start(graph).result()).state.found == {"x": 1}
    else:
        assert await agent.run() == {"x": 1}
    assert began
    assert threading.main_thread().name not in began


class Result(BaseModel):
    found: dict[str, int] = {}
    text: str = ""


async def test_arguments_are_repaired_in_a_thread_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a tool that needs no approval, and of one that does, which reads them several times."""
    began: list[str] = []
    monkeypatch.setattr(arguments, "repair_json", in_another_thread(json_text.repair_json, began))

    def double(n: int) -> int:
        return 2 * n

    async def asked(n: int) -> bool:
        return n < 0

    assert (await called(double, "{'n': 2 ,}")).text == "4"
    checked = tool(double, approve=Approval(when=asked))
    script: list[Any] = [Response("", (ToolCall(id="1", name="double", arguments="{'n': 3 ,}"),)), "done"]
    graph = Graph("g", Result)
    graph.add_node("n", Agent("a", prompt="go", tools=[checked], model=ScriptedModel(script)), writes="text")
    graph.add_path(START, "n", END)
    async with Runner() as runner:
        await runner.start(graph).result()
    assert len(began) == 2
    assert threading.main_thread().name not in began


async def test_an_answer_that_cannot_be_repaired_is_logged_in_a_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    """Its error names what was wrong; the calls inside the library say nothing more."""
    agent = Agent(
        "a", prompt="go", output=dict[str, int], model=ScriptedModel([NASTY["parentheses"]]), output_retries=0
    )
    graph = alone(Result, agent, "found", name="g", node="n")
    async with Runner() as runner:
        await over(runner.start(graph))
    (report,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "its JSON has mistakes" in report.message
    assert len(caplog.text.splitlines()) < 30
    with pytest.raises(BadAnswer) as caught:
        reading.Output(dict[str, int]).read(NASTY["brackets"])
    assert caught.value.__cause__ is None
