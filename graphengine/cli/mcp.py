"""`graphengine mcp`: serve graphs as tools of an MCP server over stdin and stdout."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import click

from graphengine.cli import options
from graphengine.cli.places import lock_options
from graphengine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from graphengine.cli.context import CommandContext
    from graphengine.serve.service.app import Service


@options.command(
    "mcp",
    options.MODEL,
    options.DATABASE,
    *options.OBSERVED,
    examples="""
        graphengine mcp
        graphengine mcp flows/review.py --store runs.db
    """,
    exits={
        0: "the client closed stdin, or SIGTERM ended the server; another process can continue its runs",
        2: "a graph cannot be used, or the extras `serve` and `mcp` are not installed",
    },
)
@click.argument("references", metavar="[FILE[:NAME]]...", nargs=-1, shell_complete=options.complete_graphs)
@click.option(
    "--queue",
    metavar="NAME",
    help="Do not drive runs here, but put all runs into this queue, from which workers take them.",
)
@options.concurrency(16)
@options.poll
def mcp(context: CommandContext, /, references: tuple[str, ...], **given: Any) -> int:  # noqa: ANN401 - three options
    """Serve graphs as the tools of an MCP server over stdin and stdout, for the program that starts this command.

    The MCP server offers the graphs of the given files, or all graphs of the project, as tools. A call of a tool starts
    a run. If the run asks a question, the server passes the question to the client. Only messages of the protocol are
    written to stdout, also with --json. The runs are shown on stderr.

    The process of the MCP server drives the runs like a worker of the queue `default`. With --queue, the process only
    records the runs, and workers drive them. `graphengine serve --mcp` serves the same tools over HTTP.
    """
    from graphengine import __version__
    from graphengine.cli.driving import fleet_of, until_stopped
    from graphengine.cli.serve import TOKEN, token_of
    from graphengine.cli.worker import show_event
    from graphengine.kernel.inside import install_command

    try:
        from graphengine.serve.callers import Caller, acting
        from graphengine.serve.guard import TokenAccess
        from graphengine.serve.service.mcp_door import McpDoor
        from graphengine.serve.service.server import Serving, Settings
    except ImportError as error:
        text = f"the MCP server needs the Python package {error.name!r}, which is not installed"
        raise InputError(text, where="graphengine mcp", repair=install_command("serve,mcp")) from error
    fleet = fleet_of(context, references, only_able=given["queue"] is None)
    given |= fleet.for_runner
    shown, database = replace(context, out=context.err, json=False), context.place.database
    given["on_event"] = lambda event: show_event(shown, event)
    where = str(database.resolve() if isinstance(database, Path) else database)
    secret = token_of(None)[0] if TOKEN in os.environ else where
    with until_stopped(context, "start the command again, or start a worker") as (stopper, telemetry):
        given |= {**lock_options(), "telemetry": telemetry}
        serving = Serving(Settings(database, fleet.graphs, TokenAccess(secret), __version__, **given))

        async def talk(service: Service) -> None:
            import anyio
            from mcp.server.stdio import stdio_server

            stopper.drives(serving.stop)
            server = McpDoor(service, __version__, secret).server
            with os.fdopen(os.dup(context.out.number or 1), "w", encoding="utf-8") as stdout, _StdinLines() as lines:
                stdin = cast("anyio.AsyncFile[str]", lines)  # only the lines of this object are read
                async with stdio_server(stdin, anyio.wrap_file(stdout)) as (received, sent):
                    await server.run(received, sent, server.create_initialization_options())

        async def run() -> None:
            stopper.opens()
            with acting(Caller("")):  # the person who started this command
                await serving.run_stdio(talk)

        context.drive(run())
    return 0


class _StdinLines:
    """Reads lines from stdin in a thread, so that code of this process such as a node cannot take lines away.

    The thread may still wait for the next line when the process ends. Therefore it holds no lock that Python needs at
    its end.
    """

    def __enter__(self) -> Self:
        self._number = os.dup(0)
        with Path(os.devnull).open("rb") as null:
            os.dup2(null.fileno(), 0)
        return self

    def __exit__(self, *_: object) -> None:
        os.dup2(self._number, 0)

    async def __aiter__(self) -> AsyncIterator[str]:
        from graphengine.records.whole_characters import with_whole_characters

        lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(loop, lines), daemon=True, name="graphengine stdin").start()
        while (line := await lines.get()) is not None:
            yield with_whole_characters(line).decode("utf-8", "replace")

    def _read(self, loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[bytes | None]) -> None:
        left = b""
        with suppress(RuntimeError):  # the loop is closed
            while piece := os.read(self._number, 1 << 16):
                *whole, left = (left + piece).split(b"\n")
                for line in whole:
                    loop.call_soon_threadsafe(lines.put_nowait, line)
            loop.call_soon_threadsafe(lines.put_nowait, None)
