"""The recorded model: called once, replayed forever, with a readable file free of secrets."""

import asyncio
import errno
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import Agent
from graphengine.errors import (
    AnswerRefused,
    BadRequest,
    ContextFull,
    ModelError,
    ModelOverloaded,
    NotAuthenticated,
    RateLimited,
)
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


def document(file: Path) -> Any:
    """Return the content of a file."""
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a recording."""
    return tmp_path / "answers.json"


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


async def test_the_file_is_for_people(file: Path) -> None:
    """Texts are split into lines, not escaped, and without defaults."""
    await RecordedModel(file, ScriptedModel([WHOLE])).answer(asks("one\ntwo", system="Be brief."))
    text = file.read_text(encoding="utf-8")
    assert "Grüße" in text
    assert text.endswith("}\n")
    assert document(file)["exchanges"][0]["request"] == {
        "agent": "writer",
        "system": "Be brief.",
        "messages": [{"role": "user", "text": ["one", "two"]}],
    }
    assert document(file)["exchanges"][0]["response"]["cost_usd"] == 0.25


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
    with pytest.raises(NotRecorded, match="has 2 answers to this request of agent writer, which is now made once more"):
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
    """Concurrent calls, also of models that share a file, are all recorded; the file is the same in any order."""

    async def echo(request: Request) -> str:
        await asyncio.sleep(0)
        return request.prompt

    models = [RecordedModel(file, ScriptedModel(echo)) for _ in range(2)]
    await asyncio.gather(*(models[number % 2].answer(asks(f"q{number:02}")) for number in range(40)))
    questions = [each["request"]["messages"][0]["text"] for each in document(file)["exchanges"]]
    assert questions == [f"q{number:02}" for number in range(40)]
    first = file.read_text()
    file.unlink()
    await recorded(file, *((f"q{number:02}", f"q{number:02}") for number in reversed(range(40))))
    assert file.read_text() == first
    assert [path.name for path in file.parent.iterdir()] == [file.name]


async def test_turns_are_in_order(file: Path) -> None:
    """Turns are in order by agent, with the beginning of a conversation before its end."""
    model = RecordedModel(file, ScriptedModel(lambda request: "x"))
    turns = [Message(role="user", text="q"), Message(role="assistant", text="a"), Message(role="user", text="b")]
    await model.answer(Request("writer", "", turns))
    await model.answer(Request("writer", "", turns[:1]))
    await model.answer(asks("q", agent="critic"))
    written = [(each["request"]["agent"], len(each["request"]["messages"])) for each in document(file)["exchanges"]]
    assert written == [("critic", 1), ("writer", 1), ("writer", 3)]


@pytest.mark.parametrize("kind", [AnswerRefused, ContextFull])
async def test_errors_of_the_request_itself_are_recorded(file: Path, kind: type[ModelError]) -> None:
    """Errors of the request itself are recorded as the model's answer."""
    with pytest.raises(kind):
        await RecordedModel(file, ScriptedModel([kind("not this", repair="ask less")])).answer(asks("?"))
    with pytest.raises(kind) as caught:
        await RecordedModel(file).answer(asks("?"))
    assert (caught.value.message, caught.value.repair) == ("not this", "ask less")


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


async def test_a_changed_request_shows_what_changed(file: Path) -> None:
    """A changed request is compared with the nearest one, shortened, with a repair."""
    story = "The first sentence stands. " * 30
    await recorded(file, ("Something else entirely.", "x"), (story + "The score was seven.", WHOLE), ("Third.", "y"))
    message = await not_recorded(file, asks(story + "The score was eight.", system="New."))
    assert "has no answer to this request of agent writer" in message
    assert "-   The score was seven." in message
    assert "+   The score was eight." in message
    assert "+   New." in message
    assert message.count("The first sentence stands.") <= 4
    assert f"RecordedModel({str(file)!r}, model='anthropic:claude-x')" in message
    assert "delete the file first" in message
    assert "/dev/null" not in message


async def test_the_nearest_request_is_the_same_agents(file: Path) -> None:
    """The nearest request is the same agent's if there is one; otherwise the change of the agent's name is shown."""
    model = RecordedModel(file, ScriptedModel(["x", "y"]))
    await model.answer(asks("Judge this long text.", agent="critic"))
    await model.answer(asks("Write.", agent="writer"))
    message = await not_recorded(file, asks("Judge this long text.", agent="writer"))
    assert "-   Write." in message
    assert "- agent: critic" in await not_recorded(file, asks("Judge this long text.", agent="judge"))


async def test_a_long_difference_is_shortened(file: Path) -> None:
    """A long difference is shortened to a screen at most."""
    await recorded(file, ("\n".join(f"line {number}" for number in range(500)), "x"))
    message = await not_recorded(file, asks("\n".join(f"row {number}" for number in range(500))))
    assert "lines more" in message
    assert len(message.splitlines()) < 60


