"""The recorded model: called once, replayed forever, with a file free of secrets."""

import asyncio
import errno
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import Agent
from graphengine.models import (
    BadRecording,
    Closes,
    KnowsPrices,
    Message,
    NotRecorded,
    RecordedModel,
    Request,
    Response,
    ScriptedModel,
    ToolCall,
    ToolSpec,
    model_of,
)
from graphengine.models.errors import BadRequest, ModelOverloaded, NotAuthenticated, RateLimited
from graphengine.models.settings import Settings

WHOLE = Response(
    "Grüße,\nzweite Zeile",
    model="anthropic:claude-x",
    input_tokens=100,
    cache_read_tokens=60,
    cache_write_tokens=10,
    output_tokens=20,
    reasoning_tokens=5,
    cost_usd=0.25,
    native={"provider": "anthropic", "content": [{"type": "text", "signature": "abc"}]},
)


class Review(BaseModel):
    score: int


class Costly:
    """A model that returns the number of its call, at a cost."""

    name = "costly:1"

    def __init__(self) -> None:
        self.calls = 0
        self.closed = False

    async def answer(self, request: Request) -> Response:
        self.calls += 1
        return Response(f"answer {self.calls}", cost_usd=1.0)

    async def knows_price(self) -> bool:
        return False

    async def close(self) -> None:
        self.closed = True


def asks(text: str, agent: str = "writer", system: str = "") -> Request:
    """Return a request with one question."""
    return Request(agent, system, [Message(role="user", text=text)])


def lines(file: Path) -> list[Any]:
    """Return the lines of a file."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a recording."""
    return tmp_path / "answers.jsonl"


async def recorded(file: Path, *exchanges: tuple[str, object]) -> None:
    """Record questions and their answers."""
    model = RecordedModel(file, ScriptedModel([answer for _, answer in exchanges]))
    for question, _ in exchanges:
        await model.answer(asks(question))


async def not_recorded(file: Path, request: Request) -> str:
    """Return the error of a request that is not in the file."""
    with pytest.raises(NotRecorded) as caught:
        await RecordedModel(file).answer(request)
    return str(caught.value)


async def test_a_recorded_answer_is_replayed_completely(file: Path) -> None:
    """A replayed answer has its tokens, calls and native form; it is marked as free of cost."""
    live = await RecordedModel(file, ScriptedModel([WHOLE])).answer(asks("hi"))
    assert live == WHOLE
    replayed = await RecordedModel(file).answer(asks("hi"))
    assert (replayed.cost_usd, replayed.offline) == (0.0, True)
    for name in ("content", "model", "input_tokens", "cache_read_tokens", "cache_write_tokens", "native", "stop"):
        assert getattr(replayed, name) == getattr(WHOLE, name), name
    assert (replayed.output_tokens, replayed.reasoning_tokens) == (20, 5)


async def test_the_file_has_one_line_for_each_answer(file: Path) -> None:
    """Texts are not escaped, and empty values are left out."""
    await RecordedModel(file, ScriptedModel([WHOLE])).answer(asks("one\ntwo", system="Be brief."))
    assert "Grüße" in file.read_text(encoding="utf-8")
    [line] = lines(file)
    assert line["request"] == {
        "agent": "writer",
        "system": "Be brief.",
        "messages": [{"role": "user", "text": "one\ntwo"}],
    }
    assert line["response"]["cost_usd"] == 0.25


async def test_a_conversation_with_tools_is_replayed(file: Path) -> None:
    """Calls keep their ids, and later requests refer to them."""

    async def talk(model: RecordedModel) -> list[Response]:
        tools = [ToolSpec("add", "Adds.", {"type": "object"})]
        first = await model.answer(Request("writer", "s", [Message(role="user", text="2+3?")], tools=tools))
        turns = [
            Message(role="user", text="2+3?"),
            Message(role="assistant", calls=first.calls, native=first.native, tokens=7, agent="writer"),
            Message(role="tool", call_id=first.calls[0].id, text="5"),
        ]
        return [first, await model.answer(Request("writer", "s", turns, tools=tools))]

    call = ToolCall(id="toolu_9", name="add", arguments='{"a": 2}')
    live = await talk(RecordedModel(file, ScriptedModel([call, "five"])))
    again = await talk(RecordedModel(file))
    assert [response.calls for response in again] == [response.calls for response in live] == [(call,), ()]
    assert [(response.content, response.stop) for response in again] == [("", "tools"), ("five", "end")]


