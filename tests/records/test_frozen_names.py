"""Digests, keys and derived ids are a format: a process of a later version finds by them what this one recorded.

A value that changes here makes a version that repeats recorded work, starts a child or a delivery twice, or loses the
place of a trace. So none is changed; what must be computed in another way gets another name and stands beside it.
"""

import asyncio
import json
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, Context, Graph, Runner, ScriptedModel, tool
from graphengine.agents import Edit
from graphengine.agents.a2a import _Remote
from graphengine.agents.conversation import _hash_bytes as digest_of_request
from graphengine.databases.checksums import message_place, sum_of
from graphengine.databases.sqlite.texts import digest_of as digest_of_text
from graphengine.engine.phases import BEGUN, UNKNOWN
from graphengine.models import calls
from graphengine.models.base import ToolSpec
from graphengine.models.dialects import _shorten_call_id as short_call_id
from graphengine.models.openai_parts import cache_key, call_id
from graphengine.models.recorded import _digest_media as digest_of_media
from graphengine.runner.call_records import digest_of_call
from graphengine.runner.ids import derive_id, tenants_id
from graphengine.serve.notifications import News, Notifications, Webhook
from graphengine.serve.service.a2a_door import _push_id
from graphengine.serve.service.turns import digest as digest_of_turn
from graphengine.serve.signatures import signed
from graphengine.serve.users import UsersFile, write_users
from graphengine.state.immutable import digest_of
from graphengine.telemetry.place import Ids
from tests.serve.two_tenants import desk, place, user
from tests.serve.webhook_receiver import SECRET


class Work(BaseModel):
    """What is done, by name."""

    items: list[str] = ["a", "b"]
    done: str = ""
    each: list[str] = []


async def keys_of_a_run() -> Sequence[str]:
    """Return the keys of an inner node, items, calls of a tool and a changed one, with random numbers, and a child."""
    keys: list[str] = []

    def note(ctx: Context) -> str:
        keys.append(f"{ctx.idempotency_key} {ctx.random.random():.6f}")
        return "noted"

    def of_item(item: str, ctx: Context) -> str:
        return note(ctx) + item

    async def pay(amount: int, idempotency_key: str, ctx: Context) -> str:
        """Pay."""
        keys.append(f"{amount} {idempotency_key}")
        assert ctx.idempotency_key == idempotency_key
        return "paid"

    async def write(ctx: Context) -> str:
        child = await ctx.start(inner)
        await child.result()
        keys.append(child.id)
        return await agent.run(task="pay")

    again, more = ("pay", {"amount": 1}), ("pay", {"amount": 2})
    model = ScriptedModel([calls(again, again, more), "done"])
    tools = [tool(pay, approve=lambda amount: amount > 1, effect="idempotent", on_error="raise", serial=True)]
    agent = Agent("writer", prompt="{task}", tools=tools, model=model)
    graph, inner = Graph("all", Work), Graph("inner", Work)
    inner.add_node("work", note, writes="done")
    inner.add_path(START, "work", END)
    graph.add_node("inner", inner, writes={"done": "done"})
    graph.add_node("item", of_item, each={"item": "items"}, concurrency=1, writes="each")
    graph.add_node("write", write, writes="done")
    graph.add_path(START, "inner", "item", "write", END)
    async with Runner() as runner:
        run = runner.start(graph, run_id="r")
        await run.result()
        await runner.answer("r", Edit({"amount": 3}))
        await runner.resume("r", graph).result()
    return keys


async def ids_of_news() -> Sequence[str]:
    """Return the ids of the runs that deliver news."""
    news = Notifications(Webhook("hook", "http://localhost:1/", SECRET))
    async with Runner() as runner:
        for number in ("", "ask@3"):
            told = News(webhook="hook", kind="asked", run_id="r", seq=3, wait_id=number, to="ada")
            await news.deliver(runner, told, None)
        return sorted(info.id for info in await runner.store.runs())


async def ids_of_doors() -> Sequence[str]:
    """Return the ids of the runs that each door of a service starts."""
    said = {"role": "user", "content": "hello"}
    yes, talk = {"role": "user", "content": "yes"}, {"model": "desk", "metadata": {"conversation_id": "openai"}}
    message = {"messageId": "a2a", "role": "ROLE_USER", "parts": [{"text": "hello"}]}
    sent: Sequence[tuple[str, Any]] = (
        (
            "/agui/desk",
            {"threadId": "ag-ui", "runId": "1", "messages": [], "tools": [], "context": [], "state": {"text": "a"}},
        ),
        ("/ai-sdk/desk", {"id": "ai-sdk", "messages": [], "state": {"text": "a"}}),
        ("/v1/chat/completions", {**talk, "messages": [said]}),
        ("/v1/chat/completions", {**talk, "messages": [said, yes]}),
        ("/v1/chat/completions", {**talk, "messages": [said, yes, said]}),
        ("/a2a/desk", {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}),
    )
    with tempfile.TemporaryDirectory() as folder:
        async with place(Path(folder), Path(folder) / "runs.db", {"desk": desk()}) as here:
            write_users(here.users, UsersFile([user("acme", tenant="acme")]))
            await here.send("acme", "POST", "/graphs/desk/runs", {"text": "a"}, idempotency_key="key")
            for path, body in sent:
                answer = await here.send("acme", "POST", path, body, a2a_version="1.0")
                assert answer.status == 200, answer.text
            return sorted(info.id for info in await here.runner.runs())


