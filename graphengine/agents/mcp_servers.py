"""MCP: the tools of a server as tools of an agent.

`mcp("command")` is a source of tools. Opening the source starts the server and lists its tools, each tool call is sent
to the server, and closing the source ends the server. All agents that share a source in one event loop share one
server. If a call fails, even because the server dies, the model receives an error, and the next call starts the server
again.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import math
import os
import re
import shlex
from collections.abc import Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeVar
from weakref import WeakKeyDictionary

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from graphengine.agents.approval import Approval
from graphengine.agents.arguments import misfits
from graphengine.agents.mcp_connection import ServerAddress, ServerConnection, is_closed, is_lost, is_refusal
from graphengine.agents.mcp_input import CannotAsk, call_mcp_tool
from graphengine.agents.tools import Tool, ToolOutcome, ToolsUnavailable, unhurried
from graphengine.errors import DefinitionError
from graphengine.kernel.extension import is_seconds
from graphengine.kernel.inside import Effect, TimeLimit, check_tool_effect, text_of
from graphengine.media import Media, mark
from graphengine.models.hiding import without_options
from graphengine.models.tool_schemas import LONGEST_NAME, fitting_names

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence

    import httpx2
    from mcp import Client, types
    from pydantic import JsonValue

    from graphengine.agents.approval import Approve
    from graphengine.agents.tools import OnError

    P = TypeVar("P", bound=types.PaginatedResult)
    R = TypeVar("R")
    T = TypeVar("T")

log = logging.getLogger("graphengine.agents")

_LEFT_OUT: Final = "the tool %r of the MCP server %s is left out: %s"
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_-]")
_MAX_PAGES: Final = 1_000
_LISTED: Final = 20
_MAX_REMARKS: Final = 3
_BASE64_TO_BYTES: Final = 3 / 4
_SHOWN: Final = ("image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf")
"""The types of media that providers accept in results of tools."""


def mcp(  # noqa: PLR0913 - keyword options of a call that is written once
    command: str | Sequence[str] | None = None,
    *,
    url: str | None = None,
    env: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    auth: httpx2.Auth | None = None,
    only: Collection[str] | None = None,
    prefix: str = "",
    timeout_seconds: float = 60.0,
    max_seconds: float = 3600.0,
    approve: Approve | Collection[str] | Mapping[str, Approve] = False,
    media: bool = False,
    serial: bool | Collection[str] = False,
    effect: Effect | Mapping[str, Effect] | None = None,
    on_error: OnError = "report",
) -> McpServer:
    """Return the tools of an MCP server, for `Agent(tools=[mcp(…)])`. Needs the extra `mcp`.

    Args:
        command: The command that starts the server, which communicates over its standard input and output. Pass a list
            of words, or a text, which is split like a command line but not run by a shell.
        url: The address of a running server (Streamable HTTP), instead of a command.
        env: Environment variables of the server. The server inherits only PATH, HOME and a few more variables. Values
            whose names suggest keys, tokens, secrets or passwords are removed from all texts of the server.
        headers: Headers of each request to `url`, such as `{"Authorization": "Bearer …"}`. Secret values are removed
            from texts in the same way.
        auth: Authorizes requests to `url`. For example, an `OAuthClientProvider` of `mcp.client.auth` stores and renews
            its tokens.
        only: The tools to use, by their names at the server. By default all tools are used.
        prefix: A text that is put before each name, to distinguish the tools of two servers.
        timeout_seconds: How long the server may take to start and list its tools, and how long it may be silent during
            a call. Each report of progress restarts that time.
        max_seconds: How long a call may take in all, even if progress is reported; at least `timeout_seconds`.
        approve: Whether a person has to approve each call, or a rule as for `tool`. Or pass the tools that need
            approval, by their names at the server, as a list, or as a dict with a rule for each tool.
        media: Whether the model sees pictures and PDF documents in results. If False, a line of text describes them.
        serial: Whether a call never overlaps another call of its turn, as for `tool`. Or pass the tools to which this
            applies, by their names at the server.
        effect: The effect of calls outside the run, as for `tool`, or a dict of effects by the tools' names at the
            server. For tools without an effect here, the server's hints apply: `readOnlyHint` means `"read"`,
            `idempotentHint` means `"idempotent"`, and `destructiveHint` means `"once"`. Without hints, no effect is
            declared.
        on_error: The reaction if a call gets no result, because the server cannot be started, ends, does not answer in
            time or refuses the call. With `"report"` the model receives the error, with `"raise"` the node fails. A
            result that the server marks as an error is always passed to the model.

    Returns:
        The tools of the MCP server, as one item for the list `Agent(tools=[…])`. `mcp` itself does not start the
        server: the server is started when its tools are needed. If the server ends, it is restarted once, at the next
        call.

    Raises:
        DefinitionError: Neither or both of `command` and `url` are given, or an option is invalid.

    Example:
        >>> mcp("npx -y @modelcontextprotocol/server-filesystem /data", only=["read_file"], prefix="fs_").name
        'npx -y @modelcontextprotocol/server-filesystem /data'
    """
    words = _split_command(command)
    if bool(words) == bool(url):
        raise _build_mcp_error(
            "either a command or a url is needed, and not both",
            "write mcp('python server.py') or mcp(url='http://127.0.0.1:8000/mcp')",
        )
    if (words and (headers or auth)) or (url and env):
        text = "env= needs a server that a command starts, and headers= and auth= need a server with a url"
        raise _build_mcp_error(text, "leave out " + ("headers= and auth=" if words else "env="))
    if isinstance(only, str) or isinstance(approve, str) or isinstance(serial, str):
        text = "only=, approve= and serial= need a list of names of tools, and not a text"
        raise _build_mcp_error(text, "give a list, as in only=['read_file']")
    if _UNFIT.search(prefix) or len(prefix) > LONGEST_NAME // 2:
        repair = f"give at most {LONGEST_NAME // 2} characters, each of A-Z a-z 0-9 _ -"
        raise _build_mcp_error(f"prefix={prefix!r} cannot begin the name of a tool", repair)
    if on_error not in ("report", "raise"):
        repair = 'give "report" to send errors of tools to the model, or "raise" to let the call of the agent fail'
        raise _build_mcp_error(f"on_error={on_error!r} is not an option", repair)
    for name, seconds in (("timeout_seconds", timeout_seconds), ("max_seconds", max_seconds)):
        if not is_seconds(seconds):
            raise _build_mcp_error(f"{name}={seconds!r} is not a time", "give a number of seconds above 0")
    address = ServerAddress(words, url or "", dict(env or {}), dict(headers or {}), auth)
    chosen = None if only is None else tuple(only)
    asks: Approve | Mapping[str, Approve]
    if isinstance(approve, (bool, Approval, Mapping)) or callable(approve):
        asks = approve
    else:
        asks = dict.fromkeys(approve, True)
    ordered = serial if isinstance(serial, bool) else tuple(serial)
    effects: Collection[Effect | None] = effect.values() if isinstance(effect, Mapping) else [effect]
    for each in effects:
        check_tool_effect(each, "mcp")
    return McpServer(address, chosen, prefix, timeout_seconds, asks, media, ordered, effect, on_error, max_seconds)


@dataclass(frozen=True, slots=True, eq=False)
class McpServer:
    """The tools of an MCP server. Made by `mcp`, whose arguments are the attributes of this class."""

    address: ServerAddress
    only: tuple[str, ...] | None
    prefix: str
    timeout_seconds: float
    approve: Approve | Mapping[str, Approve]
    media: bool = False
    serial: bool | tuple[str, ...] = False
    effect: Effect | Mapping[str, Effect] | None = None
    on_error: OnError = "report"
    max_seconds: float = 3600.0
    _left_out: dict[str, str] = field(init=False, repr=False, default_factory=dict)
    _shared: WeakKeyDictionary[asyncio.AbstractEventLoop, _Shared] = field(
        init=False, repr=False, default_factory=WeakKeyDictionary
    )

    @property
    def name(self) -> str:
        return self.address.name

    async def open(self) -> Sequence[Tool]:
        """Start the server, unless it is already running for this event loop, and list its current tools.

        Raises:
            ToolsUnavailable: The package mcp is missing, or the server does not start or does not answer.
            DefinitionError: `only`, `approve`, `serial` or `effect` names a tool that the server does not list.
        """
        shared = self._enter_shared()
        try:
            return await shared.tools()
        except BaseException:
            await self.close()
            raise

    def is_outdated(self) -> bool:
        """Return whether the tools have to be listed again, because they changed or the server was reconnected."""
        shared = self._shared.get(asyncio.get_running_loop())
        return shared is not None and shared.is_outdated

    async def current(self) -> Sequence[Tool]:
        """Return the current tools of the server. If the server cannot be asked, the tools that are known are returned.

        The server is asked if it has reported that its tools have changed, or if it was connected again. A server that
        does not report changes states for how long its list may be kept. It is asked again when this time is over.

        Raises:
            ToolsUnavailable: The source is not open.
            DefinitionError: As for `open`.
        """
        shared = self._shared.get(asyncio.get_running_loop())
        if shared is None:
            text = f"the MCP server {self.name!r} is closed, so its tools cannot be listed"
            raise ToolsUnavailable(text, where=f"mcp {self.name}")
        return await shared.tools()

    async def read(self, uris: Sequence[str]) -> Mapping[str, types.ReadResourceResult | str]:
        """Read resources of the server by their addresses, or all resources if no address is given.

        For a resource that cannot be read, the result contains a text with the reason.

        Raises:
            ToolsUnavailable: The server does not start, has no resources, or does not answer.
        """
        shared = self._enter_shared()
        try:
            return await shared.read(uris)
        finally:
            await self.close()

    def _enter_shared(self) -> _Shared:
        loop = asyncio.get_running_loop()
        shared = self._shared.get(loop)
        if shared is None:
            shared = self._shared[loop] = _Shared(self)
        shared.opened += 1
        return shared

    async def close(self) -> None:
        """Undo one `open` of this source in the running event loop. The last `close` ends the server.

        This method never raises an error.
        """
        loop = asyncio.get_running_loop()
        shared = self._shared.get(loop)
        if shared is None:
            return
        shared.opened -= 1
        if shared.opened == 0:
            del self._shared[loop]
            await shared.end()

    async def tools_of(
        self, found: Sequence[types.Tool], unusable: Mapping[str, str], shared: _Shared
    ) -> Sequence[Tool]:
        """Choose the listed tools that the agents may use, and convert them to `Tool` objects.

        Raises:
            DefinitionError: As for `open`.
        """
        known = {each.name: each for each in reversed(found)}
        named = [*(self.only or ()), *(self.approve if isinstance(self.approve, Mapping) else ())]
        named += self.serial if isinstance(self.serial, tuple) else ()
        named += self.effect if isinstance(self.effect, Mapping) else ()
        if missing := sorted(set(named).difference(known, unusable)):
            text = f"the MCP server {self.name!r} has no tool {', '.join(map(repr, missing))}"
            listed = ", ".join([*reversed(known)][:_LISTED]) + (", …" if len(known) > _LISTED else "")
            repair = f"use the names of tools that the server has: {listed}" if listed else "the server has no tools"
            raise DefinitionError(text, where=f"mcp {self.name}", repair=repair)
        left = {**_unusable(found), **unusable}
        names = fitting_names(known, _UNFIT, self.prefix)
        used_tools: list[Tool] = []
        async for name in unhurried(reversed(known)):
            if (self.only is None or name in self.only) and name not in left:
                try:
                    used_tools.append(self._tool(known[name], names[name], shared))
                except DefinitionError as error:
                    left[name] = error.message.partition(": ")[2]
        self._leave_out({name: why for name, why in left.items() if self.only is None or name in self.only})
        return used_tools

    def _leave_out(self, left: Mapping[str, str]) -> None:
        """Remember which of the server's tools no model can call, and log each of them once, with the reason."""
        for name, why in left.items():
            if self._left_out.get(name) != why:
                log.warning(_LEFT_OUT, name, self.name, why)
        self._left_out.clear()
        self._left_out.update(left)

    async def left_out(self) -> Mapping[str, str]:
        """Return the server's tools that no model can call, with the reasons, by their names at the server.

        The server is opened for this purpose.

        Raises:
            ToolsUnavailable, DefinitionError: As for `open`.
        """
        await self.open()
        await self.close()
        return dict(self._left_out)

    def _tool(self, spec: types.Tool, name: str, shared: _Shared) -> Tool:
        effect = self.effect.get(spec.name) if isinstance(self.effect, Mapping) else self.effect
        return Tool(
            functools.partial(shared.call, spec.name),
            name=name,
            description=self.address.struck(spec.description or spec.title or ""),
            approve=self.approve.get(spec.name, False) if isinstance(self.approve, Mapping) else self.approve,
            timeout_seconds=self.timeout_seconds,
            serial=spec.name in self.serial if isinstance(self.serial, tuple) else self.serial,
            effect=effect or _read_hints(spec.annotations),
            on_error=self.on_error,
            schema=spec.input_schema,
            origin=self.prefix + spec.name,
        )