async def test_fields_that_are_not_sent_to_a_model_do_not_matter(file: Path) -> None:
    """Fields not sent to a model do not matter, nor do native forms and token counts, which providers define."""
    message = Message(role="assistant", text="a", tokens=5, native={"provider": "x"}, agent="b")
    await RecordedModel(file, ScriptedModel(["ok"])).answer(
        Request("writer", "", [message], settings=Settings(cache=True))
    )
    plain = Request("writer", "", [Message(role="assistant", text="a")], on_text=lambda text: None)
    assert (await RecordedModel(file).answer(plain)).content == "ok"


@pytest.mark.parametrize(
    "changed",
    [
        {"agent": "critic"},
        {"system": "t"},
        {"messages": [Message(role="summary", text="hi")]},
        {"messages": [Message(role="user", text="hi!")]},
        {"schema": {"type": "object"}},
        {"tools": [ToolSpec("add", "", {})]},
        {"settings": Settings(max_tokens=5)},
        {"settings": Settings(temperature=0.5)},
        {"settings": Settings(effort="low")},
        {"settings": Settings(thinking=False)},
        {"settings": Settings(stop=["\n"], extra={"verbosity": "low"})},
    ],
    ids=str,
)
async def test_all_fields_that_are_sent_to_a_model_matter(file: Path, changed: dict[str, Any]) -> None:
    """Another agent, instructions, messages, schema, tools or settings make another request."""
    fields: dict[str, Any] = {"agent": "writer", "system": "s", "messages": [Message(role="user", text="hi")]}
    await RecordedModel(file, ScriptedModel(["ok"])).answer(Request(**fields))
    assert (await RecordedModel(file).answer(Request(**fields))).content == "ok"
    await not_recorded(file, Request(**{**fields, **changed}))


async def test_equal_requests_get_their_answers_in_order(file: Path) -> None:
    """Equal requests get their answers in order, counted for each model; one more than recorded is an error."""
    await recorded(file, ("same", "1"), ("other", "x"), ("same", "2"))
    for model in (RecordedModel(file), RecordedModel(file)):
        assert [(await model.answer(asks(text))).content for text in ("same", "same", "other")] == ["1", "2", "x"]
    model = RecordedModel(file)
    for _ in range(2):
        await model.answer(asks("same"))
    with pytest.raises(NotRecorded, match="has no answer left to this request of agent writer"):
        await model.answer(asks("same"))


async def test_the_model_is_called_only_for_missing_requests(file: Path) -> None:
    """The file is written after each answer."""
    await recorded(file, ("old", "was there"))
    costly = Costly()
    model = RecordedModel(file, costly)
    assert (await model.answer(asks("old"))).content == "was there"
    assert costly.calls == 0
    response = await model.answer(asks("new"))
    assert (response.content, response.cost_usd, response.offline, response.model) == (
        "answer 1",
        1.0,
        False,
        "costly:1",
    )
    assert (await RecordedModel(file).answer(asks("new"))).model == "costly:1"


async def test_concurrent_calls_are_all_recorded(file: Path) -> None:
    """Concurrent calls, also of models that share a file, are all recorded."""

    async def echo(request: Request) -> str:
        await asyncio.sleep(0)
        return request.prompt

    models = [RecordedModel(file, ScriptedModel(echo)) for _ in range(2)]
    await asyncio.gather(*(models[number % 2].answer(asks(f"q{number:02}")) for number in range(40)))
    questions = sorted(line["request"]["messages"][0]["text"] for line in lines(file))
    assert questions == [f"q{number:02}" for number in range(40)]
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("kind", [RateLimited, ModelOverloaded, NotAuthenticated, BadRequest, KeyError])
async def test_transient_errors_are_not_recorded(file: Path, kind: type[Exception]) -> None:
    """The next attempt calls the model, and records its answer as the first."""
    model = RecordedModel(file, ScriptedModel([kind("x"), "fine"]))
    with pytest.raises(kind):
        await model.answer(asks("?"))
    assert not file.exists()
    await model.answer(asks("?"))
    assert (await RecordedModel(file).answer(asks("?"))).content == "fine"


async def test_refusals_are_answers(file: Path) -> None:
    """They are replayed with their explanation."""
    await recorded(file, ("?", Response("", stop="refused", why="policy")))
    response = await RecordedModel(file).answer(asks("?"))
    assert (response.stop, response.why) == ("refused", "policy")


async def test_a_replay_streams(file: Path) -> None:
    """A replay streams as the answer did."""
    await recorded(file, ("?", "some words\nmore"))
    received: list[str] = []
    await RecordedModel(file).answer(Request("writer", "", [Message(role="user", text="?")], on_text=received.append))
    assert len(received) == 3
    assert "".join(received) == "some words\nmore"