async def test_an_empty_recording_shows_the_request(file: Path) -> None:
    """There is nothing to compare with."""
    file.write_text('{"format": "graphengine recording", "version": 1, "exchanges": []}')
    message = await not_recorded(file, asks("Why?"))
    assert "has no answers; the request of agent writer" in message
    assert "Why?" in message


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
    with pytest.raises(AnswerRefused):
        await RecordedModel(file, ScriptedModel([AnswerRefused(everything)])).answer(asks(everything))
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


async def test_requests_that_differ_only_in_a_secret_are_refused(file: Path) -> None:
    """Requests that differ only in a secret are refused, since their answers could be confused."""
    model = RecordedModel(file, ScriptedModel(["one", "again", "two"]))
    await model.answer(asks("whose is sk-aaaaaaaa11?"))
    await model.answer(asks("whose is sk-aaaaaaaa11?"))
    with pytest.raises(NotRecorded, match="differ only in a secret") as caught:
        await model.answer(asks("whose is sk-bbbbbbbb22?"))
    assert "sk-bbbb" not in str(caught.value)


async def test_no_error_shows_a_secret(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error shows the replacement of a secret, never the secret."""
    monkeypatch.setenv("MY_API_KEY", "first-value")
    await recorded(file, ("a", "x"))
    message = await not_recorded(file, asks("b first-value sk-abcdefgh99"))
    assert "+   b [secret MY_API_KEY] [secret]" in message
    assert "first-value" not in message
    assert "sk-abc" not in message


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "is damaged: "),
        (b"{", "is damaged: "),
        (b"\xff\xfe", "is damaged: "),
        (b"[]", "is not a recording"),
        (b'{"format": "other"}', "is not a recording"),
        (b'{"format": "graphengine recording", "version": 2}', "is too new: it has format 2, and"),
        (b'{"format": "graphengine recording"}', "version"),
        (b'{"format": "graphengine recording", "version": 1, "exchanges": [{"request": {}}]}', "agent"),
        (
            b'{"format": "graphengine recording", "version": 1, "exchanges": [{"request": {"agent": "a"}}]}',
            "either a response or an error",
        ),
    ],
)
async def test_a_file_that_cannot_be_read_is_an_error(file: Path, body: bytes, problem: str) -> None:
    """The error has the problem and a repair; the file is not overwritten."""
    file.write_bytes(body)
    for model in (RecordedModel(file), RecordedModel(file, ScriptedModel(["x"]))):
        with pytest.raises(BadRecording) as caught:
            await model.answer(asks("?"))
        assert problem in str(caught.value)
        assert str(file) in str(caught.value)
        assert "repair: " in str(caught.value)
    assert file.read_bytes() == body


async def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """The error explains how to record one; a folder is not accepted."""
    with pytest.raises(BadRecording, match=r"there is no file .*none\.json(?s:.)*record one, with RecordedModel"):
        await model_of(f"recorded:{tmp_path / 'none.json'}").answer(asks("?"))
    with pytest.raises(BadRecording, match=r"cannot be read: Is a directory"):
        await RecordedModel(tmp_path, ScriptedModel(["x"])).answer(asks("?"))


async def test_a_folder_that_cannot_be_written_is_an_error_before_any_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that cannot be written is an error before any call; a missing one is made."""

    def refused(*given: object, **named: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / "file").write_text("")
    costly = Costly()
    with monkeypatch.context() as patch:
        patch.setattr("graphengine.models.recording.TemporaryFile", refused)
        for place, problem in (("file/answers.json", "cannot be read"), ("answers.json", "cannot be written: Perm")):
            with pytest.raises(BadRecording, match=problem):
                await RecordedModel(tmp_path / place, costly).answer(asks("?"))
    assert costly.calls == 0
    deep = tmp_path / "a" / "b" / "answers.json"
    await recorded(deep, ("?", "x"))
    assert deep.exists()


async def test_recordings_of_other_processes_are_kept(file: Path) -> None:
    """A recording that another process extended is read again before it is written."""
    mine = RecordedModel(file, ScriptedModel(["a", "b"]))
    await mine.answer(asks("1"))
    await recorded(file, ("2", "theirs"))
    await mine.answer(asks("3"))
    model = RecordedModel(file)
    assert [(await model.answer(asks(text))).content for text in "123"] == ["a", "theirs", "b"]


async def test_the_file_keeps_its_mode_and_a_link_its_place(tmp_path: Path) -> None:
    """Writing replaces the target of the link."""
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    await recorded(real, ("1", "a"))
    real.chmod(0o640)
    link.symlink_to(real)
    await recorded(link, ("2", "b"))
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert len(document(real)["exchanges"]) == 2


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
