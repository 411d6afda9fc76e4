"""The scripted model: its answers, and its strictness."""

import asyncio
from enum import Enum, IntEnum, StrEnum

import pytest
from pydantic import BaseModel

from graphengine.errors import DefinitionError, GraphEngineError
from graphengine.models import (
    Message,
    OffScript,
    Request,
    Response,
    ScriptedModel,
    ToolCall,
    ToolSpec,
    calls,
)
from graphengine.models.errors import RateLimited


class Kind(str, Enum):  # noqa: UP042 - what many programs have; it formats as its name
    refund = "money back"
    exchange = "another one"


class StrKind(StrEnum):
    credit = "a credit"


class Number(IntEnum):
    one = 1


class Review(BaseModel):
    score: int
    by: str | None = None


def asks(text: str, agent: str = "writer", **more: object) -> Request:
    """Return a request with one question."""
    return Request(agent, "", [Message(role="user", text=text)], **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "content"),
    [
        ("text", "text"),
        ('{"a"', '{"a"'),
        ("half \ud800", "half \ud800"),
        (7, "7"),
        (None, "null"),
        ({"score": 8, "of": [1.5, True]}, '{"score":8,"of":[1.5,true]}'),
        ([], "[]"),
        (Review(score=9), '{"score":9,"by":null}'),
        ([Review(score=9)], '[{"score":9,"by":null}]'),
        (float("inf"), "Infinity"),
        (Kind.refund, "money back"),
        (StrKind.credit, "a credit"),
        (Number.one, "1"),
        ([Kind.refund, {Kind.refund: Number.one}], '["money back",{"money back":1}]'),
        (Response(Kind.exchange, cost_usd=0.0, offline=True), "another one"),
    ],
)
async def test_texts_are_returned_unchanged_and_values_as_json_text(given: object, content: str) -> None:
    """Values become text, as a model returns; it is not a language model and costs nothing."""
    response = await ScriptedModel([given]).answer(asks("?"))
    assert response == Response(content, cost_usd=0.0, offline=True)
    assert f"{response.content}" == content


async def test_tool_calls_are_a_turn_of_tools() -> None:
    """One call, a list of them, or `calls` with names and arguments."""
    one = ToolCall(id="a", name="add", arguments="{}")
    two = one.model_copy(update={"id": "b"})
    model = ScriptedModel([one, [one, two], calls(("add", {"ä": 2}), ("now", "{"), text="so")])
    first, second, third = [await model.answer(asks("?")) for _ in range(3)]
    assert (first.calls, first.stop, first.content) == ((one,), "tools", "")
    assert [call.id for call in second.calls] == ["a", "b"]
    assert [(call.name, call.arguments) for call in third.calls] == [("add", '{"ä": 2}'), ("now", "{")]
    assert (third.content, third.stop, third.offline, third.cost_usd) == ("so", "tools", True, 0.0)


async def test_calls_get_ids_that_are_new_in_their_conversation() -> None:
    """Calls get new ids in a conversation, also if another model, or another process's script, began it."""
    before = Message(role="assistant", calls=(ToolCall(id="call_1", name="x"), ToolCall(id="other", name="x")))
    request = Request("writer", "", [Message(role="user", text="?"), before])
    response = await ScriptedModel([calls(("add", {}), ("add", {}))]).answer(request)
    assert [call.id for call in response.calls] == ["call_3", "call_4"]


async def test_exceptions_are_raised_when_their_turn_comes() -> None:
    """A script raises exceptions when their turn comes, both instances and classes."""
    model = ScriptedModel([RateLimited("slow down"), TimeoutError, "late"])
    with pytest.raises(RateLimited, match="slow down"):
        await model.answer(asks("1"))
    with pytest.raises(TimeoutError):
        await model.answer(asks("2"))
    assert (await model.answer(asks("3"))).content == "late"


async def test_a_function_answers_the_request() -> None:
    """Async or not, as one answer or for every call, with any kind of answer."""

    async def later(request: Request) -> Review:
        await asyncio.sleep(0)
        return Review(score=len(request.prompt))

    model = ScriptedModel([later, lambda request: KeyError(request.prompt)])
    assert (await model.answer(asks("four"))).content == '{"score":4,"by":null}'
    with pytest.raises(KeyError, match="five"):
        await model.answer(asks("five"))
    echo = ScriptedModel(lambda request: request.prompt.upper())
    assert [(await echo.answer(asks(text))).content for text in ("a", "b")] == ["A", "B"]
    echo.done()


async def test_answers_can_be_given_for_each_agent() -> None:
    """The order in which agents call does not matter then."""
    with ScriptedModel({"writer": ["w1", "w2"], "critic": lambda request: f"c {request.prompt}"}) as model:
        asked = [("critic", "a"), ("writer", "b"), ("critic", "c"), ("writer", "d")]
        assert [(await model.answer(asks(text, agent))).content for agent, text in asked] == ["c a", "w1", "c c", "w2"]
    assert [(request.agent, request.prompt) for request in model.requests] == asked


