"""Secrets in the file of a recorded model, and one that cannot be written; `sessions/recorded.txt` shows the rest."""

import errno
import json
from pathlib import Path

import pytest

from graphengine.models import (
    BadRecording,
    Message,
    NotRecorded,
    RecordedModel,
    Request,
    Response,
    ScriptedModel,
    ToolCall,
    ToolSpec,
)


def asks(text: str) -> Request:
    """Return a request with one question."""
    return Request("writer", "", [Message(role="user", text=text)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a recording."""
    return tmp_path / "answers.jsonl"


async def recorded(file: Path, question: str) -> None:
    """Record a question."""
    await RecordedModel(file, ScriptedModel(["ok"])).answer(asks(question))


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
    with pytest.raises(BadRecording, match=r"answers\.jsonl cannot be written: Permission denied"):
        await recorded(deep, "!")
