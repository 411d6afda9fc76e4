"""One connection to an MCP server, which has its own task.

The client of the `mcp` package must be exited by the task that entered it, while tool calls come from many tasks. Each
connection therefore has its own task: it enters the client, reports that the client is ready, waits for the end, and
exits the client. Whenever that task has ended, the server's process has ended as well, because the package closes the
input of the process, waits, and kills the process with its children.
"""

from __future__ import annotations

import asyncio
import codecs
import contextvars
import importlib
import logging
import os
import sys
import threading
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from graphengine.agents.tools import ToolsUnavailable
from graphengine.kernel.extension import clipped
from graphengine.kernel.inside import install_command, text_of
from graphengine.models.hiding import LEAST, forms_of, names_secret, start_of, whole_lines, without, without_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import httpx2
    from anyio import CancelScope
    from mcp import Client, types
    from mcp.client import ClientRequestContext, Transport
    from mcp.client.session import IncomingMessage

    from graphengine.agents.mcp_repairs import Repairs

log = logging.getLogger("graphengine.agents")

_NAME_CHARACTERS: Final = 80
_TAIL_CHARACTERS: Final = 1_000
_READ_CHARACTERS: Final = 65_536
"""The largest number of characters that are kept of an unfinished line.

As many characters are searched for secrets in a line that is not a message.
"""
_JOIN_SECONDS: Final = 1.0
_NOBODY: Final = "no person can be asked here, only in a run, by a server of the revision 2026-07-28 or later"


