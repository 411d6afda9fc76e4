"""Media in states, prompts, tools and memories of agents."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from graphengine import Agent, CompileError, Graph, Media, Runner, ScriptedModel, Window, tool
from graphengine.agents.prompts import as_text, block
from graphengine.agents.tools import ToolOutcome
from graphengine.errors import DefinitionError
from graphengine.graph.question import fill_question
from graphengine.models import Message, NotRecorded, RecordedModel, Request
from graphengine.models.scripted import calls
from graphengine.reducers import extend
from tests.agents.run_kits import Stuck, paid
from tests.kit.runs import alone

PHOTO = Media(data=b"\x89PNG\r\n\x1a\n", name="photo.png")
REPORT = Media(data=b"%PDF-1.7")
MEGABYTE = 1_000_000


class Desk(BaseModel):
    """A state with media."""

    task: str = "Describe it."
    picture: Media | None = None
    pages: list[Media] = []
    answer: str = ""
    messages: Annotated[list[Message], extend] = []


class Scanner(BaseModel):
    """A state with bytes."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    scan: bytes = b""
    answer: str = ""


class Shot(BaseModel):
    """A result of a tool with a picture, and with a field that only the program reads."""

    note: str = "sharp"
    camera: str = Field(default="serial number 7", exclude=True)
    picture: Media


def graph_of(agent: Any, **options: Any) -> Graph[Desk]:
    """Return a graph of one node."""
    return alone(Desk, agent, "answer", name="desk", node="look", **options)


async def asked(agent: Agent[Any], **inputs: object) -> Request:
    """Return the request of an agent that runs alone."""
    model = ScriptedModel(["ok"])
    await agent.but(model=model).run(**inputs)
    return model.requests[0]


class TestPrompts:
    """What a question shows."""

    async def test_a_path_shows_a_picture(self) -> None:
        """A mark replaces it, and the picture goes with the message."""
        agent = Agent("eye", prompt="Describe {picture}, not {pages}. {none}")
        request = await asked(agent, picture=PHOTO, pages=[REPORT, PHOTO], none=None)
        message = request.messages[0]
        assert message.text == "Describe [media 1: photo.png], not [media 2: application/pdf] [media 1: photo.png]. "
        assert message.media == (PHOTO, REPORT)

    async def test_a_function_returns_texts_and_media(self) -> None:
        """A function can return texts and media in a list; text alone stays text."""
        agent = Agent("eye", prompt=lambda picture: ["Describe ", picture, "."])
        message = (await asked(agent, picture=PHOTO)).messages[0]
        assert (message.text, message.media) == ("Describe [media 1: photo.png].", (PHOTO,))
        with pytest.raises(DefinitionError, match="prompt function of agent 'eye' returned list") as caught:
            await asked(agent.but(prompt=lambda picture: [picture, 3]), picture=PHOTO)
        assert "a list of texts and media" in caught.value.repair

    async def test_an_agent_without_a_prompt_shows_its_inputs(self) -> None:
        """An agent without a prompt shows its inputs as they were given."""
        message = (await asked(Agent("eye"), photo=PHOTO, task="Describe it.")).messages[0]
        assert message.text == "[media 1: photo.png]\n\nDescribe it."
        assert message.media == (PHOTO,)

    async def test_media_inside_other_values_are_shown(self) -> None:
        """Their marks stand in the JSON of the value, and each medium is sent once."""
        boxes = [{"picture": PHOTO, "number": 1}, {"pages": [PHOTO]}]
        message = (await asked(Agent("eye", prompt="{boxes}"), boxes=boxes)).messages[0]
        assert json.loads(message.text.removeprefix("<boxes>").removesuffix("</boxes>")) == [
            {"picture": "[media 1: photo.png]", "number": 1},
            {"pages": ["[media 1: photo.png]"]},
        ]
        assert message.media == (PHOTO,)

    async def test_media_that_would_be_lost_are_refused(self) -> None:
        """Media are refused in instructions, also inside other values, and in a block that a function writes."""
        with pytest.raises(DefinitionError, match="of type 'dict' that contains media"):
            await asked(Agent("eye", system="{box}", prompt="Go."), box={"picture": PHOTO})
        with pytest.raises(DefinitionError, match="cannot contain media"):
            await asked(Agent("eye", system="{picture}", prompt="Go."), picture=PHOTO)
        with pytest.raises(DefinitionError, match="return a list of texts and media"):
            block("picture", PHOTO)

    def test_bytes_are_refused_with_media_as_a_repair(self) -> None:
        """A field of bytes does not state what it holds."""
        with pytest.raises(CompileError) as caught:
            alone(Scanner, Agent("eye", prompt="{scan}"), "answer").compile()
        assert "Media" in caught.value.problems[0].repair
        with pytest.raises(DefinitionError) as other:
            block("scan", b"x")
        assert "Media(data=…)" in other.value.repair

    def test_people_see_a_description(self) -> None:
        """People see a medium's description in a question, and where a value is shown as text."""
        assert fill_question("Is {picture} right?", {"picture": PHOTO}) == "Is [photo.png, 8 bytes] right?"
        assert as_text([PHOTO, REPORT]) == "[photo.png, 8 bytes] [application/pdf, 8 bytes]"


