"""Secrets in the file of a recorded model, and one that cannot be written; `sessions/recorded.txt` shows the rest."""

import asyncio
import errno
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, RunFailed, Runner
from graphengine.models import (
    BadRecording,
    Message,
    Model,
    NotRecorded,
    RecordedModel,
    Request,
    Response,
    ScriptedModel,
    ToolCall,
    ToolSpec,
)


def asks(text: str, path: str = "") -> Request:
    """Return a request with one question."""
    return Request("writer", "", [Message(role="user", text=text)], path=path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a recording."""
    return tmp_path / "answers.jsonl"


async def recorded(file: Path, question: str) -> None:
    """Record a question."""
    await RecordedModel(file, ScriptedModel(["ok"])).answer(asks(question))


class Tides(BaseModel):
    """A map over places whose questions are equal."""

    places: list[str] = [f"place {n}" for n in range(6)]
    found: list[str] = []


class Counting:
    """A model whose answers differ, and that answers the calls that are open together in the opposite order."""

    name = "counting"

    def __init__(self) -> None:
        self.answered: dict[str, str] = {}
        self.open: list[asyncio.Event] = []

    async def answer(self, request: Request) -> Response:
        self.open.append(mine := asyncio.Event())
        if len(self.open) == len(Tides().places):
            self.open[-1].set()
        await mine.wait()
        self.open.remove(mine)
        if self.open:
            self.open[-1].set()
        self.answered[request.path] = f"answer {len(self.answered)}"
        return Response(self.answered[request.path])


def tides(node: str = "look") -> Graph[Tides]:
    """Return a graph whose items ask the same."""
    graph = Graph("tides", Tides)
    agent = Agent("looker", prompt="Look.")
    graph.add_node(node, agent, writes="found", each={"place": "places"}, concurrency=6)
    graph.add_path(START, node, END)
    return graph


async def looked(model: Model, graph: Graph[Tides], **more: Any) -> list[str]:
    """Return what the items were answered, in their order."""
    async with Runner(models=model) as runner:
        return (await runner.start(graph, more or None).result()).state.found


async def test_each_item_of_a_map_gets_its_own_answer_again(file: Path) -> None:
    """Equal requests have the path of their node beside them, whichever item asks first."""
    model = Counting()
    found = await looked(RecordedModel(file, model), tides())
    assert found == [f"answer {n}" for n in range(5, -1, -1)]
    assert await looked(RecordedModel(file), tides()) == found
    assert {json.loads(line)["path"] for line in file.read_text().splitlines()} == {f"look[{n}]" for n in range(6)}


async def test_an_item_without_an_answer_takes_none_of_another_item(file: Path) -> None:
    """A map with one item more finds no answer for this item."""
    await looked(RecordedModel(file, Counting()), tides())
    with pytest.raises(RunFailed, match="no unused answer"):
        await looked(RecordedModel(file), tides(), places=[f"place {n}" for n in range(7)])


@pytest.mark.parametrize("order", ["cab", "bc", "abcd", "dabc"])
async def test_an_item_that_moved_gets_its_answer_again(file: Path, order: str) -> None:
    """Its request is its own, at whichever index of the map it stands; only a new item calls the model."""
    recording = RecordedModel(file, ScriptedModel(["about a", "about b", "about c"]))
    for index, place in enumerate("abc"):
        await recording.answer(asks(place, f"look[{index}]"))
    model = ScriptedModel(["about d"])
    replay = RecordedModel(file, model)
    found = [(await replay.answer(asks(place, f"look[{index}]"))).content for index, place in enumerate(order)]
    assert found == [f"about {place}" for place in order]
    assert len(model.requests) == order.count("d")


async def test_answers_without_a_path_are_found_in_order(file: Path) -> None:
    """So they are in recordings of earlier versions, and for a node that was renamed; unknown keys are ignored."""
    await looked(RecordedModel(file, Counting()), tides())
    expected = sorted(f"answer {n}" for n in range(6))
    assert sorted(await looked(RecordedModel(file), tides("renamed"))) == expected
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        line["later"] = line.pop("path")
    file.write_text("\n".join(map(json.dumps, lines)))
    assert sorted(await looked(RecordedModel(file), tides())) == expected


SECRETS = {
    "MY_API_KEY": "zq83-plain-looking",
    "db_password": 'p"w\\d\nsecond line',
    "SOME_TOKEN": "tökén-1234",
    "TINY_SECRET": "on",
}


async def test_secrets_are_never_written(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither secrets of the environment, in any form, nor texts that look like one are written, at any place."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    keys = ["sk-ant-api03-AbCdEf123", "sk-proj-abcdefabcdef", "ghp_0123456789abcdefABCD", "abc.def-123456789"]
    everything = " ".join([*SECRETS.values(), *keys[:3], f"Authorization: Bearer {keys[3]}"])
    arguments = json.dumps({"q": everything})
    call = ToolCall(id="1", name="find", arguments=arguments)
    request = Request(
        "writer",
        everything,
        [Message(role="user", text=everything), Message(role="assistant", calls=(call,))],
        schema={"description": everything, everything: 1},
        tools=[ToolSpec("find", everything, {"default": [everything]})],
    )
    answer = Response(everything, calls=(call,), why=everything, native={everything: [{"text": everything}]})
    live = await RecordedModel(file, ScriptedModel([answer])).answer(request)
    assert live.content == everything
    text = file.read_text(encoding="utf-8")
    for secret in [SECRETS["MY_API_KEY"], SECRETS["SOME_TOKEN"], *keys, "second line", "AbCdEf"]:
        assert secret not in text, secret
    assert "[secret MY_API_KEY]" in text
    assert "[secret db_password]" in text
    replayed = await RecordedModel(file).answer(request)
    assert "[secret SOME_TOKEN] on [secret]" in str(replayed.content)


async def test_another_value_of_a_variable_is_the_same_request(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys change, and the environment of a replay has another one."""
    monkeypatch.setenv("MY_API_KEY", "first-value")
    await recorded(file, "with first-value")
    monkeypatch.setenv("MY_API_KEY", "second-value")
    assert (await RecordedModel(file).answer(asks("with second-value"))).content == "ok"


async def test_a_word_that_is_a_secret_only_here_does_not_hinder(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test database's password may be a word in a prompt."""
    await recorded(file, "a database of postgres")
    monkeypatch.setenv("TEST_DB_PASSWORD", "postgres")
    assert (await RecordedModel(file).answer(asks("a database of postgres"))).content == "ok"


async def test_the_clear_text_finds_answers_when_the_others_are_used_up(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recording can have a request both with a secret hidden and, from an environment without this secret, clear."""
    await recorded(file, "a database of postgres")
    monkeypatch.setenv("TEST_DB_PASSWORD", "postgres")
    await RecordedModel(file.with_name("other"), ScriptedModel(["hidden"])).answer(asks("a database of postgres"))
    file.write_text(file.read_text() + file.with_name("other").read_text())
    replay = RecordedModel(file)
    assert [(await replay.answer(asks("a database of postgres"))).content for _ in range(2)] == ["hidden", "ok"]


async def test_no_error_shows_a_secret(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error shows the replacement of a secret, never the secret."""
    monkeypatch.setenv("MY_API_KEY", "first-value")
    await recorded(file, "a")
    with pytest.raises(NotRecorded) as caught:
        await RecordedModel(file).answer(asks("b first-value sk-abcdefgh99"))
    message = str(caught.value)
    assert "user: b [secret MY_API_KEY] [secret]" in message
    assert "first-value" not in message
    assert "sk-abc" not in message


async def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the file; a missing folder is made."""

    def refused(*given: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    deep = tmp_path / "a" / "b" / "answers.jsonl"
    await recorded(deep, "?")
    assert deep.exists()
    monkeypatch.setattr("graphengine.models.recorded.write_file", refused)
    with pytest.raises(BadRecording, match=r"answers\.jsonl.* cannot be written: Permission denied"):
        await recorded(deep, "!")