@dataclass(frozen=True)
class ServerAddress:
    """How to reach an MCP server.

    Attributes:
        command: The command that starts the server; () if the server is reached by `url`.
        url: The address of a running server; "" if the server is started by `command`.
        env: Environment variables that are added to the few that the server inherits.
        headers: Headers of each request to `url`.
        auth: Authorizes requests to `url`.
    """

    command: tuple[str, ...] = ()
    url: str = ""
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    auth: httpx2.Auth | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The name of the server in messages: its command or url, without secrets."""
        return clipped(self.public(" ".join(self.command) or self.url.partition("?")[0]), _NAME_CHARACTERS)

    def public(self, text: str) -> str:
        """Remove all credentials of the server from a text of graphengine, including those in urls and options."""
        return without_options(self.struck(text))

    def struck(self, text: str) -> str:
        """Remove the values of secret environment variables and headers from a text."""
        return without(text, self.forms)

    def line(self, error: Exception) -> str:
        """Return the beginning of a server's output line that the client could not read as a message, without secrets.

        The line is taken from the client's error, and appears in an error message.
        """
        from pydantic import ValidationError  # noqa: PLC0415

        given = error.errors(include_url=False)[0]["input"] if isinstance(error, ValidationError) else error
        line = given if isinstance(given, str) else repr(given)
        text = self.public(start_of(line, _READ_CHARACTERS))
        return clipped(repr(text) if line is given else text, _NAME_CHARACTERS)

    @cached_property
    def forms(self) -> Sequence[str]:
        """All texts as which the secrets in this server's environment variables and headers can occur.

        These texts are removed from everything that the server sends.
        """
        given = (*self.env.items(), *self.headers.items())
        secrets = [value for name, value in given if names_secret(name) or "auth" in name.lower()]
        secrets += [value.rpartition(" ")[2] for value in secrets]  # the token of `Bearer …`
        return forms_of(each for each in secrets if len(each) >= LEAST)


class ServerConnection:
    """A connection to an MCP server, which runs in an asyncio task of its own.

    Attributes:
        calls: The number of calls and reads in flight.
        changes: How many times the server has reported that its tools have changed.
        repairs: The repairs of messages; set once the `mcp` package is loaded.
    """

    def __init__(self, address: ServerAddress) -> None:
        self._address = address
        self._over = asyncio.Event()
        self._ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._errors: _Errors | None = None
        self._noise = ""
        self._task: asyncio.Task[None] | None = None
        self._scope: CancelScope | None = None
        self.calls = 0  # the number of calls and reads in flight
        self.changes = 0  # how many times the server reported that its tools changed
        self.repairs: Repairs  # set once the package is loaded

    @property
    def client(self) -> Client:
        return self._ready.result()

    @property
    def tells(self) -> bool:
        """Whether a list of the server's tools may be used until the server reports that its tools have changed.

        True if the server promises to report changes, and if one process of the server answers all requests of the
        connection. Otherwise a report could be missed.
        """
        tools = self.client.server_capabilities.tools
        return bool(self._address.command and tools is not None and tools.list_changed and self.is_older)

    @property
    def is_older(self) -> bool:
        """Whether the server speaks a protocol revision before 2026-07-28.

        Such a server does not state how long a list may be kept.
        """
        from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS  # noqa: PLC0415 - loaded by now

        return self.client.protocol_version in HANDSHAKE_PROTOCOL_VERSIONS

    @property
    def ended(self) -> bool:
        return self._task is None or self._task.done()

    async def start(self, timeout_seconds: float) -> None:
        """Start the server, and wait until it has answered.

        Raises:
            ToolsUnavailable: The server did not start, or did not answer in time. It has been stopped.
        """
        await self._load()
        # The task gets an empty context instead of the context of the first caller, because the connection outlives
        # that caller's node and serves other callers.
        self._task = asyncio.create_task(self._live(), context=contextvars.Context(), name=f"mcp {self._address.name}")
        self._task.add_done_callback(self._retrieve)
        either: set[asyncio.Future[Any]] = {self._task, self._ready}
        began = self._ready.get_loop().time()
        try:
            await asyncio.wait(either, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self.stop()
            raise
        if self._ready.done() and not self._task.done():
            self._warn_if_slow(self._ready.get_loop().time() - began)
            return
        late = not self._task.done()
        await self.stop()
        why = _late(timeout_seconds) if late else self._why(self._task)
        raise ToolsUnavailable(
            f"the MCP server {self._address.name!r} cannot be used: {why}{await self.wrote()}",
            where=f"mcp {self._address.name}",
            repair=_BY_COMMAND if self._address.command else _BY_URL,
        )

    def _warn_if_slow(self, seconds: float) -> None:
        """Log a warning if the server did not answer `server/discover`, the first request of a new connection.

        A server of an older protocol revision may ignore this request. The client then waits for the whole timeout of
        the request before it sends `initialize`, so that every start of the server takes this long.
        """
        from mcp.client.session import DISCOVER_TIMEOUT_SECONDS  # noqa: PLC0415 - loaded by now
        from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS  # noqa: PLC0415

        if seconds >= DISCOVER_TIMEOUT_SECONDS and self.client.protocol_version in HANDSHAKE_PROTOCOL_VERSIONS:
            log.warning(_IGNORES, self._address.name, DISCOVER_TIMEOUT_SECONDS)

    def release(self) -> None:
        """Ask the connection to end in its own task, without waiting for its end."""
        self._over.set()

    async def stop(self) -> None:
        """End the connection to the server and wait until it has ended, even if this wait itself is cancelled."""
        self.release()
        task, cancelled = self._task, False
        if task is not None and not self._ready.done():
            if self._scope is None:
                task.cancel()  # the task has not started yet
            else:
                self._scope.cancel()
        while task is not None and not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError

    async def wrote(self) -> str:
        """Return the last output of a server that has ended, for an error message; "" if there is no output."""
        text = ""
        if self._noise:
            text += f"; it wrote a line that is not a message: {self._noise}"
        if self._errors is not None:
            await asyncio.to_thread(self._errors.join)
            if self._errors.tail.strip():
                text += f"; its last output: {self._errors.tail.strip()}"
        return text

    async def _load(self) -> None:
        try:
            await asyncio.to_thread(importlib.import_module, "mcp")
        except ImportError as error:
            raise ToolsUnavailable(
                f"the tools of the MCP server {self._address.name!r} need the package 'mcp': {error}",
                where=f"mcp {self._address.name}",
                repair=f"install the package: {install_command('mcp')}",
            ) from error
        logger = logging.getLogger("mcp")
        if not logger.handlers:  # else Python would print each line of a server that is not a message
            logger.addHandler(logging.NullHandler())

    async def _live(self) -> None:
        from anyio import CancelScope  # noqa: PLC0415 - loaded by now
        from mcp import Client, Implementation  # noqa: PLC0415

        from graphengine.agents.mcp_repairs import Repairs  # noqa: PLC0415 - it needs the package
        from graphengine.agents.mcp_tasks import Tasks  # noqa: PLC0415 - as above

        self.repairs = Repairs()

        info = Implementation(name="graphengine", version=sys.modules["graphengine"].__version__)
        try:
            # The task is ended by its scope and not by task.cancel(), which would interrupt the package while it shuts
            # down the process.
            with CancelScope() as self._scope:
                async with AsyncExitStack() as stack:
                    transport = await self._transport(stack)
                    client = Client(
                        self.repairs.of(transport),
                        cache=None,
                        client_info=info,
                        extensions=[Tasks()],
                        message_handler=self._receive_message,
                        # This callback also declares that the client can ask a person; `Repairs` limits that to newer
                        # servers.
                        elicitation_callback=refuse_to_ask,
                    )
                    await stack.enter_async_context(client)
                    self._ready.set_result(client)
                    await self._over.wait()
        finally:
            if self._errors is not None:
                self._errors.ours.close()  # this process's copy of the end of the pipe to which the server writes

    async def _transport(self, stack: AsyncExitStack) -> Transport:
        from mcp import StdioServerParameters, stdio_client  # noqa: PLC0415

        address = self._address
        if not address.command:
            import httpx2  # noqa: PLC0415 - the mcp package needs it
            from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415

            from graphengine.agents.mcp_repairs import read_soundly  # noqa: PLC0415

            timeout = httpx2.Timeout(_HTTP_SECONDS, read=None)
            hooks = {"response": [read_soundly]}
            headers = dict(address.headers)
            http = httpx2.AsyncClient(headers=headers, auth=address.auth, timeout=timeout, event_hooks=hooks)
            return streamable_http_client(address.url, http_client=await stack.enter_async_context(http))
        self._errors = _Errors(address)
        program, *arguments = address.command
        server = StdioServerParameters(
            command=program, args=arguments, env=dict(address.env), encoding_error_handler="replace"
        )
        return stdio_client(server, errlog=self._errors.ours)

    async def _receive_message(self, message: IncomingMessage) -> None:
        """Receive a message that the server sends on its own: a notification, or a line that the client cannot read.

        A report of changed tools is counted. The first line that is not a message is kept, because it may explain in an
        error message why the server does not work.
        """
        from mcp.types import ToolListChangedNotification  # noqa: PLC0415 - loaded by now

        if isinstance(message, ToolListChangedNotification):
            self.changes += 1
        elif isinstance(message, Exception) and not self._noise:
            self._noise = self._address.line(message)

    def _retrieve(self, task: asyncio.Task[None]) -> None:
        """Log the exception of the connection's task.

        Without this callback, asyncio would print it as never retrieved.
        """
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("%s ended: %s", task.get_name(), self._address.public(repr(error)))

    def _why(self, task: asyncio.Task[None]) -> str:
        error = None if task.cancelled() else task.exception()
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if error is None or is_closed(error):
            return "it ended before it answered"
        if isinstance(error, FileNotFoundError) and self._address.command:
            return f"there is no program {self._address.command[0]!r}"
        return self._address.public(f"{type(error).__name__}: {text_of(error)}")


async def refuse_to_ask(context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ErrorData:
    """Refuse a question that an older MCP server asks the client while a tool call is in progress.

    The server expects the answer in the same process, so the answer would be lost if this process died before a person
    answers.
    """
    from mcp.types import INVALID_REQUEST, ErrorData  # noqa: PLC0415 - loaded by now

    del context, params
    return ErrorData(code=INVALID_REQUEST, message=_NOBODY)


def is_closed(error: BaseException) -> bool:
    """Return whether an error of the `mcp` client means that the connection to the server has ended."""
    from mcp import MCPError  # noqa: PLC0415 - loaded by now
    from mcp.types import CONNECTION_CLOSED  # noqa: PLC0415

    # A server may use this code for its own errors, but not with this text.
    return isinstance(error, MCPError) and error.code == CONNECTION_CLOSED and error.message == "Connection closed"


def is_lost(error: BaseException | None, method: str) -> bool:
    """Return whether an error of a request means that the server no longer knows the session of the connection.

    `method` is the method of this request. An error of another request in the same session does not count.
    """
    from mcp import MCPError  # noqa: PLC0415 - loaded by now

    from graphengine.agents.mcp_repairs import SESSION_LOST  # noqa: PLC0415 - it needs the package

    return isinstance(error, MCPError) and error.message == SESSION_LOST + method


def is_refusal(error: BaseException) -> bool:
    """Return whether the server rejected a call as invalid, so that the call certainly had no effect."""
    from mcp import MCPError  # noqa: PLC0415 - loaded by now
    from mcp.types import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR  # noqa: PLC0415

    refusals = (INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR)
    if not isinstance(error, MCPError) or error.code not in refusals:
        return False
    return not error.message.startswith("Failed to parse ")  # the client itself raises this error about an answer


def _late(timeout_seconds: float) -> str:
    """Return the part of an error message that explains which requests the server did not answer in time.

    An example is `it did not answer within 60 seconds: neither server/discover nor initialize`.
    """
    from mcp.client.session import DISCOVER_TIMEOUT_SECONDS  # noqa: PLC0415 - loaded by now

    late = f"it did not answer within {timeout_seconds:g} seconds"
    if timeout_seconds > DISCOVER_TIMEOUT_SECONDS:
        return f"{late}: neither server/discover nor initialize"
    return (
        f"{late}: it was asked server/discover, and one that ignores that is asked initialize only after "
        f"{DISCOVER_TIMEOUT_SECONDS:g}, for which timeout_seconds= must be longer"
    )


class _Errors:
    """Reads the standard error of a server, logs it at DEBUG level without secrets, and keeps its end for errors.

    A thread reads the output, because the server would block on a full pipe. The thread ends when the server's end of
    the pipe is closed.
    """

    def __init__(self, address: ServerAddress) -> None:
        theirs, ours = os.pipe()
        self.ours = os.fdopen(ours, "w", encoding="utf-8")
        self.tail = ""
        self._address = address
        self._thread = threading.Thread(target=self._read, args=(theirs,), daemon=True, name="mcp stderr")
        self._thread.start()

    def join(self) -> None:
        """Wait at most one second until all output of a server that has ended is read."""
        self._thread.join(_JOIN_SECONDS)

    def _read(self, theirs: int) -> None:
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        left = ""
        with os.fdopen(theirs, "rb", buffering=0) as pipe:
            while piece := pipe.read(65_536):
                hide, forms = self._address.public, self._address.forms
                lines, left = whole_lines(left + decode(piece), hide, forms, _READ_CHARACTERS)
                self._keep(lines)
        self._keep(self._address.public(left + decode(b"", final=True)))

    def _keep(self, text: str) -> None:
        self.tail = (self.tail + text)[-_TAIL_CHARACTERS:]
        if text and log.isEnabledFor(logging.DEBUG):
            log.debug("stderr of an MCP server: %s", text.rstrip())


_IGNORES: Final = (
    "the MCP server %s does not answer server/discover, and is asked initialize after %g seconds at each start\n"
    "  repair: update it, or have it refuse methods that it does not know"
)
_HTTP_SECONDS: Final = 30.0
_BY_COMMAND: Final = (
    "run the command by hand and check its output. The server gets only a few of this process's environment variables "
    "(PATH, HOME …); give others with env={…}"
)
_BY_URL: Final = "check that the server runs, and that the url leads to its MCP endpoint (often …/mcp)"

__all__ = ["ServerAddress", "ServerConnection", "is_closed", "is_lost", "is_refusal"]
