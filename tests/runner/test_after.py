"""Runs that begin with the state that another one ended with, over each store: what they share, and what they check."""

import secrets
from typing import Annotated

from pydantic import BaseModel

from graphengine import Graph, Runner, Secret
from graphengine.reducers import extend
from tests.kit.runs import alone

KEY, TOKEN = secrets.token_urlsafe(32), secrets.token_urlsafe(32)


class Entry(BaseModel):
    text: str
    tags: list[str] = []


class Talk(BaseModel):
    said: str = ""
    entries: Annotated[list[Entry], extend] = []
    token: Annotated[str, Secret] = ""


def talking() -> Graph[Talk]:
    """Return a graph that adds what is said to the entries."""

    def note(said: str) -> list[Entry]:
        return [Entry(text=said)]

    return alone(Talk, note, "entries", name="talking", node="note", secret_key=KEY)


def text_of(turn: int) -> str:
    """Return a text of 4 KB that no other turn has."""
    return f"{turn} " + f"word{turn * 7919 % 1000} " * 500


async def talk(runner: Runner, turns: int) -> None:
    """Let runs `r0`, `r1`, … each begin with what the last one ended with."""
    graph = talking()
    await runner.start(graph, Talk(said=text_of(0), token=TOKEN), run_id="r0").result()
    for turn in range(1, turns):
        await runner.start(graph, {"said": text_of(turn)}, run_id=f"r{turn}", after=f"r{turn - 1}").result()


async def test_what_the_next_run_changes_is_not_changed_in_the_one_before(runner: Runner) -> None:
    """Neither what a run begins with nor a caller's result is shared between two runs."""
    await talk(runner, 2)
    first = await runner.start(talking(), {"said": "a"}, run_id="a", after="r1").result()
    first.state.entries[0].text = "changed by the caller"
    second = await runner.start(talking(), {"said": "b"}, run_id="b", after="a").result()
    assert [entry.text for entry in second.state.entries] == [text_of(0), text_of(1), "a", "b"]
    for run_id in ("r1", "a"):
        assert (await runner.state_at(run_id))["entries"][0]["text"] == text_of(0)