async def id_of_a_message() -> str:
    """Return the id of a message to a remote agent."""

    class Remote(_Remote):
        @asynccontextmanager
        async def _open_client(self) -> AsyncIterator[Any]:
            async def sent(request: Any) -> AsyncIterator[Any]:
                yield SimpleNamespace(HasField=lambda _: True, task=request.message.message_id)

            yield SimpleNamespace(send_message=sent)

        def _record_of_task(self, task: Any) -> dict[str, Any]:
            return {"id": task}

    found = await Remote("http://localhost:1/", {}).send("hello", idempotency_key="r/work:1")
    return str(found["id"])


def functions_in_specs() -> list[str]:
    """Return the names of our own functions in the spec of a conversation, of which its fingerprint is made."""
    first = Agent("first", model=ScriptedModel([]), system="Answer.")
    second = Agent("second", model=ScriptedModel([]), system="Answer.", hand_to=[first])
    texts = [json.dumps(Graph.chat(each).compile().graph_spec) for each in (first, second)]
    return sorted(
        {name for text in texts for pair in re.findall(r'func=(\w+)|"(_[a-z]\w+)"', text) for name in pair if name}
    )


NAMES: dict[str, tuple[Callable[[], object], object]] = {
    "functions in the specs of conversations": (
        functions_in_specs,
        ["_answer_of", "_answered", "_answered_or_handed_over", "_has_ended", "_recorded", "_taken"],
    ),
    "a call": (
        lambda: digest_of_call("mod.act", ["first", 2, 1.5], {"b": None, "a": {"z": [True]}}),
        "e2f836bca7050fb25b",
    ),
    "a request": (lambda: digest_of_request(b'{"system":"s"}'), "ec47d5ab451d1f9430"),
    "a value of a tracker": (lambda: digest_of({"b": [1, 2.0, "x"], "a": {3, 1, 2}}), "59d08f1c1abd170c6a239419"),
    "a derived id": (
        lambda: derive_id("chat", "ada lovelace", "a/b", tenant="acme"),
        "acme/ge:chat:ada%20lovelace:a%2Fb",
    ),
    "a long derived id": (
        lambda: derive_id("chat", "x" * 200),
        "ge:chat:0b891c5f3197e8ff6a295bbe8b6eb37390b2e264961f1004b90417483b496841",
    ),
    "an id of a tenant": (lambda: tenants_id("a b", "order-7"), "a%20b/order-7"),
    "a text of SQLite": (lambda: digest_of_text(b"Ants").hex(), "865930bcd5104b2072d2abf2c9538aec"),
    "a row's checksum": (
        lambda: (sum_of(4294967298, b"{}"), sum_of(message_place(1, "answer", "k"), b"true")),
        (3974572420, 3137283336),
    ),
    "a turn of a door": (lambda: digest_of_turn(["ada", {"text": "h\u00e9"}]), "8e9196550cf745714120"),
    "a recorded file": (lambda: digest_of_media("aGk="), "d9d2d5dc340606f8d9a696d0e0b4b3ce16c3"),
    "a call's id at OpenAI": (lambda: call_id("x" * 80), "call_d929cdeea7e6a0f46b59448d36a6fd49"),
    "a call's id at Mistral": (lambda: short_call_id("call-1"), "5d7963c4f"),
    "a webhook's signature": (
        lambda: signed(b"key", "msg_1", 1000.0, b"{}")["webhook-signature"],
        "v1,Wa83KvVw5CCkKgwz6XgcvWo/fPiV2rrXdTkgHJ1Ll5g=",
    ),
    "keys of a run": (
        lambda: asyncio.run(keys_of_a_run()),
        [
            "r/inner:1/work:1 0.548929",
            "r/item:1[0] 0.403391",
            "r/item:1[1] 0.641926",
            "ge:child:inner-626cde5e919f63a5/work:1 0.439687",
            "ge:child:inner-a7750420b457683b",
            "1 r/write:1/pay:942d7dd5f8b75dcbaf",
            "1 r/write:1/pay:e57abdf9d6138cd5ae",
            "ge:child:inner-a7750420b457683b",
            "3 r/write:1/pay:6fba62049b87d358e0:7685f897eafa78f59d",
        ],
    ),
    "runs of notifications": (
        lambda: asyncio.run(ids_of_news()),
        ["ge:notice:61505f3569ecec4aa5e3", "ge:notice:ffe11f3b215e7e2fbac4"],
    ),
    "a run of a push": (lambda: _push_id("r", "name"), "ge:push:2659efe5502f101c13c3:name"),
    "runs of doors": (
        lambda: asyncio.run(ids_of_doors()),
        [
            "acme/ge:key:desk:key",
            "acme/ge:thread:desk:a2a",
            "acme/ge:thread:desk:ag-ui",
            "acme/ge:thread:desk:ai-sdk",
            "acme/ge:thread:desk:openai",
            "acme/ge:thread:desk:openai:128f045521080ff468ca",
        ],
    ),
    "a message to a remote agent": (lambda: asyncio.run(id_of_a_message()), "8175052d-f7e6-5d4c-a8a7-f228761c0825"),
    "a key of a cache at OpenAI": (
        lambda: cache_key("s", [ToolSpec("pay", "Pay.", {"type": "object"})]),
        "graphengine-4573ef58081cc982f390fcd117e1cd25",
    ),
    "effects in snapshots": (lambda: (BEGUN, UNKNOWN), ("begun ", "unknown ")),
    "a trace": (
        lambda: f"{(ids := Ids.of('r', 1000.5)).trace:032x} {ids.span('attempt', 'work', 1):016x}",
        "572c15a95f4e2211a70ac4d5d1765eaa f8f945ddef8a2397",
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_as_it_was(name: str) -> None:
    """It is the same in every version, process and Python."""
    make, kept = NAMES[name]
    assert make() == kept