def _read_loop_clock() -> float:
    return asyncio.get_running_loop().time()


def _unusable(found: Sequence[types.Tool]) -> dict[str, str]:
    """Return the tools in a server's list that a client cannot call by their names, each with the reason.

    For example, a server may list two different tools of the same name.
    """
    first = {each.name: each for each in reversed(found)}
    left = {
        each.name: "the server lists two different tools of this name" for each in found if each != first[each.name]
    }
    for each in found:
        if each.execution is not None and each.execution.task_support == "required":
            left[each.name] = "it can only be called as a task of the revision 2025-11-25"
    return left


def _read_hints(hints: types.ToolAnnotations | None) -> Effect | None:
    """Convert what a server declares about a tool, such as "only reads", to an effect for `tool(effect=…)`.

    The result is None if the server declares nothing of this kind.
    """
    if hints is None:
        return None
    if hints.read_only_hint:
        return "read"
    if hints.idempotent_hint:
        return "idempotent"
    return "once" if hints.destructive_hint else None


@dataclass(frozen=True, slots=True)
class _Listed:
    """A list of tools, as a server returned it.

    Attributes:
        by: The connection over which the list was received.
        changes: How many times the server had reported a change of its tools when the list was requested.
        until: When the list has to be requested again, in the time of the event loop, if the server does not report
            changes.
        found: The tools as the server lists them.
        unusable: The tools that cannot be read, with the reasons.
        tools: The tools that are used.
    """

    by: ServerConnection
    changes: int
    until: float
    found: Sequence[types.Tool]
    unusable: Mapping[str, str]
    tools: Sequence[Tool] = ()