async def test_a_lone_surrogate_survives(file: Path) -> None:
    """UTF-8 cannot encode it, so it is escaped."""
    await RecordedModel(file, ScriptedModel(["ok"])).answer(Request("writer", "half \ud83d", []))
    assert "half \\ud83d" in file.read_text(encoding="utf-8")
    assert (await RecordedModel(file).answer(Request("writer", "half \ud83d", []))).content == "ok"


async def test_a_request_that_is_not_in_the_file_is_shown(file: Path) -> None:
    """The error has the file, the request and the repair."""
    await recorded(file, ("The score was seven.", WHOLE))
    message = await not_recorded(file, asks("The score was eight.", system="New."))
    assert f"{file} has no answer left to this request of agent writer" in message
    assert "system: New." in message
    assert "user: The score was eight." in message
    assert f"RecordedModel({str(file)!r}, model=" in message


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
    await RecordedModel(file, ScriptedModel(["ok"])).answer(asks("with first-value"))
    monkeypatch.setenv("MY_API_KEY", "second-value")
    assert (await RecordedModel(file).answer(asks("with second-value"))).content == "ok"


async def test_a_word_that_is_a_secret_only_here_does_not_hinder(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test database's password may be a word in a prompt."""
    await recorded(file, ("a database of postgres", "ok"))
    monkeypatch.setenv("TEST_DB_PASSWORD", "postgres")
    assert (await RecordedModel(file).answer(asks("a database of postgres"))).content == "ok"


async def test_no_error_shows_a_secret(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error shows the replacement of a secret, never the secret."""
    monkeypatch.setenv("MY_API_KEY", "first-value")
    await recorded(file, ("a", "x"))
    message = await not_recorded(file, asks("b first-value sk-abcdefgh99"))
    assert "user: b [secret MY_API_KEY] [secret]" in message
    assert "first-value" not in message
    assert "sk-abc" not in message


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"{", "Expecting property name"),
        (b'{"\xff', "decode"),
        (b"[]", "dictionary"),
        (b'{"request": {}}', "response"),
        (b'{"request": {}, "response": {"content": "x", "stop": "odd"}}', "stop"),
    ],
)
async def test_a_damaged_line_is_an_error(file: Path, body: bytes, problem: str) -> None:
    """The error has the line, the problem and a repair; the file is not overwritten."""
    await recorded(file, ("whole", "x"))
    body = file.read_bytes() + body
    file.write_bytes(body)
    for model in (RecordedModel(file), RecordedModel(file, ScriptedModel(["x"]))):
        with pytest.raises(BadRecording, match="is no recorded answer") as caught:
            await model.answer(asks("?"))
        assert f"line 2 of {file}" in str(caught.value)
        assert problem in str(caught.value)
        assert "repair: " in str(caught.value)
    assert file.read_bytes() == body


async def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """The error explains how to record one; a folder is not accepted."""
    with pytest.raises(BadRecording, match=r"there is no file .*none\.json(?s:.)*record it with RecordedModel"):
        await model_of(f"recorded:{tmp_path / 'none.json'}").answer(asks("?"))
    with pytest.raises(BadRecording, match=r"cannot be read: Is a directory"):
        await RecordedModel(tmp_path, ScriptedModel(["x"])).answer(asks("?"))


async def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the file; a missing folder is made."""

    def refused(*given: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    deep = tmp_path / "a" / "b" / "answers.jsonl"
    await recorded(deep, ("?", "x"))
    assert deep.exists()
    monkeypatch.setattr("graphengine.models.recorded.write_file", refused)
    with pytest.raises(BadRecording, match=r"answers\.jsonl cannot be written: Permission denied"):
        await recorded(deep, ("!", "x"))


async def test_an_agent_is_replayed(file: Path) -> None:
    """An agent is replayed by the name of the file, with answers of its type."""
    critic = Agent("critic", prompt="Judge {text}", output=Review)
    await critic.but(model=RecordedModel(file, ScriptedModel([Review(score=7)]))).run(text="a")
    assert await critic.but(model=RecordedModel(file)).run(text="a") == Review(score=7)


async def test_the_underlying_model_is_closed_and_asked_for_its_price() -> None:
    """A replay costs nothing, and its price is known."""
    costly = Costly()
    model, replay = RecordedModel("x.json", costly), RecordedModel("x.json")
    assert isinstance(model, Closes)
    assert isinstance(model, KnowsPrices)
    assert (await model.knows_price(), await replay.knows_price()) == (False, True)
    await model.close()
    await replay.close()
    assert costly.closed
