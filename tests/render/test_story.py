"""The story of a run, or of two, as one file."""

import re
import time
from contextlib import suppress

import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Runner, ScriptedModel
from graphengine.models.base import Request, Response
from graphengine.models.scripted import calls
from graphengine.render.story import story_of
from graphengine.runner import RunFailed
from tests.cli.secret_graph import CANARY, made


class Text(BaseModel):
    topic: str = "tides"
    text: str = ""


class Unpriced:
    """A model whose price is not known."""

    name = "unpriced"

    async def answer(self, request: Request) -> Response:
        """Answer."""
        del request
        return Response("The moon pulls.", input_tokens=12, output_tokens=3, cost_usd=None)

    async def knows_price(self) -> bool:
        """Return False."""
        return False


def writing(model: object) -> Graph[Text]:
    """Return a graph whose agent writes, with a check and a tool that fails."""

    def look(place: str) -> str:
        """Look."""
        raise ValueError(f"nothing at <b>{place}</b>")

    def about_the_moon(answer: str) -> None:
        if "moon" not in answer:
            raise ValueError("no word of the moon")

    writer = Agent("writer", prompt="Write on {topic}.", tools=[look], check=about_the_moon, model=model)  # type: ignore[arg-type]
    graph = Graph("writing", Text)
    graph.add_node("write", writer, writes="text")
    graph.add_path(START, "write", END)
    return graph


async def story(runner: Runner, run_id: str, other: str | None = None) -> str:
    """Return the words of a story, as a reader sees them."""
    page = await story_of(runner.store, run_id, other, time.time())
    assert "<script" not in page
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    return " ".join(re.sub(r"<[^>]*>", " ", page.partition("<body>")[2]).split())


async def test_it_has_what_was_rejected_and_what_failed() -> None:
    """The reason of a rejection, the message of a tool, the input, the result, and what was lost."""
    model = ScriptedModel([calls(("look", {"place": "the pier"})), "Water moves.", "The moon pulls."])
    async with Runner() as runner:
        await runner.start(writing(model), run_id="tides").result()
        words = await story(runner, "tides")
    assert "failed: tool look: ValueError: nothing at &lt;b&gt;the pier&lt;/b&gt;" in words
    assert "Rejected and sent back: Your answer cannot be used: no word of the moon" in words
    assert "Input topic tides" in words
    assert "Result text The moon pulls." in words
    assert "Losses 1 answer rejected, 1 tool call failed" in words


async def test_an_unknown_cost_is_unknown() -> None:
    """It is never 0, neither for a call nor in all."""
    async with Runner() as runner:
        await runner.start(writing(Unpriced()), run_id="tides").result()
        words = await story(runner, "tides")
    assert "1 model call, cost unknown" in words
    assert "12 → 3 unknown" in words
    assert "0.0" not in re.sub(r"0\.\d+ s", "", words)


async def test_two_runs_show_where_they_part() -> None:
    """And what the branch began with, and the fields that differ."""
    graph = writing(ScriptedModel(["The moon pulls.", "The full moon pulls more."]))
    async with Runner() as runner:
        await runner.start(graph, run_id="tides").result()
        await runner.branch("tides", graph, at=1, update={"topic": "spring tides"}, run_id="spring").result()
        words = await story(runner, "tides", "spring")
    assert "They share the steps of tides up to 1. 1 step after that is alike." in words
    assert "B began with topic = spring tides" in words
    assert "text The moon pulls. The full moon pulls more." in words


class Notes(BaseModel):
    by_name: dict[str, str] = {}
    text: str = ""


async def test_names_in_the_state_are_text() -> None:
    """A key is the user's, and the file is made to be sent."""
    graph = Graph("notes", Notes)
    graph.add_node("write", lambda: "done", writes="text")
    graph.add_path(START, "write", END)
    async with Runner() as runner:
        await runner.start(graph, run_id="one").result()
        await runner.branch("one", graph, at=1, update={"by_name": {"<img src=x>": "z"}}, run_id="two").result()
        page = await story_of(runner.store, "one", "two", time.time())
    assert "by_name.&lt;img src=x&gt;" in page
    assert "<img" not in page


async def test_secrets_stay_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fields that are declared secret are named only, also where the run failed."""
    async with Runner() as runner:
        with suppress(RunFailed):
            await runner.start(made(), {"token": CANARY, "word": CANARY}, run_id="vault").result()
        page = await story_of(runner.store, "vault", None, time.time())
    assert "s3cr3t" not in page
    assert "<dt>token</dt><dd>secret</dd>" in page
    assert "$secret" not in page