class _Shared:
    """The state of an MCP source in one event loop: its connection, and how many users have opened it.

    A source may be opened several times in one event loop, for example by several agents. All of them use the same
    connection, which ends with the last close.
    """

    def __init__(self, server: McpServer) -> None:
        self.opened = 0
        self._server = server
        self._lock = asyncio.Lock()  # only one task at a time starts or ends the server
        self._connection: ServerConnection | None = None
        self._forgotten: list[ServerConnection] = []
        self._listing = asyncio.Lock()  # only one task at a time lists the tools
        self._last: _Listed | None = None

    @property
    def is_outdated(self) -> bool:
        """Whether the tools have to be listed again, because they changed or come from an earlier connection."""
        last = self._last
        return last is None or last.by is not self._connection or last.by.ended or last.changes != last.by.changes

    async def tools(self) -> Sequence[Tool]:
        """Return the current tools of the server. If nothing has changed, the same list object is returned.

        Raises:
            ToolsUnavailable, DefinitionError: As for `McpServer.open`.
        """
        async with self._listing:
            last = self._last
            if last is not None and not self.is_outdated and _read_loop_clock() < last.until:
                return last.tools
            try:
                new = await self.listed()
            except ToolsUnavailable as error:
                if last is None:
                    raise
                log.warning(
                    "the tools that were known of the MCP server %s are used: %s", self._server.name, str(error)
                )
                return last.tools
            if last is not None and (new.found, new.unusable) == (last.found, last.unusable):
                used_tools = last.tools
            else:
                used_tools = await self._server.tools_of(new.found, new.unusable, self)
            self._last = replace(new, tools=used_tools)
            return used_tools

    async def listed(self) -> _Listed:
        """Ask the server for its tools.

        A server that has ended meanwhile is started once more. A server that has lost the session gets a new session.
        """
        connection = await self._connect_server()
        try:
            return await self._list_tools(connection)
        except ToolsUnavailable as error:
            has_lost = is_lost(error.__cause__, "tools/list")
            if not has_lost and (error.__cause__ is None or not is_closed(error.__cause__)):
                raise
        await (self._forget(connection) if has_lost else self._remove_dead_server(connection))
        return await self._list_tools(await self._connect_server())

    async def _list_tools(self, connection: ServerConnection) -> _Listed:
        changes, began, seconds = connection.changes, _read_loop_clock(), list[float]()

        def kept(page: types.ListToolsResult) -> Sequence[types.Tool]:
            seconds.append(page.ttl_ms / 1000)
            return page.tools

        async with self._in_time("tools"):
            found = await _all_pages(connection.client.list_tools, kept)
        until = began if connection.is_older else began + min(seconds)
        until = math.inf if connection.tells else until
        return _Listed(connection, changes, until, found, {**connection.repairs.unusable})

    @asynccontextmanager
    async def _in_time(self, what: str) -> AsyncIterator[None]:
        limit = asyncio.timeout(self._server.timeout_seconds)
        try:
            async with limit:
                yield
        except Exception as error:
            late = f"the server did not list them within {self._server.timeout_seconds:g} seconds"
            raise ToolsUnavailable(
                f"the {what} of the MCP server {self._server.name!r} cannot be listed: "
                f"{late if limit.expired() else self._text_of(error)}",
                where=f"mcp {self._server.name}",
                repair="check whether another MCP client can list them",
            ) from error

    async def read(self, uris: Sequence[str]) -> Mapping[str, types.ReadResourceResult | str]:
        await self._connect_server()
        if not uris:
            async with self._in_time("resources"):
                listed = await self._ask_server(
                    "resources/list", lambda client: _all_pages(client.list_resources, lambda page: page.resources)
                )
                uris = [each.uri for each in listed]
        return {uri: await self._read(uri) for uri in uris}

    async def _read(self, uri: str) -> types.ReadResourceResult | str:
        try:
            async with asyncio.timeout(self._server.timeout_seconds):
                return await self._ask_server("resources/read", lambda client: client.read_resource(uri))
        except Exception as error:  # noqa: BLE001 - the client or a malformed answer may raise any error
            return self._text_of(error)

    async def _ask_server(self, method: str, ask: Callable[[Client], Awaitable[R]]) -> R:
        """Send a request without effects, and repeat it in a new session if the server has lost its session."""
        connection = await self._connect_server()
        try:
            with self._count_in_flight(connection):
                return await ask(connection.client)
        except Exception as error:
            if not is_lost(error, method):
                raise
        await self._renew(connection)
        connection = await self._connect_server()
        with self._count_in_flight(connection):
            return await ask(connection.client)

    async def call(self, tool: str, arguments: Mapping[str, object], *, is_second: bool = False) -> ToolOutcome:
        """Call a tool of the server. Failures are reported in the outcome, which the model reads.

        A call that the server rejected because it has lost the session is made once more, in a new session.

        Raises:
            ToolsUnavailable: The call got no result, and `on_error` is "raise".
        """
        try:
            connection = await self._connect_server()
        except ToolsUnavailable as error:
            if self._server.on_error == "raise":
                raise
            return ToolOutcome(error.message, is_error=True)
        try:
            with self._count_in_flight(connection):
                result = await call_mcp_tool(
                    connection.client,
                    tool,
                    arguments,
                    lambda: _all_pages(connection.client.list_tools, lambda page: page.tools),
                    self._build_timeout_reset(),
                )
        except CannotAsk as error:
            return ToolOutcome(str(error), is_error=True)
        except Exception as error:  # noqa: BLE001 - the client or a malformed answer may raise any error
            if is_lost(error, "tools/call") and not is_second:
                await self._renew(connection)
                return await self.call(tool, arguments, is_second=True)
            is_over = is_closed(error) or connection.ended
            text = await self._remove_dead_server(connection) if is_over else self._text_of(error)
            if self._server.on_error == "raise":
                where = f"mcp {self._server.name}, tool {tool}"
                raise ToolsUnavailable(text, where=where, repair="read the output of the MCP server") from None
            return ToolOutcome(text, is_error=True, is_unknown=not is_refusal(error))
        shown: list[Media] | None = [] if self._server.media else None
        text = text_of_result(result, shown)
        if (schema := connection.repairs.outputs.get(tool)) is not None and not result.is_error:
            text += _remark(schema, result.structured_content)
        text = self._server.address.struck(text)
        return ToolOutcome(text, result.is_error, shown or ())

    def _build_timeout_reset(self) -> Callable[[], None]:
        """Return a function that restarts the time limit of the tool call when the server reports progress."""
        limit, most = TimeLimit.here(), max(self._server.max_seconds, self._server.timeout_seconds)
        return (lambda: None) if limit is None else functools.partial(limit.begin_again, most)

    async def end(self) -> None:
        async with self._lock:
            ending = [*self._forgotten, *([] if self._connection is None else [self._connection])]
            self._forgotten, self._connection = [], None
            for each in ending:
                each.release()
            for each in ending:
                await each.stop()

    async def _connect_server(self) -> ServerConnection:
        async with self._lock:
            if self.opened < 1:
                raise ToolsUnavailable(
                    f"the MCP server {self._server.name!r} is closed", where=f"mcp {self._server.name}"
                )
            if self._connection is None:
                connection = ServerConnection(self._server.address)
                await connection.start(self._server.timeout_seconds)
                self._connection = connection
            return self._connection

    async def _remove_dead_server(self, connection: ServerConnection) -> str:
        """Forget the connection to a server whose process has ended, so that the next call starts the server again.

        Returns a message that tells the model what happened to its call.
        """
        async with self._lock:
            if self._connection is connection:
                await connection.stop()
                self._connection = None
        return (
            f"The MCP server {self._server.name} ended{await connection.wrote()}. It is not known whether the "
            f"call took effect. The next call starts the server again."
        )

    @contextmanager
    def _count_in_flight(self, connection: ServerConnection) -> Iterator[None]:
        """Count a request as in flight on its connection while the block sends the request and waits for the response.

        A connection that has been replaced meanwhile is closed when its last request in flight is done.
        """
        connection.calls += 1
        try:
            yield
        finally:
            connection.calls -= 1
            if connection in self._forgotten and not connection.calls:
                connection.release()

    async def _forget(self, connection: ServerConnection) -> None:
        """Replace a connection whose session the server has lost. The next call begins a new session."""
        async with self._lock:
            if self._connection is connection:
                self._connection = None
                self._forgotten = [each for each in self._forgotten if not each.ended] + [connection]
        if not connection.calls:
            connection.release()

    async def _renew(self, connection: ServerConnection) -> None:
        """Begin a new session with the server, and list its tools before the first call of the session.

        Otherwise the client would request the list after the first call, and would lose the result of this call if the
        request failed.
        """
        await self._forget(connection)
        with suppress(ToolsUnavailable):
            await self.listed()

    def _text_of(self, error: Exception) -> str:
        return self._server.address.public(f"{type(error).__name__}: {text_of(error)}")


