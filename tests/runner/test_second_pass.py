"""`Runner(run_again=True)` logs what a node does again after a wait, outside its recorded work."""

import asyncio
import logging
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from pydantic import BaseModel

from graphengine import Context, Runner
from graphengine.errors import RunText
from tests.kit.runs import alone


class Number(BaseModel):
    """A number."""

    n: int = 0


def write(path: Path) -> int:
    """Write a file."""
    with path.open("a", encoding="utf-8") as file:
        return file.write("a")


def connect(path: Path) -> int:
    """Try to connect to a socket that does not exist."""
    with socket.socket(socket.AF_UNIX) as made:
        return made.connect_ex(str(path))


def begin_process(path: Path) -> int:
    """Begin a process."""
    return subprocess.run([sys.executable, "-S", "-E", "-c", ""], cwd=path.parent, check=False).returncode


async def logged(
    work: Callable[[Context], Awaitable[None]], caplog: pytest.LogCaptureFixture, *, run_again: bool = True
) -> list[str]:
    """Return what is logged of a node that does this."""

    async def node(n: int, ctx: Context) -> int:
        await work(ctx)
        return n

    caplog.clear()
    with caplog.at_level(logging.WARNING, "graphengine.runner"):
        async with Runner(run_again=run_again) as runner:
            result = await runner.start(alone(Number, node, "n"), {"n": 3}).result()
    assert result.status == "finished"
    return caplog.messages


@pytest.mark.parametrize("act", [write, connect, begin_process])
@pytest.mark.parametrize("in_thread", [False, True])
async def test_what_a_node_does_again_is_logged_once(
    act: Callable[[Path], int],
    in_thread: object,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A file, a socket and a process, in the node and in a thread that it begins."""

    async def work(ctx: Context) -> None:
        for name in ("a", "b"):
            await asyncio.to_thread(act, tmp_path / name) if in_thread else act(tmp_path / name)
        await ctx.sleep(0.001)

    [message] = await logged(work, caplog)
    assert message.startswith("acts_before_wait: node work (run ")
    assert "await ctx.call(function, …)" in message
    [record] = caplog.records
    assert isinstance(record.args, tuple)
    assert isinstance(record.args[-1], RunText)  # the path, address or command, which an operator's log leaves out
    assert not await logged(work, caplog, run_again=False)


async def test_what_is_recorded_or_comes_after_the_last_wait_is_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Reading a file before a wait changes nothing, and is not logged either."""

    async def work(ctx: Context) -> None:
        await ctx.call(write, tmp_path / "a")
        assert (tmp_path / "a").read_text(encoding="utf-8") == "a"
        await ctx.sleep(0.001)
        await ctx.sleep(0.002)
        write(tmp_path / "b")

    assert not await logged(work, caplog)


async def test_what_is_between_two_waits_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The first wait is over, and the second one starts the node again."""

    async def work(ctx: Context) -> None:
        await ctx.sleep(0.001)
        write(tmp_path / "a")
        await ctx.sleep(0.002)

    [message] = await logged(work, caplog)
    assert str(tmp_path / "a") in message


async def test_other_nodes_and_the_store_are_not_watched(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What code outside the node writes meanwhile is not of the node."""

    async def work(ctx: Context) -> None:
        await asyncio.sleep(0)
        await ctx.sleep(0.001)

    async def write_often() -> None:
        while True:
            write(tmp_path / "a")
            await asyncio.sleep(0)

    beside = asyncio.create_task(write_often())
    assert not await logged(work, caplog)
    beside.cancel()
    caplog.clear()

    async def node(n: int, ctx: Context) -> int:
        await ctx.call(abs, n)
        await ctx.sleep(0.001)
        return n

    async with Runner(tmp_path / "runs.db", run_again=True) as runner:
        await runner.start(alone(Number, node, "n"), {"n": 3}).result()
    assert not caplog.messages