async def test_answers_stream_word_by_word() -> None:
    """The pieces add up to the text; without a callback nothing is streamed."""
    received: list[str] = []
    text = "  two words\n\nand  more \n"
    model = ScriptedModel([text, Response(text), {"a": "b c"}, ""])
    await model.answer(asks("?", on_text=received.append))
    assert len(received) > 3
    assert "".join(received) == text
    for _ in range(3):
        await model.answer(asks("?", on_text=received.append))
    assert "".join(received) == text + text + '{"a":"b c"}'


async def test_a_call_without_an_answer_shows_what_was_asked() -> None:
    """Its number, the agent, the instructions, the last message, shortened, its tools and its schema."""
    model = ScriptedModel(["one"])
    await model.answer(asks("first"))
    request = Request(
        "critic",
        "Be brief." + "y" * 1000,
        [Message(role="user", text="old"), Message(role="tool", text="z" * 10_000 + "END")],
        schema={},
        output="Review",
        tools=[ToolSpec("add", "adds", {})],
    )
    with pytest.raises(OffScript) as caught:
        await model.answer(request)
    message = str(caught.value)
    assert "the script has no answer left for call 2 by agent critic; it had one" in message
    assert "system: Be brief.yyy" in message
    assert "tool: zzz" in message
    assert "zEND" in message
    assert "tools: add" in message
    assert "wants: JSON of Review" in message
    assert "messages before: 1" in message
    assert "repair: add an answer to the script" in message
    assert len(message) < 1500
    assert isinstance(caught.value, AssertionError)
    assert isinstance(caught.value, GraphEngineError)
    assert not caught.value.retryable
    assert model.requests[1] is request


async def test_an_agent_that_is_not_in_the_script_is_an_error() -> None:
    """An agent that is not in the script is an error, which suggests the name."""
    with pytest.raises(OffScript, match=r"1 is by agent writer, and the script has no(?s:.)*did you mean 'writter'"):
        await ScriptedModel({"writter": ["x"]}).answer(asks("?"))


async def test_unused_answers_are_listed() -> None:
    """Unused answers are listed by number and agent, shortened."""

    def special(request: Request) -> str:
        pytest.fail("an answer that is left over was asked for")

    model = ScriptedModel({"a": ["x", "y" * 300, ValueError("bad")], "b": [calls(("add", {"n": 1})), special]})
    await model.answer(asks("?", "a"))
    with pytest.raises(OffScript) as caught:
        model.done()
    message = str(caught.value)
    assert "4 answers of the script were not used; 1 call was made" in message
    assert "answer 2 of agent a: 'yyy" in message
    assert "answer 3 of agent a: ValueError('bad')" in message
    assert 'answer 1 of agent b: calls add({"n": 1})' in message
    assert "answer 2 of agent b: a function, special" in message
    assert len(message) < 800
    with pytest.raises(OffScript, match=r"30 answers(?s:.)*and 20 more"):
        ScriptedModel(["x"] * 30).done()


async def test_a_with_block_checks_at_its_end() -> None:
    """A with block checks at its end, unless the block raised: then its own error is raised."""
    with pytest.raises(OffScript, match="1 answer of the script was not"), ScriptedModel(["x"]):
        pass
    with pytest.raises(ZeroDivisionError), ScriptedModel(["x"]):
        raise ZeroDivisionError
    with ScriptedModel(["x"]) as model:
        await model.answer(asks("?"))


async def test_an_unexpected_call_is_reported_even_if_its_error_was_caught() -> None:
    """A fallback in the graph does not hide it."""
    model = ScriptedModel([])
    with pytest.raises(OffScript):
        await model.answer(asks("?"))
    with pytest.raises(OffScript, match="no answer left for call 1 by agent writer"):
        model.done()


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("text", "not a list of answers"),
        ({"writer": "text"}, "the script of agent writer is 'text'"),
        ({"score": 8}, "the script of agent score is 8"),
        (7, "not a list of answers"),
        ([object()], "cannot be an answer"),
        (["ok", {"a": object()}], "answer 2 of a scripted model"),
        ({"critic": [object()]}, "answer 1 of agent critic"),
        ([["\ud800"]], "cannot be an answer"),
    ],
)
def test_an_invalid_script_is_refused_at_construction(script: object, problem: str) -> None:
    """A string is not a list of answers, and an object cannot be an answer."""
    with pytest.raises(DefinitionError) as caught:
        ScriptedModel(script)  # type: ignore[arg-type]
    assert problem in str(caught.value)