def _remark(schema: Mapping[str, JsonValue], structured: object) -> str:
    """Return a note for the model if a tool's structured result does not fit the schema that the tool declares.

    The note is added to the text of the result. It is "" if the result fits.
    """
    if structured is None:
        return "\n\n[The tool declares structured content, and answered without it.]"
    wrong = misfits(schema, structured)
    problems = "; ".join(wrong[:_MAX_REMARKS]) + ("; …" if len(wrong) > _MAX_REMARKS else "")
    return f"\n\n[The structured content of this answer is not what the tool declares: {problems}.]" if wrong else ""


async def _all_pages(list_page: Callable[..., Awaitable[P]], items: Callable[[P], Sequence[T]]) -> Sequence[T]:
    """Request all pages of a list from the server, and return the items of all pages.

    A server that sends the same cursor twice would send pages for ever, so a repeated cursor ends the list.
    """
    found: list[T] = []
    seen: set[str] = set()
    cursor: str | None = None
    for _ in range(_MAX_PAGES):
        page = await list_page(cursor=cursor)
        found += items(page)
        cursor = page.next_cursor
        if cursor is None or cursor in seen:
            break
        seen.add(cursor)
    return found


def text_of_result(result: types.CallToolResult, media: list[Media] | None = None) -> str:
    """Return the result of a tool as text: its blocks, and its structured content unless the text blocks repeat it.

    Args:
        result: The result.
        media: A list to which pictures and PDF documents are added, with marks in the text that refer to them. If it is
            None, one line of the text describes each of them. All other binary content is always described by a line.
    """
    parts = [_text_of_block(block, media) for block in result.content]
    structured = result.structured_content
    texts = [block.text for block in result.content if block.type == "text"]
    if structured is not None and not _says_same(texts, structured):
        parts.append(to_json(structured, inf_nan_mode="strings").decode())
    return "\n".join(parts)


