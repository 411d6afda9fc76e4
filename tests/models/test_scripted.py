"""The scripted model: its answers, and its strictness."""

import pytest
from pydantic import BaseModel

from graphengine.models import (
    Message,
    OffScript,
    Request,
    Response,
    ScriptedModel,
    calls,
)
from graphengine.models.errors import RateLimited


class Review(BaseModel):
    score: int
    by: str | None = None


def asks(text: str, agent: str = "writer", **more: object) -> Request:
    """Return a request with one question."""
    return Request(agent, "", [Message(role="user", text=text)], **more)  # type: ignore[arg-type]


async def test_exceptions_are_raised_when_their_turn_comes() -> None:
    """A script raises exceptions when their turn comes, both instances and classes."""
    model = ScriptedModel([RateLimited("slow down"), TimeoutError, "late"])
    with pytest.raises(RateLimited, match="slow down"):
        await model.answer(asks("1"))
    with pytest.raises(TimeoutError):
        await model.answer(asks("2"))
    assert (await model.answer(asks("3"))).content == "late"


async def test_answers_can_be_given_for_each_agent() -> None:
    """The order in which agents call does not matter then."""
    with ScriptedModel({"writer": ["w1", "w2"], "critic": lambda request: f"c {request.prompt}"}) as model:
        asked = [("critic", "a"), ("writer", "b"), ("critic", "c"), ("writer", "d")]
        assert [(await model.answer(asks(text, agent))).content for agent, text in asked] == ["c a", "w1", "c c", "w2"]
    assert [(request.agent, request.prompt) for request in model.requests] == asked


async def test_a_script_goes_on_behind_the_answers_that_a_conversation_has() -> None:
    """As where a run is resumed; not if it gave one, if there were others, or if the question is a new one."""
    made = calls(("find", {"x": 1}))
    had = [Message(role="user", text="go"), Message(role="assistant", text="", calls=made.calls)]
    told = [*had, Message(role="tool", text="found", call_id="c")]
    first: list[tuple[list[Message], list[object], str]] = [
        (told, [made, "done"], "done"),
        (told, ["done"], "done"),
        (told, [calls(("find", {"x": 2})), "done"], ""),
        (told, [TimeoutError, "done"], "slow"),
        ([*told, Message(role="user", text="again")], [made, "done"], ""),
    ]
    for messages, answers, said in first:
        model = ScriptedModel(answers)
        if said == "slow":
            with pytest.raises(TimeoutError):
                await model.answer(Request("writer", "", messages))
        else:
            assert (await model.answer(Request("writer", "", messages))).content == said
    used = ScriptedModel(["one", made])
    await used.answer(asks("1"))
    assert [each.name for each in (await used.answer(Request("writer", "", told))).calls] == ["find"]


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
    with pytest.raises(OffScript, match="no answer left for call 1 by agent 'writer'"):
        model.done()
