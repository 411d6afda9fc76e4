"""Nodes that act before a wait, in many forms, and nodes that look alike and do nothing twice.

Each function of `ACTS` does something before a wait that happens again after the wait. The functions of `INNOCENT` act
after their last wait, record what they do, or may be repeated.
"""

# ruff: noqa: ASYNC210, ASYNC221, ASYNC230, DTZ005, DTZ006, PLC0415, PTH109, PTH123, S113, S311, SIM115, PERF401
# mypy: ignore-errors

import asyncio
import contextlib
import datetime as dt
import logging
import os
import random
import smtplib
import socket
import sqlite3
import subprocess as sp
import time
import urllib.request
import uuid
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any
from urllib.request import urlopen as fetch
from uuid import uuid4 as new_id

import httpx
from pydantic import BaseModel

from graphengine import END, START, Agent, Context, Graph
from tests.checks.test_effects_that_wait import child

log = logging.getLogger(__name__)
agent = Agent("writer", prompt="{kind}")
HTTP = httpx.Client()


class Mails(BaseModel):
    """What the nodes read."""

    kind: str = ""
    kinds: list[str] = []
    text: str = ""
    folder: str = ""
    result: Any = None


def graph_of(*functions: Callable[..., object], **options: Any) -> Graph[Mails]:
    """Return a graph with a node for each function."""
    graph = Graph("mails", Mails, resources={"mailer": Mailer, "locks": lambda: None})
    for each in functions:
        graph.add_node(name_of(each), each, writes="result", **options)
    graph.add_path(START, *map(name_of, functions), END)
    return graph


class Mailer:
    """A client of the user."""

    def __init__(self) -> None:
        self.http = httpx.AsyncClient()
        self.log = sqlite3.connect(":memory:")
        self.lines: list[str] = []

    async def send(self, text: str) -> None:
        self.lines.append(text)


class Desk:
    """An object whose methods are nodes."""

    def __init__(self) -> None:
        self.client = httpx.Client()

    async def post(self, ctx: Context, text: str) -> None:
        self.client.post("https://example.org", json={"text": text})
        await ctx.sleep(1)


async def awaits_a_client(mailer: Mailer, ctx: Context) -> None:
    await mailer.send("a")
    await ctx.sleep(1)


async def awaits_an_attribute(mailer: Mailer, ctx: Context) -> str:
    response = await mailer.http.get("https://example.org")
    return await ctx.ask(f"{response.text}?")


async def calls_an_alias(ctx: Context) -> str:
    sp.run(["true"], check=True)
    return await ctx.ask("Well?")


async def calls_an_imported_function(ctx: Context) -> Any:
    fetch("https://example.org")
    return await ctx.receive("post")


async def imports_inside(text: str, ctx: Context) -> None:
    import requests as http

    http.post("https://example.org", json={"text": text})
    await ctx.sleep_until(9.0)


async def acts_in_a_comprehension(kinds: list[str], mailer: Mailer, ctx: Context) -> str:
    [await mailer.send(kind) for kind in kinds]
    return await ctx.ask("Sent?")


async def acts_in_a_closure(kinds: list[str], ctx: Context) -> str:
    def notify(kind: str) -> None:
        smtplib.SMTP("localhost").sendmail("a", "b", kind)

    for kind in kinds:
        notify(kind)
    return await ctx.ask("Sent?")


async def waits_first_in_a_loop(mailer: Mailer, ctx: Context) -> None:
    while True:
        text = await ctx.receive("post", str)
        if text == "end":
            break
        await mailer.send(text)


async def begins_in_gather(kinds: list[str], mailer: Mailer, ctx: Context) -> None:
    await asyncio.gather(*(mailer.send(kind) for kind in kinds))
    await ctx.sleep(1)


async def acts_beside_the_wait(mailer: Mailer, ctx: Context) -> Any:
    return await asyncio.gather(ctx.ask("Well?"), mailer.send("a"))


async def measures_a_wait(ctx: Context) -> float:
    began = time.perf_counter()
    await ctx.sleep(1)
    return time.perf_counter() - began