def _says_same(texts: Sequence[str], structured: Mapping[str, object]) -> bool:
    """Return whether the text blocks of a result repeat its structured content.

    Many servers wrap a single value as `{"result": value}`. A text that repeats only this value counts as well.
    """
    values: list[object] = []
    for each in texts:
        try:
            values.append(from_json(each))
        except ValueError:
            values.append(each)
    inner = next(iter(structured.values())) if len(structured) == 1 else structured
    return bool(texts) and any(each in (structured, inner) for each in (values, [*texts], *values, *texts))


def _text_of_block(block: types.ContentBlock, media: list[Media] | None) -> str:
    from mcp.types import TextResourceContents  # noqa: PLC0415 - loaded by now

    if block.type == "text":
        return block.text
    if block.type == "resource_link":
        labels = [block.title or block.name, block.mime_type, block.description]
        return f"[{', '.join([f'resource {block.uri}', *filter(None, labels)])}]"
    if block.type == "resource":
        found = block.resource
        if isinstance(found, TextResourceContents):
            return f"[resource {found.uri}]\n{found.text}"
        return _binary(f"resource {found.uri}", found.mime_type, found.blob, media)
    return _binary(block.type, block.mime_type, block.data, media)


def _binary(what: str, mime_type: str | None, base64: str, media: list[Media] | None) -> str:
    """Return the text that represents a binary block of a result.

    The text is a mark such as `[media 1]` if the model sees the medium, and otherwise a line that describes the block.
    """
    if media is not None and mime_type in _SHOWN:
        with suppress(ValidationError):  # the data may not be base64
            return mark(Media(data=base64, type=mime_type), media)
    kind = f", {mime_type}" if mime_type else ""
    return f"[{what}{kind}, about {int(len(base64) * _BASE64_TO_BYTES):,} bytes: not passed on]"


def _split_command(command: str | Sequence[str] | None) -> tuple[str, ...]:
    if isinstance(command, str):
        try:
            return tuple(shlex.split(command, posix=os.name != "nt"))
        except ValueError as error:
            shown = without_options(command)
            raise _build_mcp_error(
                f"the command {shown!r} cannot be split into words: {error}",
                "give the words in a list, as in mcp(['python', 'server.py'])",
            ) from error
    words = tuple(command or ())
    if not all(isinstance(word, str) for word in words):
        text = f"the command {words!r} has words that are not text"
        raise _build_mcp_error(text, "give each word as a text, as in mcp(['python', 'server.py'])")
    return words


def _build_mcp_error(problem: str, repair: str) -> DefinitionError:
    return DefinitionError(f"mcp(…) is not valid: {problem}", where="mcp", repair=repair)


__all__ = ["McpServer", "mcp", "text_of_result"]
