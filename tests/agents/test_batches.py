"""Agents whose calls are parts of a provider's batch: gathered, waited for in a stored run, collected, and refused."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from graphengine import (
    Agent,
    CompileError,
    Graph,
    Limits,
    Retry,
    RunFailed,
    Runner,
    ScriptedModel,
    Settings,
)
from graphengine.budgets import Budget, Budgets
from graphengine.budgets.ledger import Ledger, Place, make_hold
from graphengine.errors import DefinitionError
from graphengine.models import Message, OpenAIModel, Price, Request, Response, Router, ToolCall, batches
from graphengine.models.base import Form
from graphengine.models.batches import BatchCollector, Batches, Ticket
from graphengine.models.errors import BadRequest
from graphengine.models.openai_calls import OpenAIBatches
from graphengine.models.prices import Prices, Spent
from graphengine.stores.memory import InMemoryStore
from tests.agents.run_kits import Work, add, forked, one, within
from tests.kit.facts import said
from tests.kit.runs import SOON


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll soon, and gather for a moment; a test of several members says how many, so that none is late."""
    monkeypatch.setattr(batches, "QUIET_SECONDS", 0.02)
    monkeypatch.setattr(batches, "FIRST_POLL_SECONDS", 0.05)
    monkeypatch.setattr(batches, "_FRESH_SECONDS", 0.0)


