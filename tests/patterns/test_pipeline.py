import pytest
from pydantic import BaseModel

from graphengine import Agent, Node, Retry, RunFailed, Runnable
from graphengine.errors import DefinitionError
from graphengine.patterns import pipeline
from tests.patterns.kits import clerk
from tests.patterns.scripted import play


class Article(BaseModel):
    task: str
    tone: str = "plain"
    points: list[str] = []
    draft: str = ""


def chain(length: int) -> dict[str, Runnable]:
    """Return this many stages, each of which reads the previous one's text."""
    return {f"s{number}": clerk(f"s{number}", "{text}") for number in range(length)}


async def test_each_stage_reads_what_the_one_before_wrote() -> None:
    """The last stage's text is the result."""
    graph = pipeline({"find": clerk("find"), "write": clerk("write", "{task} {text}")})
    played = await play(graph, {"task": "tides"}, {"find": ["facts"], "write": ["a draft"]})
    assert played.output == "a draft"
    assert "<text>facts</text>" in played.requests[1].prompt


async def test_stages_can_write_fields_of_the_callers_state() -> None:
    """Its fields reach the agents; a stage that names no field writes the result."""
    find = Node(Agent("find", prompt="{task}", output=list[str]), writes="points")
    graph = pipeline({"find": find, "write": clerk("write", "{points} {tone}")}, state=Article, result="draft")
    script = {"find": [["ebb"]], "write": ["a draft"]}
    played = await play(graph, {"task": "tides", "tone": "dry"}, script)
    assert (played.state.points, played.output) == (["ebb"], "a draft")
    assert "<tone>dry</tone>" in played.requests[1].prompt


async def test_a_stage_keeps_its_options() -> None:
    """A failing stage is retried, and then its fallback is used."""
    tried: list[str] = []

    def edit(text: str) -> str:
        tried.append(text)
        raise OSError("no editor")

    def unedited(text: str) -> str:
        return text

    node = Node(edit, retry=Retry(attempts=2, initial_seconds=0), fallback=unedited)
    played = await play(pipeline({"write": clerk("write"), "edit": node}), {"task": "t"}, {"write": ["a draft"]})
    assert (played.output, tried) == ("a draft", ["a draft", "a draft"])


async def test_a_stage_that_fails_ends_the_run_at_once() -> None:
    """Earlier results are kept, and no later stage runs."""

    def broken() -> str:
        raise ValueError("no")

    with pytest.raises(RunFailed, match="no") as caught:
        await play(pipeline({"write": clerk("write"), "edit": broken, **chain(1)}), {"task": "t"}, {"write": ["a"]})
    assert caught.value.result.state.text == "a"


async def test_a_pipeline_is_a_stage_of_another() -> None:
    """A pipeline that is a stage works with `inputs` on the text so far."""
    inner = pipeline({"one": clerk("one"), "two": clerk("two", "{text}")})
    graph = pipeline({"first": clerk("first"), "inner": Node(inner, inputs={"task": "text"})})
    played = await play(graph, {"task": "t"}, {"first": ["a"], "one": ["b"], "two": ["c"]})
    assert played.output == "c"
    assert "<task>a</task>" in played.requests[1].prompt


def test_a_pipeline_of_nothing_is_refused() -> None:
    """It is refused when it is built."""
    with pytest.raises(DefinitionError, match="has no stage"):
        pipeline({})
