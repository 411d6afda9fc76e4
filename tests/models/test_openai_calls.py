import asyncio
import gc
import socket
import traceback
from typing import Any

import pytest

from graphengine.errors import DefinitionError, ModelTimeout, ModelUnavailable, ModelUnreachable
from graphengine.models.base import Closes, KnowsPrices, Message, Model, Request
from graphengine.models.openai import OpenAIModel
from graphengine.models.openai_chat import OpenAIChatModel
from graphengine.models.prices import Price
from graphengine.testing.model_scenes import Says
from tests.models.edge_server import EdgeServer

KEY = "sk-0123456789"
Made = OpenAIModel | OpenAIChatModel
BOTH = pytest.mark.parametrize("kind", [OpenAIModel, OpenAIChatModel])


def asked(text: str = "hi", **more: Any) -> Request:
    """A question."""
    return Request("writer", "be brief", [Message(role="user", text=text)], **more)


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of OpenAI's in the environment."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def own_url(edge: EdgeServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """An address of OpenAI's own host, which leads to the edge server."""
    real = socket.getaddrinfo

    def found(host: Any, *rest: Any, **more: Any) -> Any:
        return real("127.0.0.1" if host in ("api.openai.com", b"api.openai.com") else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", found)
    return edge.openai_url.replace("127.0.0.1", "api.openai.com")


@BOTH
def test_it_is_a_model_that_closes_and_knows_prices(kind: type[Made]) -> None:
    """Both are models in the sense of the protocol, closable and priced."""
    model: Model = kind("gpt-5-mini")
    assert isinstance(model, Closes)
    assert isinstance(model, KnowsPrices)


@BOTH
async def test_without_a_key_it_says_what_to_do(kind: type[Made]) -> None:
    """OpenAI without a key is an error of ours that names the variable and the ways to go on."""
    with pytest.raises(ModelUnavailable, match="OPENAI_API_KEY") as caught:
        await kind("gpt-5-mini").answer(asked())
    assert "offline" in caught.value.repair
    assert "api_key=" in caught.value.repair


@BOTH
async def test_a_server_of_ones_own_needs_no_key(
    kind: type[Made], edge: EdgeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that the code names gets the key that the code gives, and never that of the environment."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    edge.play(Says("a"), Says("b"))
    for given in (None, "its-own-key"):
        model = kind("m", base_url=edge.openai_url, api_key=given)
        await model.answer(asked())
        await model.close()
    assert [each.key for each in edge.heard()] == ["not-needed", "its-own-key"]


@BOTH
async def test_the_server_of_the_environment_gets_its_key(
    kind: type[Made], edge: EdgeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OPENAI_BASE_URL and OPENAI_API_KEY belong together."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", edge.openai_url)
    edge.play(Says("a"))
    model = kind("m")
    await model.answer(asked())
    await model.close()
    assert edge.heard()[0].key == KEY


@BOTH
async def test_openai_itself_is_told_more(kind: type[Made], own_url: str, edge: EdgeServer) -> None:
    """OpenAI gets a key for its cache, the same for the same instructions, and no temperature where it thinks."""
    model = kind("gpt-5-mini", base_url=own_url, api_key=KEY)
    edge.play(Says("a"), Says("b"))
    for text in ("one", "two"):
        answer = await model.answer(asked(text, cache=True, temperature=0.5, max_tokens=9, effort="low"))
        assert answer.cost_usd is not None
        assert answer.cost_usd > 0
    await model.close()
    first, second = (each.body for each in edge.heard())
    assert first["prompt_cache_key"] == second["prompt_cache_key"]
    assert "temperature" not in first
    if kind is OpenAIModel:
        assert first["include"] == ["reasoning.encrypted_content"]
        assert first["reasoning"] == {"effort": "low"}
    else:
        assert first["max_completion_tokens"] == 9
        assert first["reasoning_effort"] == "low"


@BOTH
async def test_another_server_is_told_what_all_know(kind: type[Made], edge: EdgeServer) -> None:
    """What only OpenAI knows is not sent to others, which may refuse it; a temperature is, whatever the name."""
    model = kind("gpt-5-mini", base_url=edge.openai_url)
    edge.play(Says("a"))
    await model.answer(asked(cache=True, temperature=0.5, max_tokens=9))
    await model.close()
    body = edge.heard()[0].body
    assert not body.keys() & {"prompt_cache_key", "include", "max_completion_tokens"}
    assert body["temperature"] == 0.5
    assert body["max_output_tokens" if kind is OpenAIModel else "max_tokens"] == 9


@BOTH
async def test_prices_are_known_of_openai_alone(kind: type[Made]) -> None:
    """OpenAI's own models have prices, those of a server of one's own have not, unless they are given."""
    assert await kind("gpt-5-mini").knows_price()
    assert not await kind("gpt-5-mini", base_url="http://127.0.0.1:1/v1").knows_price()
    assert await kind("m", base_url="http://127.0.0.1:1/v1", price=Price(1, 2)).knows_price()
    assert not await kind("no-such-model").knows_price()


@BOTH
async def test_a_price_that_is_given_is_what_it_costs(kind: type[Made], edge: EdgeServer) -> None:
    """A price of one's own is counted; a server that does not tell its tokens costs nobody knows what."""
    model = kind("m", base_url=edge.openai_url, price=Price(1, 2))
    edge.play(Says("a"), Says("b", counted=None))
    told, untold = await model.answer(asked()), await model.answer(asked())
    await model.close()
    assert told.cost_usd == pytest.approx((12 + 2 * 5) / 1e6)
    assert untold.cost_usd is None
    assert untold.input_tokens == untold.output_tokens == 0


