"""What is shown of a run that front ends follow: texts by visits, answers that do not count, and what they have."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Runner, ScriptedModel, value
from graphengine.reducers import append
from graphengine.runner.ids import OwnId
from graphengine.serve.service.ag_ui_door import changes
from graphengine.serve.service.front_end import Thread
from graphengine.serve.service.shown import NOTHING, Called, Dropped, Ended, Have, Returned, Text
from tests.serve.service.client import service_of

pytest.importorskip("ag_ui.core")


class Draft(BaseModel):
    question: str
    answer: str = ""
    rounds: Annotated[list[int], append] = []


def counted(rounds: list[int]) -> int:
    """Return how many rounds there were."""
    return len(rounds)


def loop(**more: Any) -> Graph[Draft]:
    """Return a graph that asks the same question twice."""
    graph = Graph("loop", Draft, result="answer")
    graph.add_node("write", Agent("writer", prompt="{question}", **more), writes="answer")
    graph.add_node("count", counted, writes="rounds", thread=False)
    graph.add_path(START, "write", "count")
    graph.add_edge("count", END, when=value("rounds[-1]") >= 1)
    graph.add_edge("count", "write")
    return graph


def shown(events: list[Any]) -> dict[str, str]:
    """Return the texts that a front end has after these events."""
    texts: dict[str, str] = {}
    for each in events:
        if isinstance(each, Text):
            texts[each.id] = texts.get(each.id, "") + each.piece
        elif isinstance(each, Dropped):
            del texts[each.id]
    return texts


async def test_two_visits_that_ask_the_same_have_two_texts() -> None:
    """The text of each visit is one of its own, although the recorded call has the same key."""
    async with Runner(models=ScriptedModel(["One.", "Two."])) as runner:
        graph = loop()
        thread = Thread(service_of(runner, graph), "loop", "t")
        await runner.start(graph, {"question": "?"}, run_id=OwnId(thread.run_id)).result()
        assert list(shown(list(await thread.recorded())).values()) == ["One.", "Two."]


async def test_an_answer_that_was_sent_back_does_not_count() -> None:
    """A check refuses the first answer: whoever reads the run later gets the second one only."""

    def check(answer: str) -> None:
        if answer == "Bad.":
            raise ValueError("better")

    async with Runner(models=ScriptedModel(["Bad.", "Good.", "Good."])) as runner:
        graph = loop(check=check, output_retries=1)
        thread = Thread(service_of(runner, graph), "loop", "t")
        run = runner.start(graph, {"question": "?"}, run_id=OwnId(thread.run_id))
        live = [each async for each in thread.events(0, NOTHING)]
        await run.result()
        assert isinstance(live[-1], Ended)
        for events in (live, list(await thread.recorded())):
            assert list(shown(events).values()) == ["Good.", "Good."]
            assert sum(isinstance(each, Dropped) for each in events) == 1


async def test_a_front_end_gets_what_it_lacks() -> None:
    """The rest of a text, or all of it in place of another one; what it has of calls is not called again."""
    async with Runner(models=ScriptedModel(["One.", "Two."])) as runner:
        graph = loop()
        thread = Thread(service_of(runner, graph), "loop", "t")
        await runner.start(graph, {"question": "?"}, run_id=OwnId(thread.run_id)).result()
        first, second = shown(list(await thread.recorded()))
        have = Have({first: "On", second: "Three"})
        events = [each async for each in thread.events(0, have)]
        found = [each for each in events if isinstance(each, Text | Dropped | Called | Returned)]
        assert found == [Text(first, "e."), Dropped(second), Text(second, "Two.")]


@pytest.mark.parametrize(
    ("before", "now", "patch"),
    [
        ({"a": 1}, {"a": 2, "b": None}, ["replace /a", "add /b"]),
        ({"a/b": {"~": [1]}}, {"a/b": {"~": [1, {"x": 2}]}}, ["add /a~1b/~0/-"]),
        ({"a": [1, 2], "b": 0}, {"a": [2], "b": False}, ["replace /a", "replace /b"]),
        ({"a": {"x": 1}, "c": 0}, {"a": [1]}, ["remove /c", "replace /a"]),
    ],
)
def test_a_patch_leads_from_one_state_to_the_other(before: Any, now: Any, patch: list[str]) -> None:
    """Keys are escaped as RFC 6901 says; a list grows at its end, or is replaced."""
    found = list(changes(before, now, ""))
    assert [f"{each['op']} {each['path']}" for each in found] == patch
