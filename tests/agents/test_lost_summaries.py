"""Conversations whose older part cannot be summarised: they go on, and say what is left out."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from graphengine import END, START, Agent, Graph, Message, RunFailed, Runner, ScriptedModel, Window, tool
from graphengine.agents.asked import asked_in
from graphengine.models import Response, calls
from graphengine.models.errors import (
    AnswerCut,
    AnswerRefused,
    BadRequest,
    ContextFull,
    NotAuthenticated,
    UnknownModel,
)
from tests.agents.run_kits import Work
from tests.kit.facts import said

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphengine.models.base import Request

LONG = "word " * 150
TURNS = 14
LOST: dict[str, Response | Exception] = {
    "cut": Response("They asked ", stop="cut", output_tokens=300),
    "full": Response("", stop="full"),
    "refused": Response("I", stop="refused"),
    "empty": Response(" \n"),
    "too long": Response("long " * 5000),
    "raises refused": AnswerRefused("not that"),
    "raises cut": AnswerCut("cut"),
    "raises bad": BadRequest("the text is not allowed"),
    "raises full": ContextFull("205000 tokens > 200000 maximum"),
}


def is_summary(request: Request) -> bool:
    """Return whether a request asks for a summary."""
    return "Your summary will replace it" in request.messages[-1].text


def writer(summary: Callable[[Request], Response | Exception]) -> ScriptedModel:
    """Return a model with long answers, and these answers where it is asked for a summary."""

    def answer(request: Request) -> Response:
        if not is_summary(request):
            return Response(LONG, input_tokens=sum(len(each.text) for each in request.messages) // 4, output_tokens=160)
        found = summary(request)
        if isinstance(found, Exception):
            raise found
        return found

    return ScriptedModel(answer)


@pytest.mark.parametrize("on_cut", ["fail", "keep", "continue"])
@pytest.mark.parametrize("lost", LOST)
async def test_a_chat_goes_on_without_a_summary(tmp_path: Path, lost: str, on_cut: str) -> None:
    """Each message is answered, by any process, summaries are not paid each turn, and what is sent fits the window."""
    model = writer(lambda _: LOST[lost])
    agent = Agent("a", model=model, window=Window(1500, keep=4), on_cut=on_cut)  # type: ignore[arg-type]
    for turn in range(TURNS):
        async with Runner(tmp_path / "runs.db") as runner:
            assert await runner.run(agent, chat="c", question=f"question {turn}") == LONG
    asked = [request for request in model.requests if not is_summary(request)]
    assert len(asked) == TURNS
    assert sum(map(is_summary, model.requests)) <= TURNS * (4 if lost == "raises full" else 1) // 3
    assert all(sum(len(each.text) for each in request.messages) < 4 * 1600 for request in asked)
    first = asked[-1].messages[0]
    assert (first.role, "left out here" in first.text or "was cut off here" in first.text) == ("summary", True)


async def test_a_summary_is_asked_for_of_less_where_the_model_has_less_room() -> None:
    """A cheaper model, with a smaller window: the newer messages are in its summary, and it is asked only once more."""

    def small_answer(request: Request) -> Response:
        if len(request.messages[0].text) > 4000:
            raise ContextFull("too long")
        return Response("in short")

    small = ScriptedModel(small_answer)
    model = writer(lambda _: Response(""))
    agent = Agent("a", model=model, window=Window(1500, keep=4, model=small))
    async with Runner() as runner:
        for turn in range(10):
            await runner.run(agent, chat="c", question=f"question {turn}")
    assert "in short" in model.requests[-1].messages[0].text
    assert [len(each.messages[0].text) > 4000 for each in small.requests[:2]] == [True, False]


@pytest.mark.parametrize("error", [UnknownModel("nope"), NotAuthenticated("no key")])
async def test_a_summary_that_can_be_had_later_fails_the_run(tmp_path: Path, error: Exception) -> None:
    """A failure that passes, or that its owner repairs, loses nothing: the message is answered by the same key."""
    broken = [True]
    model = writer(lambda _: error if broken[0] else Response("in short"))
    agent = Agent("a", model=model, window=Window(1500, keep=4))
    async with Runner(tmp_path / "runs.db") as runner:
        done = 0
        with suppress(RunFailed):
            while True:
                await runner.run(agent, chat="c", question=f"question {done}", idempotency_key=f"{done}")
                done += 1
        broken[0] = False
        assert await runner.run(agent, chat="c", question=f"question {done}", idempotency_key=f"{done}") == LONG
    assert "in short" in model.requests[-1].messages[0].text


@pytest.mark.parametrize("answer", [Response("in short"), Response("no", stop="refused"), ContextFull("too long")])
@pytest.mark.parametrize("today", [None, Window(100_000), Window(10, keep=1)])
async def test_what_was_summarised_is_read_from_its_record(
    tmp_path: Path, answer: Response | Exception, today: Window | None
) -> None:
    """A call that rests goes on with the summaries of its turns and no others, whatever the window is now."""

    def look(x: int) -> str:
        """Look."""
        return f"{x} {LONG}"

    def ask(x: int) -> str:
        """Ask."""
        return "asked"

    asked: list[list[Message]] = []

    def script(request: Request) -> Response:
        if is_summary(request):
            if isinstance(answer, Exception):
                raise answer
            return answer
        asked.append(list(request.messages))
        turn = len(asked)
        return calls(("look", {"x": turn})) if turn < 8 else calls(("ask", {"x": 1})) if turn == 8 else Response("end")

    agent = Agent("a", prompt="{task}", tools=[look, tool(ask, approve=True)], messages="messages", turns=20)
    graph, later = (Graph("talk", Work, result="draft") for _ in range(2))
    for each, window in ((graph, Window(800, keep=2)), (later, today)):
        each.add_node("a", agent.but(window=window), writes="draft")
        each.add_path(START, "a", END)
    async with Runner(tmp_path / "runs.db", models={"*": ScriptedModel(script)}) as runner:
        assert (await runner.start(graph, {"task": "go"}, run_id="r").result()).status == "waiting"
        before = [step for step in await runner.history("r") if said(step).get("name") == "summary"]
    async with Runner(tmp_path / "runs.db", models={"*": ScriptedModel(script)}) as runner:
        await runner.answer("r", value=True)
        result = await runner.resume("r", later).result()
        steps = await runner.store.steps("r")
        shown = [each for step in steps for each in await asked_in(runner.store, await runner.store.info("r"), step)]
    assert len(before) > 1
    summaries = [message for message in result.state.messages if message.role == "summary"]
    assert len(summaries) - len(before) in {0, 1}  # the last turn is today's
    texts = [message.text for message in asked[7] if message.role == "summary"]
    assert texts[-1] in [message.text for message in summaries]
    assert len(shown) >= 9
