"""The connections of a server: how many there are, and how long a client can keep one waiting."""

import asyncio
import socket
from contextlib import ExitStack
from typing import Any

from graphengine.serve.callers import NOBODY, Caller, Right
from graphengine.serve.connections import Connections, Shares, until_gone, watched
from graphengine.serve.listening import listen
from graphengine.serve.messages import RequestInvalid


class Opened(asyncio.WriteTransport):
    """A connection that notes whether it was closed."""

    is_aborted = False

    def abort(self) -> None:
        """Close it."""
        self.is_aborted = True


def closed(*connections: Opened) -> list[bool]:
    """Return which connections were closed."""
    return [each.is_aborted for each in connections]


async def test_at_the_limit_the_one_that_waited_longest_is_closed() -> None:
    """A request in progress is never interrupted: if all are, the new connection is closed."""
    limited = Connections(2)
    first, second, third, fourth = (Opened() for _ in range(4))
    for each in (first, second):
        limited.open(each)
    limited.work(first)
    limited.open(third)
    assert closed(first, second, third) == [False, True, False]
    limited.work(third)
    limited.open(fourth)
    assert closed(first, third, fourth) == [False, False, True]
    limited.wait(first)
    limited.close(third)
    limited.open(fourth)
    assert closed(first, third) == [False, False]
    limited.close(first)
    limited.close(fourth)


async def test_a_client_that_sends_nothing_in_time_is_closed() -> None:
    """More than once noted, it waits since the first time; with a request in progress no time counts."""
    limited = Connections(10, seconds=0.0)
    first, second = Opened(), Opened()
    for each in (first, second):
        limited.open(each)
        limited.wait(each)
    limited.work(second)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert closed(first, second) == [True, False]


async def test_an_answer_does_not_wait_for_an_acknowledgement() -> None:
    """Its parts are sent at once: with Nagle's algorithm, each one on a connection that is kept takes 40 ms more."""
    listening = listen(0)
    accepted = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(lambda _, writer: accepted.set_result(writer), sock=listening)
    async with server:
        _, client = await asyncio.open_connection(*listening.getsockname()[:2])
        writer: asyncio.StreamWriter = await accepted
        assert writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        for each in (writer, client):
            each.close()
            await each.wait_closed()


USERS: frozenset[Right] = frozenset(("start", "read"))


def admitted(shares: Shares, holding: ExitStack, who: Caller, number: int) -> int:
    """Begin so many requests of a caller; return how many are let in."""
    for count in range(number):
        try:
            holding.enter_context(shares.held(who))
        except RequestInvalid as error:
            return count if error.status == 429 else -1
    return number


def test_each_caller_has_a_share_of_the_requests() -> None:
    """A user a quarter, a tenant half; then the modest before the greedy; the operator is always served."""
    shares, operator = Shares(64), Caller("")
    ada, bob, eve = (Caller(name, "north", USERS) for name in ("ada", "bob", "eve"))
    sam, new = Caller("sam", "south", USERS), Caller("new", "west", USERS)
    with ExitStack() as holding:
        for _ in range(100):
            holding.enter_context(shares.held(NOBODY))  # what is read without a token does not count
        assert admitted(shares, holding, ada, 99) == 16
        assert admitted(shares, holding, bob, 99) == 16
        assert admitted(shares, holding, eve, 1) == 0
        assert admitted(shares, holding, sam, 99) == 16
        assert admitted(shares, holding, new, 99) == 8
        assert admitted(shares, holding, sam, 1) == 0
        assert admitted(shares, holding, operator, 1) == 0
    assert admitted(shares, holding, operator, 99) == 56
    assert admitted(shares, holding, ada, 1) == 0
    holding.close()
    with ExitStack() as again:
        assert admitted(shares, again, ada, 99) == 16


def test_the_operator_has_a_reserve() -> None:
    """Users cannot take the connections that are left for those who run the server."""
    shares = Shares(64)
    with ExitStack() as holding:
        for number in range(3):
            assert admitted(shares, holding, Caller(f"u{number}", f"t{number}", USERS), 99) == 16
        assert admitted(shares, holding, Caller(""), 99) == 8


async def test_a_request_whose_client_has_gone_waits_no_longer() -> None:
    """What a handler waits for ends with its client; the body was read before, and is there."""
    left = asyncio.Event()

    async def receive() -> Any:
        await left.wait()
        return {"type": "http.disconnect"}

    with watched(b"{}", receive) as receiving:
        assert (await receiving())["body"] == b"{}"
        waiting = asyncio.create_task(until_gone())
        await asyncio.sleep(0)
        assert not waiting.done()
        left.set()
        await waiting
        assert (await receiving())["type"] == "http.disconnect"