async def calls_an_attribute(mailer: Mailer, ctx: Context) -> str:
    mailer.log.execute("insert into mails values (1)")
    return await ctx.ask("Well?")


async def writes_a_file(folder: str, ctx: Context) -> str:
    (Path(folder) / "a.txt").write_text("a")
    return await ctx.ask("Right?")


async def opens_a_file_to_append(ctx: Context) -> str:
    with open("log.txt", "a") as file:
        file.write("asked\n")
    return await ctx.ask("Right?")


async def inserts_a_row(ctx: Context) -> str:
    connection = sqlite3.connect("shop.db")
    cursor = connection.cursor()
    cursor.execute("insert into orders values (1)")
    return await ctx.ask("Right?")


async def waits_in_a_lock(locks: Any, ctx: Context) -> None:
    async with locks.of("seat"):
        await ctx.sleep(1)


async def gives_back_early(locks: Any, ctx: Context) -> None:
    try:
        await ctx.sleep(1)
    finally:
        log.info("over")
        locks.give_back("12a")


async def names_an_order(ctx: Context) -> str:
    order = new_id().hex
    await ctx.ask(f"Pay {order}?")
    return order


async def draws_by_chance(kinds: list[str], ctx: Context) -> str:
    kind = random.choice(kinds)
    await ctx.sleep(1)
    return kind


async def takes_the_time(ctx: Context) -> float:
    began = dt.datetime.now()
    await ctx.sleep(1)
    return began.timestamp()


async def acts_before_a_child(mailer: Mailer, ctx: Context) -> Any:
    run = await ctx.start(child)
    await mailer.send("started")
    return (await run.result()).state


async def opens_a_socket_in_a_branch(kind: str, ctx: Context) -> None:
    if kind == "loud":
        connection = socket.create_connection(("localhost", 9))
        connection.sendall(b"a")
    await ctx.sleep(1)


async def hands_work_to_a_thread(ctx: Context) -> str:
    page = await asyncio.to_thread(urllib.request.urlopen, "https://example.org")
    return await ctx.ask(f"{page}?")


def post_later() -> str:
    return HTTP.post("https://example.org").text


async def acts_in_a_helper(ctx: Context) -> str:
    return await ctx.ask(post_later())


async def ask_politely(context: Context, question: str) -> str:
    return await context.ask(f"Please: {question}")


async def waits_in_a_helper(mailer: Mailer, ctx: Context) -> str:
    await mailer.send("a")
    return await ask_politely(ctx, "Well?")


ACTS: dict[str, Callable[..., object]] = {
    each.__name__: each
    for each in (
        awaits_a_client,
        awaits_an_attribute,
        calls_an_alias,
        calls_an_imported_function,
        imports_inside,
        acts_in_a_comprehension,
        acts_in_a_closure,
        waits_first_in_a_loop,
        begins_in_gather,
        acts_beside_the_wait,
        measures_a_wait,
        calls_an_attribute,
        writes_a_file,
        opens_a_file_to_append,
        inserts_a_row,
        waits_in_a_lock,
        gives_back_early,
        names_an_order,
        draws_by_chance,
        takes_the_time,
        acts_before_a_child,
        opens_a_socket_in_a_branch,
        hands_work_to_a_thread,
        acts_in_a_helper,
        waits_in_a_helper,
        Desk().post,
    )
}


async def acts_after_the_wait(mailer: Mailer, ctx: Context) -> str:
    answer = await ctx.ask("Send?")
    await mailer.send(answer)
    return uuid.uuid4().hex


async def records_each_call(kinds: list[str], mailer: Mailer, ctx: Context) -> list[str]:
    await asyncio.gather(*(ctx.call(mailer.send, kind) for kind in kinds))
    await ctx.call(partial(mailer.send, "a"))
    task = asyncio.create_task(ctx.call(new_id))
    more = []
    for kind in kinds:
        more.append(ctx.call(mailer.send, kind))
    await asyncio.wait_for(asyncio.gather(*more), 9)
    async with asyncio.TaskGroup() as group:
        group.create_task(ctx.call(new_id, key="b"))
    return [str(await task), await ctx.ask("Sent?")]