@pytest.fixture
def members(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that sets how many members close a group; it waits for them."""

    def close_at(count: int) -> None:
        monkeypatch.setattr(batches, "QUIET_SECONDS", SOON)
        monkeypatch.setattr(batches, "LONGEST_SECONDS", SOON)
        monkeypatch.setattr(batches, "MOST_REQUESTS", count)

    return close_at


class Provider:
    """A model with batches in memory; `is_open` holds them back."""

    name = "provider"

    def __init__(self) -> None:
        self.is_open = True
        self.submitted: dict[str, Mapping[str, Request]] = {}
        self.collected: list[str] = []
        self.alone: list[str] = []
        self.looks = 0
        self.changed = asyncio.Event()

    async def looked(self, count: int) -> None:
        """Return when its batches were read so often."""
        async with asyncio.timeout(SOON):
            while self.looks < count:
                self.changed.clear()
                await self.changed.wait()

    @property
    def batches(self) -> Batches:
        """Its batches."""
        return self

    async def answer(self, request: Request) -> Response:
        """Answer alone, for a dollar."""
        self.alone.append(request.prompt)
        return replace(_answer(request), cost_usd=1.0)

    async def price_of(self, input_tokens: int, output_tokens: int) -> float:
        """Return a dollar."""
        del input_tokens, output_tokens
        return 1.0

    async def submit(self, name: str, requests: Mapping[str, Request]) -> str:
        """Take a batch."""
        self.submitted[name] = dict(requests)
        return name

    async def find(self, ticket: Ticket) -> str | None:
        """Find a batch."""
        return ticket.batch if ticket.batch in self.submitted else None

    async def ended(self, batch: str) -> bool:
        """Return whether it has ended."""
        del batch
        self.looks += 1
        self.changed.set()
        return not self.is_open

    async def answers(self, batch: str) -> Mapping[str, Response]:
        """Answer all but `c`."""
        self.collected.append(batch)
        found = {item: _answer(request) for item, request in self.submitted[batch].items()}
        return {item: answer for item, answer in found.items() if answer.content != "C"}


def _answer(request: Request) -> Response:
    """Call the tool first, if there is one; then shout."""
    word = request.messages[0].text
    if request.tools and len(request.messages) == 1:
        call = ToolCall(id=f"call_{word}", name="add", arguments='{"first": 2, "second": 3}')
        return Response("", calls=(call,), stop="tools", input_tokens=1, output_tokens=1, cost_usd=0.5)
    return Response(word.upper(), input_tokens=1, output_tokens=1, cost_usd=0.5)


def mapped(agent: Agent[Any]) -> Graph[Work]:
    """Return a graph that maps an agent over the items a, b and c."""
    return one(agent, "drafts", each={"item": "items"}, concurrency=10)


async def test_items_share_a_batch_over_two_processes(tmp_path: Path, members: Callable[[int], None]) -> None:
    """Items of a waiting run share one batch, which another Runner collects; one without an answer is asked alone."""
    members(3)
    provider = Provider()
    graph = mapped(Agent("shout", model=provider, prompt="{item}", batch=True))
    async with Runner(tmp_path / "runs.db") as runner:
        run = runner.start(graph, run_id="r")
        await provider.looked(7)
        waits = {(wait.kind, wait.question) for wait in await runner.waits(run.id)}
        assert waits <= {("sleep", f"batch {next(iter(provider.submitted))} of provider")}
    provider.is_open = False
    async with Runner(tmp_path / "runs.db") as runner:
        result = await within(runner.resume("r", graph))
        steps = await runner.history("r")
    assert not any("unused=[" in str(step) for step in steps)  # earlier sleeps are gone through again
    assert result.state.drafts == ["A", "B", "C"]
    assert result.usage.cost_usd == 2 * 0.5 + 1.0
    assert [len(requests) for requests in provider.submitted.values()] == [3]
    assert len(provider.collected) == 1
    assert provider.alone == ["c"]


async def test_an_agent_with_tools_takes_a_batch_for_each_turn(members: Callable[[int], None]) -> None:
    """The first turns of all items are one batch, their second turns another."""
    members(2)
    provider = Provider()
    provider.is_open = False
    async with Runner() as runner:
        agent = Agent("shout", model=provider, prompt="{item}", tools=[add], batch=True)
        result = await within(runner.start(mapped(agent), Work(items=["a", "b"])))
    assert result.state.drafts == ["A", "B"]
    assert [len(requests) for requests in provider.submitted.values()] == [2, 2]
    assert provider.alone == []


async def test_a_call_in_a_batch_is_not_cut_off_while_its_node_sleeps(
    tmp_path: Path, members: Callable[[int], None]
) -> None:
    """A budget across runs keeps the call's reservation while the run waits for its batch."""
    members(2)
    provider, budgets = Provider(), Budgets(Budget(name="b", calls=9))
    graph = mapped(Agent("shout", model=provider, prompt="{item}", batch=True))
    async with Runner(tmp_path / "runs.db", extensions=[budgets]) as runner:
        runner.start(graph, Work(items=["a", "b"]), run_id="r", limits=Limits(seconds=1000.0))
        await provider.looked(1)
        async with asyncio.timeout(SOON):
            while (await runner.info("r")).status != "waiting":  # noqa: ASYNC110 - nothing tells it
                await asyncio.sleep(0)
        (account,) = await Ledger(runner.store).accounts()
        assert (account.calls_in_flight, account.spent["calls"], account.unknown_calls) == (2, 0, 0)
        await runner.stop("r", now=True)


async def test_a_call_that_goes_on_at_its_provider_takes_the_place_of_its_reservation() -> None:
    """The same call, made again, was cut off before, and counts as such, unless the caller says that it goes on."""
    budget = Budget(name="b", calls=9)
    ledger, places = Ledger(InMemoryStore()), [Place(budget, "", 0.0)]
    for continues, expected in ((False, (1, 0, 0)), (True, (1, 0, 0)), (False, (1, 1, 1))):
        assert await ledger.reserve(places, make_hold("a call", {"calls": 1}), continues=continues) is None
        (account,) = await ledger.accounts()
        assert (account.calls_in_flight, account.spent["calls"], account.unknown_calls) == expected


async def test_the_step_of_an_answer_of_a_batch_says_how_the_schema_was_sent(members: Callable[[int], None]) -> None:
    """As that of an answer alone does, though the answers of a batch come without their requests."""
    members(1)

    class Typed(Provider):
        def form_of(self, request: Request) -> Form:
            return "native" if request.schema else ""

    provider = Typed()
    provider.is_open = False
    async with Runner() as runner:
        agent = Agent("count", model=provider, prompt="{item}", output=str | None, batch=True, output_retries=0)
        run = runner.start(mapped(agent), Work(items=["null"]))
        await asyncio.gather(within(run), return_exceptions=True)
        turns = [step for step in map(said, await runner.history(run.id)) if step.get("name") == "turn"]
    assert [turn["value"]["form"] for turn in turns] == ["native"] * len(turns) != []


async def test_an_answer_that_was_refused_is_not_taken_from_its_batch_again() -> None:
    """The next attempt has a batch of its own, and repeats no turn before it."""
    provider, answers = Provider(), []
    provider.is_open = False

    def check(answer: str) -> None:
        answers.append(answer)
        if len(answers) == 1:
            raise ValueError(answer)

    agent = Agent("shout", model=provider, prompt="{task}", tools=[add], batch=True, check=check, output_retries=0)
    async with Runner() as runner:
        done = await within(runner.start(one(agent, retry=Retry(attempts=2, initial_seconds=0))))
    assert (done.state.draft, len(answers)) == ("RHYME", 2)
    assert [len(request.messages) for batch in provider.submitted.values() for request in batch.values()] == [1, 3, 3]


async def test_a_batch_keeps_its_part_of_a_limit() -> None:
    """While it is under way another call waits, as both do not fit; the run sleeps and wakes meanwhile."""
    provider, seen = Provider(), []

    class Other(Provider):
        name = "other"

        async def answer(self, request: Request) -> Response:
            seen.append(len(provider.collected))
            return await super().answer(request)

    async def fast() -> str:
        await provider.looked(1)
        return await Agent("fast", model=Other(), prompt="fast").run()

    graph = forked(draft=Agent("slow", model=provider, prompt="slow", batch=True), other=fast)
    async with Runner() as runner:
        run = runner.start(graph, Work(), limits=Limits(cost_usd=1.9))
        await provider.looked(4)
        assert seen == []
        provider.is_open = False
        result = await within(run)
    assert (result.state.draft, result.state.other, seen) == ("SLOW", "FAST", [1])


async def test_a_member_that_leaves_gives_its_id_to_no_other(members: Callable[[int], None]) -> None:
    """A request that is cancelled while the group is open; the next one has an id and an answer of its own."""
    members(4)
    provider = Provider()
    collector = BatchCollector(provider)
    words = ("one", "two", "three", "four", "five")
    requests = [Request("a", "", [Message(role="user", text=word)]) for word in words]
    joins = [asyncio.create_task(collector.join(request)) for request in requests[:3]]
    await asyncio.sleep(0)
    joins[1].cancel()
    await asyncio.wait([joins[1]])
    joins[1:2] = [asyncio.create_task(collector.join(request)) for request in requests[3:]]
    async with asyncio.timeout(SOON):
        tickets = await asyncio.gather(*joins)
    sent = [requests[0], *requests[3:], requests[2]]
    submits = [asyncio.create_task(collector.submitted(each, of)) for each, of in zip(tickets, sent, strict=True)]
    (batch,) = set(await asyncio.gather(*submits))
    assert [provider.submitted[batch][ticket.item] for ticket in tickets] == sent


@pytest.mark.parametrize("fails", [False, True])
async def test_a_model_of_one_job_is_freed_with_it(monkeypatch: pytest.MonkeyPatch, *, fails: bool) -> None:
    """Neither what is kept of its batches nor a failure of it leads to the model, or to what its run had."""
    freed: list[str] = []

    async def run() -> None:
        provider = Provider()
        weakref.finalize(provider, freed.append, "model")
        provider.is_open = False
        if fails:
            monkeypatch.setattr(Provider, "answers", broken)
        agent = Agent("shout", model=provider, prompt="{task}", batch=True)
        async with Runner() as runner:
            with pytest.raises(RunFailed) if fails else nullcontext():
                await within(runner.start(one(agent)))

    async def broken(self: Provider, batch: str) -> Mapping[str, Response]:
        self.collected.append(batch)
        raise BadRequest("the provider is broken")

    await run()
    gc.collect()
    assert freed == ["model"]


def test_two_event_loops_ask_for_the_answers_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one has asked cannot be awaited in another, which asks for itself."""
    begun, asked, answer = threading.Event(), threading.Event(), Response("ONE")

    async def answers(self: Provider, batch: str) -> Mapping[str, Response]:
        self.collected.append(batch)
        if len(self.collected) == 1:
            begun.set()
            await asyncio.to_thread(asked.wait)
        return {"b_0": answer}

    monkeypatch.setattr(Provider, "answers", answers)
    collector = BatchCollector(Provider())

    async def ask() -> Mapping[str, Response]:
        return await collector.answers("b")

    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(asyncio.run, ask())
        begun.wait()
        try:
            assert asyncio.run(ask()) == {"b_0": answer}
        finally:
            asked.set()
        assert first.result() == {"b_0": answer}


def test_a_loop_that_ends_leaves_no_open_group() -> None:
    """A later event loop can have the same id; its requests would wait for a group that no task closes."""
    collector = BatchCollector(Provider())

    async def leave() -> None:
        join = asyncio.create_task(collector.join(Request("a", "", [Message(role="user", text="one")])))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        join.cancel()

    asyncio.run(leave())
    assert collector._gathered.open == {}  # noqa: SLF001 - the ids of event loops cannot be chosen


async def test_an_answer_with_a_line_separator_is_one_line() -> None:
    """OpenAI's file is one JSON object on each line, and a text in it may have U+2028."""
    row = {"custom_id": "a", "response": {"status_code": 200, "body": {"text": "one\u2028two"}}}

    async def found(_: str) -> SimpleNamespace:
        return SimpleNamespace(output_file_id="f", text=json.dumps(row, ensure_ascii=False) + "\n")

    async def client() -> Any:
        return SimpleNamespace(batches=SimpleNamespace(retrieve=found), files=SimpleNamespace(content=found))

    async def response(body: Mapping[str, Any]) -> Response:
        return Response(body["text"])

    batch = OpenAIBatches("/responses", client, lambda _: {}, response, nullcontext)
    assert (await batch.answers("b"))["a"].content == "one\u2028two"


async def test_refusals() -> None:
    """A model without batches, an agent alone, headers at OpenAI; a script answers at once."""
    router = Router(["anthropic:claude-sonnet-5-5"])
    with pytest.raises(CompileError, match=r"the model 'router\(.*\)' of agent 'a' cannot be called in batches"):
        one(Agent("a", model=router, prompt="{task}", batch=True)).compile()
    agent = Agent("a", prompt="{task}", batch=True)
    with pytest.raises(DefinitionError, match="called where no run can wait for the batch"):
        await agent.but(model=Provider()).run(task="x")
    assert await agent.but(model=ScriptedModel(["y"])).run(task="x") == "y"
    model = OpenAIModel("gpt-5-mini", api_key="k", base_url="http://127.0.0.1:9/v1")
    given = agent.but(model=model, settings=Settings(headers={"x-a": "b"}))
    async with Runner() as runner:
        run = runner.start(one(given), Work())
        with pytest.raises(RunFailed, match="the calls of a batch of OpenAI have no headers"):
            await within(run)


async def test_an_effect_waits_for_no_batch() -> None:
    """It is refused in a node that must not be repeated, before anything is submitted."""
    provider = Provider()
    agent = Agent("a", model=provider, prompt="{task}", batch=True)

    async def work(task: str) -> str:
        return await agent.run(task=task)

    async with Runner() as runner:
        with pytest.raises(RunFailed, match="called where no run can wait for the batch"):
            await within(runner.start(one(work, effect="once"), Work()))
    assert not provider.submitted


async def test_prices_of_batches() -> None:
    """Half the price by the tables, or of a price that is given; searches cost the same; others are unknown."""
    spent = Spent(1_000_000, output_tokens=100_000, web_searches=1000)
    tokens = replace(spent, web_searches=0)
    for provider, model in (("anthropic", "claude-haiku-4-5"), ("openai", "gpt-5-mini"), ("openai", "gpt-4")):
        prices = Prices(provider, model)
        plain, half = await prices.cost(tokens), await prices.cost(replace(tokens, is_batch=True))
        assert plain is not None
        assert half == pytest.approx(plain / 2)
    haiku = Prices("anthropic", "claude-haiku-4-5")
    assert await haiku.cost(replace(spent, is_batch=True)) == pytest.approx(0.75 + 10)
    assert Price(1, 5, search_usd=10).of(replace(spent, is_batch=True)) == pytest.approx(0.75 + 10)
    assert await Prices("openai", "no-such-model").cost(replace(tokens, is_batch=True)) is None
