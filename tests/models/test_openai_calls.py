import asyncio
import gc
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from graphengine.models.base import Message, Request
from graphengine.models.errors import BadRequest
from graphengine.models.openai import OpenAIModel
from graphengine.models.openai_chat import OpenAIChatModel
from graphengine.models.openai_parts import used
from graphengine.models.settings import Settings
from tests.conformance.model_scenes import Says
from tests.models.acts import Raw
from tests.models.adapters import Made
from tests.models.edge_server import EdgeServer

KEY = "sk-0123456789"
Kind = type[OpenAIModel | OpenAIChatModel]
BOTH = pytest.mark.parametrize("kind", [OpenAIModel, OpenAIChatModel])


def asked(text: str = "hi", **more: Any) -> Request:
    """Return a question."""
    return Request("writer", "be brief", [Message(role="user", text=text)], **more)


@BOTH
async def test_openai_itself_gets_more_fields(kind: Kind, own_url: str, edge: EdgeServer) -> None:
    """OpenAI gets a key for its cache, equal for equal instructions; a model that thinks has no temperature."""
    model = kind("gpt-5-mini", base_url=own_url, api_key=KEY)
    edge.play(Says("a"), Says("b"))
    for text in ("one", "two"):
        settings = Settings(cache=True, max_tokens=9, effort="low")
        answer = await model.answer(asked(text, settings=settings))
        assert answer.cost_usd is not None
        assert answer.cost_usd > 0
    with pytest.raises(BadRequest, match=r"does not accept the setting temperature=0\.5") as caught:
        await model.answer(asked(settings=Settings(temperature=0.5)))
    assert caught.value.repair == "leave out this setting, which needs effort='none' (no thinking)"
    edge.play(Says("c"))
    await model.answer(asked(settings=Settings(temperature=0.5, effort="none")))
    await model.close()
    first, second, third = (each.body for each in edge.received())
    assert first["prompt_cache_key"] == second["prompt_cache_key"]
    assert third["temperature"] == 0.5
    if kind is OpenAIModel:
        assert first["include"] == ["reasoning.encrypted_content"]
        assert first["reasoning"] == {"effort": "low"}
    else:
        assert first["max_completion_tokens"] == 9
        assert first["reasoning_effort"] == "low"


@BOTH
async def test_other_servers_get_only_common_fields(kind: Kind, edge: EdgeServer) -> None:
    """Other servers do not get fields that only OpenAI knows; they do get a temperature for any name."""
    model = kind("gpt-5-mini", base_url=edge.openai_url)
    edge.play(Says("a"))
    await model.answer(asked(settings=Settings(cache=True, temperature=0.5, max_tokens=9)))
    await model.close()
    body = edge.received()[0].body
    assert not body.keys() & {"prompt_cache_key", "include", "max_completion_tokens"}
    assert body["temperature"] == 0.5
    assert body["max_output_tokens" if kind is OpenAIModel else "max_tokens"] == 9


async def test_an_exception_of_the_callback_propagates(model: Made, edge: EdgeServer) -> None:
    """An error in on_text is not a ModelError; the model remains usable."""

    def watch(_: str) -> None:
        raise ValueError("mine")

    edge.play(Says("one two"), Says("three"))
    with pytest.raises(ValueError, match="mine"):
        await model.answer(asked(on_text=watch))
    assert (await model.answer(asked())).content == "three"
    gc.collect()


async def test_ids_that_a_server_leaves_out_are_made(edge: EdgeServer) -> None:
    """Each call has a unique id, even if the server sends none, or the same for all."""
    sent = [{"id": each, "type": "function", "function": {"name": "a", "arguments": "{}"}} for each in ("", "x", "x")]
    edge.play(Raw(body={"choices": [{"message": {"tool_calls": sent}, "finish_reason": "tool_calls"}]}))
    model = OpenAIChatModel("m", base_url=edge.openai_url)
    found = await model.answer(asked())
    await model.close()
    assert len({each.id for each in found.calls}) == 3
    assert all(each.id for each in found.calls)


# --- dialects -----------------------------------------------------------------------------------------------------


def refused(words: str, *, held: bool = False) -> Raw:
    """Return a refusal of a request."""
    return Raw(400, {"error": {"message": words, "type": "invalid_request_error"}}, held=held)


async def test_calls_in_parallel_find_the_same_dialect(edge: EdgeServer) -> None:
    """Each is sent again in it, whichever has found it first."""
    model = OpenAIChatModel("gemma", base_url=edge.openai_url)
    edge.play(*(refused("This model has no system role.", held=True) for _ in range(3)))
    edge.always(Says("yes"))
    tasks = [asyncio.ensure_future(model.answer(asked())) for _ in range(3)]
    await edge.arrived(3)
    for _ in tasks:
        edge.release()
    assert [str((await task).content) for task in tasks] == ["yes"] * 3
    assert [each.system for each in edge.received()] == ["be brief"] * 3 + [""] * 3
    await model.close()


async def test_a_dialect_that_another_call_was_accepted_in_stays(edge: EdgeServer) -> None:
    """Though the call that found it fails for another reason."""
    model = OpenAIChatModel("gemma", base_url=edge.openai_url)
    edge.play(refused("This model has no system role."), refused("no", held=True), Says("a"), Says("b"))
    first = asyncio.ensure_future(model.answer(asked()))
    await edge.arrived(2)
    await model.answer(asked())
    edge.release()
    with pytest.raises(BadRequest):
        await first
    await model.answer(asked())
    assert [each.system for each in edge.received()] == ["be brief", "", "", ""]
    await model.close()


@hypothesis.given(
    total=st.none() | st.integers(0, 10**6) | st.sampled_from([-1, 10**40, "736", 7.5, True]),
    question=st.integers(1, 1000),
    answer=st.integers(0, 1000),
    thought=st.integers(0, 1000),
)
@hypothesis.example(total=736, question=36, answer=10, thought=690)
@hypothesis.example(total=736, question=36, answer=700, thought=690)
@pytest.mark.parametrize("names", [("input_tokens", "output_tokens"), ("prompt_tokens", "completion_tokens")])
def test_tokens_are_at_least_what_the_total_of_the_server_says(
    names: tuple[str, str], total: Any, question: int, answer: int, thought: int
) -> None:
    """The answer has the rest of the total, or its own count if that is more; a total of another type says nothing."""
    details: dict[str, Any] = {f"{names[1]}_details": {"reasoning_tokens": thought}}
    spent = used({names[0]: question, names[1]: answer, "total_tokens": total, **details}, *names)
    rest = total - question if type(total) is int and 0 <= total < 10**12 else 0
    assert (spent.input_tokens, spent.output_tokens) == (question, max(answer, rest))
    assert spent.reasoning_tokens == thought