async def acts_in_another_branch(kind: str, mailer: Mailer, ctx: Context) -> str:
    if kind == "sure":
        await mailer.send(kind)
        return kind
    try:
        return await ctx.ask("Kind?", timeout_seconds=9)
    except TimeoutError:
        await mailer.send("nobody answered")
        raise


async def computes(kinds: list[str], ctx: Context) -> str:
    log.info("%s at %s", len(kinds), os.getcwd())
    text = Path("a").name + ctx.random.choice(kinds) + str(ctx.now()) + str(uuid.uuid5(uuid.NAMESPACE_URL, "a"))
    when = dt.datetime.fromtimestamp(ctx.now())
    with contextlib.suppress(ValueError):
        return await ctx.ask(f"{text} {when:%H}?")
    await asyncio.sleep(0)
    return await ctx.ask(text)


async def waits_for_children(kinds: list[str], ctx: Context) -> list[Any]:
    runs = [await ctx.start(child, {"kind": kind}) for kind in kinds]
    first = await runs[0].result()
    return [first, *await asyncio.gather(*(run.result() for run in runs))]


async def asks_an_agent(kind: str, ctx: Context) -> str:
    found = await agent.run(kind=kind)
    return await ctx.ask(f"{found}?")


async def measures(ctx: Context) -> str:
    began = time.monotonic()
    found = await ctx.call(str, 1)
    log.info("took %s s", time.monotonic() - began)
    return await ctx.ask(found)


async def calls_helpers(kinds: list[str], ctx: Context) -> list[str]:
    async def one(kind: str) -> str:
        return await ctx.ask(kind)

    async def retry(function: Callable[[], Any]) -> Any:
        return await function()

    first = await retry(lambda: ctx.call(len, kinds))
    return [str(first), *[await one(kind) for kind in kinds], await ask_politely(ctx, "Last?")]


async def acts_in_a_recorded_function(kinds: list[str], mailer: Mailer, ctx: Context) -> str:
    async def act() -> str:
        await mailer.send(kinds[0])
        return new_id().hex

    found = await ctx.call(act)
    return await ctx.ask(found)


async def seeds(ctx: Context) -> str:
    rows = random.Random(4).sample(range(9), 2)
    lines = open("a.txt").read()
    return await ctx.ask(f"{rows} {lines}")


INNOCENT: dict[str, Callable[..., object]] = {
    each.__name__: each
    for each in (
        acts_after_the_wait,
        records_each_call,
        acts_in_another_branch,
        computes,
        waits_for_children,
        asks_an_agent,
        measures,
        calls_helpers,
        acts_in_a_recorded_function,
        seeds,
    )
}


async def mails_and_waits(text: str, mailer: Mailer, ctx: Context) -> None:
    await mailer.send(text)
    await ctx.sleep(1)


async def waits(ctx: Context) -> None:
    await ctx.sleep(1)


def announced(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    async def announce(*args: Any, **kwargs: Any) -> Any:
        await OUTBOX.send("begins")
        return await function(*args, **kwargs)

    return announce


def announced_after(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    async def announce(*args: Any, **kwargs: Any) -> Any:
        result = await function(*args, **kwargs)
        await OUTBOX.send("ended")
        return result

    return announce


def counted(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def count(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return count


class Courier:
    """An object that is itself a node."""

    async def __call__(self, ctx: Context, text: str) -> None:
        await OUTBOX.send(text)
        await ctx.sleep(1)


def returns_a_coroutine(ctx: Context, text: str) -> Any:
    return mails_and_waits(text, OUTBOX, ctx)


OUTBOX = Mailer()
courier = Courier()
in_a_lambda, a_lambda_that_waits = (lambda ctx, text: courier(ctx, text)), (lambda ctx: waits(ctx))  # noqa: PLW0108 - the lambdas are tested


def name_of(function: Callable[..., object]) -> str:
    """Return the name of a function, or of the class of another object."""
    return getattr(function, "__name__", type(function).__name__).strip("<>")