@BOTH
@pytest.mark.parametrize(
    "more",
    [{"base_url": "localhost:11434/v1"}, {"base_url": "http:///v1"}, {"timeout_seconds": 0}, {"timeout_seconds": -1}],
)
def test_arguments_that_make_no_sense_are_refused(kind: type[Made], more: dict[str, Any]) -> None:
    """An address without http://, or no time at all, is refused at once."""
    with pytest.raises(DefinitionError):
        kind("m", **more)


@BOTH
def test_a_model_has_a_name(kind: type[Made]) -> None:
    """Without one there is nothing to ask."""
    with pytest.raises(DefinitionError, match="names no model"):
        kind(" ")


@BOTH
@pytest.mark.parametrize("stream", [False, True])
async def test_a_server_that_is_down_says_where_it_should_be(kind: type[Made], stream: bool) -> None:  # noqa: FBT001
    """A refused connection is transient, and names the address."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    model = kind("m", base_url=f"http://user:pass-word@127.0.0.1:{port}/v1")
    with pytest.raises(ModelUnreachable) as caught:
        await model.answer(asked(on_text=print if stream else None))
    await model.close()
    assert f"http://127.0.0.1:{port}/v1" in caught.value.repair
    assert "pass-word" not in "".join(traceback.format_exception(caught.value))


@BOTH
@pytest.mark.parametrize("stream", [False, True])
async def test_a_server_that_says_nothing_is_not_waited_for(kind: type[Made], edge: EdgeServer, stream: bool) -> None:  # noqa: FBT001
    """Silence longer than timeout_seconds is a timeout, before the answer and within it."""
    edge.play(Says("one two", held=True))
    model = kind("m", base_url=edge.openai_url, timeout_seconds=0.2)
    with pytest.raises(ModelTimeout):
        await model.answer(asked(on_text=(lambda _: None) if stream else None))
    await model.close()


@BOTH
@pytest.mark.parametrize("stream", [False, True])
async def test_a_cancelled_call_leaves_the_server(kind: type[Made], edge: EdgeServer, stream: bool) -> None:  # noqa: FBT001
    """Cancelling passes through, and the server sees its caller go."""
    edge.play(Says("one two", held=True))
    model = kind("m", base_url=edge.openai_url)
    task = asyncio.ensure_future(model.answer(asked(on_text=(lambda _: None) if stream else None)))
    await edge.arrived(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await edge.left()
    await model.close()


@BOTH
async def test_what_the_watcher_raises_is_its_own(kind: type[Made], edge: EdgeServer) -> None:
    """An error in on_text is no error of the model's; the model goes on working."""

    def watch(_: str) -> None:
        raise ValueError("mine")

    edge.play(Says("one two"), Says("three"))
    model = kind("m", base_url=edge.openai_url)
    with pytest.raises(ValueError, match="mine"):
        await model.answer(asked(on_text=watch))
    assert (await model.answer(asked())).content == "three"
    await model.close()
    gc.collect()


@BOTH
async def test_streams_keep_their_connection(
    kind: type[Made], edge: EdgeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streams are read to their ends, so that one connection serves one after the other."""
    loop, made = asyncio.get_running_loop(), 0
    connect = loop.create_connection

    async def counted(*rest: Any, **more: Any) -> Any:
        nonlocal made
        made += 1
        return await connect(*rest, **more)

    monkeypatch.setattr(loop, "create_connection", counted)
    edge.always(Says("one two"))
    model = kind("m", base_url=edge.openai_url)
    for _ in range(3):
        await model.answer(asked(on_text=lambda _: None))
    await model.close()
    assert made == 1


def test_one_model_serves_many_loops(edge: EdgeServer) -> None:
    """The same object answers in one event loop after another."""
    edge.play(Says("a"), Says("b"))
    model = OpenAIModel("m", base_url=edge.openai_url)

    async def once() -> object:
        found = await model.answer(asked())
        await model.close()
        return found.content

    assert [asyncio.run(once()), asyncio.run(once())] == ["a", "b"]
