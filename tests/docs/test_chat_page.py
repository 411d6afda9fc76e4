"""docs/use/chat.md: an exchange reads only what is new, and live text reaches the process that drives the run."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from graphengine import Runner, ScriptedModel
from graphengine.agents import TextDelta
from graphengine.engine.steps import Step
from graphengine.models import Request, Response
from graphengine.runner import RunEnded, StatusChanged, StepRecorded
from tests.docs.page import USE, blocks, names_of


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the page's code defines, without its example at the end."""
    (source,) = (text for text in blocks(USE / "chat.md", "python") if text.startswith("import asyncio\n"))
    return names_of(source.partition("async def main")[0])


async def test_an_exchange_reads_as_many_steps_late_as_early(
    names: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It follows the run from its message on, instead of from the beginning."""
    exchange: Callable[..., Awaitable[str]] = names["exchange"]
    read: list[int] = []
    async with Runner(models={"assistant": ScriptedModel(lambda _: "Hello.")}) as runner:
        steps = runner.store.steps

        async def counted(*given: Any) -> Sequence[Step]:
            found = await steps(*given)
            read.append(len(found))
            return found

        monkeypatch.setattr(runner.store, "steps", counted)
        costs = []
        for _ in range(40):
            read.clear()
            assert await exchange(runner, "ada", "Hello") == "Hello."
            costs.append(sum(read))
    assert max(costs[20:]) <= max(*costs[:5], 1)


class Slow:
    """A model that shows the first half of its answer, and the rest once it may."""

    name = "slow"

    def __init__(self) -> None:
        self.called, self.may_end = asyncio.Event(), asyncio.Event()

    async def answer(self, request: Request) -> Response:
        """Stream the text."""
        assert request.on_text is not None
        request.on_text("Hello, ")
        self.called.set()
        await self.may_end.wait()
        request.on_text("Ada.")
        return Response("Hello, Ada.")

    async def knows_price(self) -> bool:
        """Return True: it costs nothing."""
        return True


async def test_live_text_reaches_only_the_process_that_drives_the_run(names: dict[str, Any], tmp_path: Path) -> None:
    """Another process gets the steps and the answer; whichever gets the next message drives the run then."""
    model, chat = Slow(), names["chat"]
    path = tmp_path / "runs.db"
    async with Runner(path, models={"assistant": model}) as one, Runner(path, models={"assistant": model}) as two:
        first = await one.start_or_send(chat, "chat-ada", "said", "Hello")
        events = first.events()
        await model.called.wait()
        assert (await two.info("chat-ada")).driver is not None
        followed = two.watch("chat-ada", wait_out=False)
        there = [await anext(followed)]
        model.may_end.set()
        assert "".join([each.text async for each in events if isinstance(each, TextDelta)]) == "Hello, Ada."
        there += [event async for event in followed]
        assert {StepRecorded, RunEnded} <= {type(each) for each in there} <= {StepRecorded, StatusChanged, RunEnded}
        assert isinstance(there[-1], RunEnded)
        assert there[-1].result.state.answer == "Hello, Ada."
        assert (await two.info("chat-ada")).driver is None
        last = (await two.start_or_send(chat, "chat-ada", "said", "Hello again")).events()
        assert "".join([each.text async for each in last if isinstance(each, TextDelta)]) == "Hello, Ada."