class TestTools:
    """What results show."""

    @pytest.mark.parametrize(
        ("result", "text"),
        [
            (PHOTO, "[media 1: photo.png]"),
            (["Now: ", PHOTO], "Now: [media 1: photo.png]"),
            (ToolOutcome("It is [media 1: photo.png].", media=[PHOTO]), "It is [media 1: photo.png]."),
            ({"shots": [PHOTO], "of": 3}, '{"shots":["[media 1: photo.png]"],"of":3}'),
            (Shot(picture=PHOTO), '{"note":"sharp","picture":"[media 1: photo.png]"}'),
        ],
    )
    async def test_a_tool_returns_media(self, result: object, text: str) -> None:
        """Alone, in a list with texts, in an outcome, or inside another value, whose excluded fields stay excluded."""
        agent = Agent("eye", prompt="{task}", tools=[tool(lambda: result, name="shoot")])
        model = ScriptedModel([calls(("shoot", {})), "A boat."])
        await agent.but(model=model).run(task="Look.")
        message = model.requests[1].messages[-1]
        assert (message.role, message.text, message.media) == ("tool", text, (PHOTO,))


class TestRecords:
    """What is recorded."""

    async def test_a_resume_shows_the_same_media(self, tmp_path: Path) -> None:
        """Those of a question that a function made, and of a recorded result of a tool."""
        made: list[str] = []

        def ask(task: str) -> list[str | Media]:
            made.append(task)
            return [f"{task} {len(made)} ", Media(data=f"%PDF-{len(made)}".encode())]

        def shoot() -> Media:
            return PHOTO

        agent = Agent("eye", prompt=ask, tools=[shoot])
        stuck = Stuck([paid("", ("shoot", {}))], at=2)
        async with Runner(tmp_path / "runs.db", models={"eye": stuck}) as runner:
            run = runner.start(graph_of(agent), Desk())
            await stuck.reached.wait()
        model = ScriptedModel([paid("A boat.")])
        async with Runner(tmp_path / "runs.db", models={"eye": model}) as runner:
            assert (await runner.resume(run.id, graph_of(agent)).result()).state.answer == "A boat."
        question, _, result = model.requests[0].messages
        assert (question.text, question.media[0].content) == ("Describe it. 1 [media 1: application/pdf]", b"%PDF-1")
        assert result.media == (PHOTO,)

    async def test_a_store_keeps_a_picture_once(self, tmp_path: Path) -> None:
        """A picture in the state, in a memory, or in several runs is stored once; the log grows by a reference."""
        large = Media(data=b"\x89PNG\r\n\x1a\n" + os.urandom(MEGABYTE))
        agent = Agent("eye", prompt="{task} {picture}", messages="messages")
        graph = graph_of(agent)
        model = ScriptedModel(lambda request: "A boat.")
        async with Runner(tmp_path / "runs.db", models={"eye": model}) as runner:
            result = await runner.start(graph, Desk(picture=large)).result()
            for _ in range(4):
                result = await runner.start(graph, {"task": "Again."}, after=result.run_id).result()
        assert [message.media for message in result.state.messages] == [(large,), ()] * 5
        files = sum(file.stat().st_size for file in tmp_path.iterdir())
        assert files < 2 * len(large.data)
        assert len(large.data) == len(base64.b64encode(large.content))

    async def test_a_window_counts_pictures(self) -> None:
        """A few of them fill it, however short the texts are."""
        agent = Agent("eye", prompt="{task} {picture}", messages="messages", window=Window(2000, keep=1))
        model = ScriptedModel(["one", "summary", "two"])
        answer = await agent.but(model=model).answer(task="a", picture=PHOTO)
        await agent.but(model=model).answer(task="b", picture=PHOTO, messages=answer.messages)
        assert "[media 1: photo.png]" in model.requests[1].prompt

    async def test_a_recording_has_the_digest_of_a_picture(self, tmp_path: Path) -> None:
        """Another picture is another request."""
        file = tmp_path / "eye.json"
        large = Media(data=b"%PDF-" + bytes(MEGABYTE), name="a.pdf")
        agent = Agent("eye", prompt="{task} {picture}")
        await agent.but(model=RecordedModel(file, ScriptedModel(["ok"]))).run(task="a", picture=large)
        assert file.stat().st_size < 2000
        assert await agent.but(model=RecordedModel(file)).run(task="a", picture=large) == "ok"
        with pytest.raises(NotRecorded):
            await agent.but(model=RecordedModel(file)).run(task="a", picture=Media(data=b"%PDF-2", name="a.pdf"))
