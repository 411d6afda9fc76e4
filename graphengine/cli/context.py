"""The context of a command: its output, its database, its event loop and its errors.

A command is a function that returns its exit code or raises an error; `exit_code_of` returns the exit code of an error.
Commands are not async functions, because they run the user's files, which can start an event loop of their own. The
command's event loop runs only inside `CommandContext.run` and `CommandContext.drive`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from graphengine.cli.terminal import OutputFailed, linked_code
from graphengine.errors import (
    CompileError,
    GraphEngineError,
    LeaseLost,
    NodeError,
    RunIsDriven,
    RunnerClosed,
    StoreError,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Coroutine, Sequence
    from pathlib import Path

    from graphengine.cli.places import Database, DatabaseOption
    from graphengine.cli.terminal import Channel, Column
    from graphengine.kernel.store import RunInfo, Store
    from graphengine.wings import Settings

T = TypeVar("T")


class Exit(IntEnum):
    """Exit codes."""

    FINISHED = 0
    FAILED = 1
    USAGE = 2
    WAITING = 3
    STOPPED = 4
    STORE = 5
    DRIVEN = 6
    CUT_OFF = 7
    INTERRUPTED = 130


class Unexpected(GraphEngineError):
    """An exception that indicates a bug, in graphengine or in a graph's file."""

    code = "unexpected"


class Interrupted(GraphEngineError):
    """The user interrupted the command."""

    code = "interrupted"


_SHORTEST: Final = 4  # the minimum length of the beginning of an id that stands for the id
_COUNTED: Final = 1000
_LISTED: Final = 5
_NEAR: Final = 0.75  # ids created in the same minute are similar, and must not match


@dataclass(slots=True)
class CommandContext:
    """One call of the command line: its output channels, its options, its database and its event loop.

    Attributes:
        out: The channel for results: stdout.
        err: The channel for everything else: stderr.
        json: Whether to write one JSON document to stdout, and nothing else.
        debug: Whether to show tracebacks.
        words: The words of the command line after the program's name, beginning with the name of the command.
        has_driven: Whether the command has started to drive a run.
        otel: Whether to export traces and metrics.
        log_format: `text` or `json`; None if the option is not given.
        log_level: The level of the log; None if the option is not given.
        database: The value of `--store`.
        limits: The limits of the run that the command drives, each as NAME=NUMBER.
        pauses: The nodes to pause before. If the list is empty, a resumed run keeps the nodes that it already had.
        output: The file for the result.
        models: The models of agents, each as NAME or WHO=NAME.
    """

    out: Channel
    err: Channel
    json: bool
    debug: bool
    words: Sequence[str] = ()
    has_driven: bool = False
    otel: bool = False
    log_format: str | None = None
    log_level: str | None = None
    database: Database | None = None
    limits: Sequence[str] = ()
    pauses: Sequence[str] = ()
    output: Path | None = None
    models: Sequence[str] = ()
    _place: DatabaseOption | None = field(default=None, init=False)
    _store: Store | None = field(default=None, init=False)
    _writes: bool = field(default=False, init=False)
    _has_answered: bool = field(default=False, init=False)
    _loop: asyncio.Runner | None = field(default=None, init=False)

    def use(self, file: Path | None = None, *, writes: bool = False) -> None:
        """Choose the database of this command, and whether the command writes to the database.

        A command that does not call `use` only reads. It reads from the database of `--store` or of the current
        project.

        Args:
            file: A graph's file. Without `--store`, the database is that of the file's project.
            writes: Whether the command records something. If not, the database is opened read-only.
        """
        from graphengine.cli.places import place_of

        self._place, self._writes = place_of(self.database, file), writes

    @property
    def is_for_operator(self) -> bool:
        """Whether the output of the command is the log of a service or a worker, and so must not show what users wrote.

        This is the case for `serve`, `worker` and `mcp`, if the log is JSON or the output does not go to a terminal.
        People who may not see the contents of runs may then read the log.
        """
        is_log = self.log_format == "json" or not (self.out.is_terminal and self.err.is_terminal)
        return is_log and self.words[:1] in (["serve"], ["worker"], ["mcp"])

    @property
    def place(self) -> DatabaseOption:
        """The database that the command uses."""
        if self._place is None:
            self.use()
        return cast("DatabaseOption", self._place)

    def settings(self, wing: str) -> Settings:
        """Return the settings that the current project contains for a wing (an extension of graphengine).

        Raises:
            ProjectBroken: The settings cannot be read.
        """
        from graphengine.cli.places import settings_of

        return settings_of(wing)

    @property
    def store(self) -> Store:
        """The store that contains the runs of the command's database. The store is opened by `read` or by a Runner."""
        if self._store is None:
            from graphengine.api.places import store_at
            from graphengine.cli.places import lock_options

            self._store = store_at(self.place.database, read_only=not self._writes, **lock_options())
        return self._store

    def read(self, reading: Callable[[Store], Awaitable[T]]) -> T:
        """Open the store, call a function that reads from the store, and return the result of the function.

        Raises:
            StoreError: There is no database, or it cannot be read.
        """
        self.place.check_exists()

        async def whole() -> T:
            await self.store.open()
            return await reading(self.store)

        return self.run(whole())

    def find(self, given: str) -> RunInfo:
        """Return the run with this id, or the only run whose id begins with this text.

        In the second case, the full id is shown on stderr.

        Raises:
            UnknownRun: No run matches, or several do.
            StoreError: There is no database, or it cannot be read.
        """
        from graphengine.cli.places import shown

        found = self.read(lambda store: _find(store, given, shown(self.place.database)))
        if found.id != given:
            self.err.line(f"{given} matches run ", (found.id, "bold"))
        return found

    @property
    def _runner(self) -> asyncio.Runner:
        if self._loop is None:
            import asyncio

            self._loop = asyncio.Runner()
        return self._loop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the command's event loop. Ctrl-C cancels the coroutine."""
        return self._runner.run(work)

    def drive(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine that drives runs, with a `Stopper` that stops the runs when a signal arrives.

        `drive` starts the event loop again if asyncio has stopped it because a node created an asyncio task that raised
        SystemExit or KeyboardInterrupt. As a result, only the node fails, and not the command.
        """
        loop = self._runner.get_loop()
        task = loop.create_task(work)
        while True:
            try:
                return loop.run_until_complete(task)
            except (SystemExit, KeyboardInterrupt):
                if task.done():
                    raise

    def close(self) -> None:
        """Close the store and the event loop."""
        if self._loop is None:
            return
        try:
            if self._store is not None:
                self._loop.run(self._store.close())
        finally:
            self._loop.close()

    def document(self, content: object) -> None:
        """Write the one JSON document of the command to stdout."""
        self.out.write(as_json(content) + "\n")
        self._has_answered = True

    def show_rows(self, document: object, columns: Sequence[Column[T]], rows: Sequence[T], no_row: str) -> int:
        """Write the result of a command: as a JSON document under `--json`, otherwise as a table.

        Args:
            document: The document, which contains all rows.
            columns: The columns of the table.
            rows: The rows of the table.
            no_row: What to show on stderr if there are no rows.

        Returns:
            The exit code of a command that has done its work.
        """
        if self.json:
            self.document(document)
        elif rows:
            self.out.table(columns, rows)
        else:
            self.err.line(no_row)
        return Exit.FINISHED

    def line(self, content: object) -> None:
        """Write one of several JSON documents to stdout, on a line of its own."""
        self.out.write(as_json(content, indent=None) + "\n")

    def fail(self, error: GraphEngineError) -> None:
        """Report the error that ended the command: as a JSON document under `--json`, otherwise as text.

        A command writes only one JSON document. If it has already written this document, `fail` reports the error as
        text on stderr. This happens, for example, if the store cannot be closed at the end.
        """
        is_traced = self.debug and not isinstance(error, CompileError)  # a CompileError names the lines itself
        if is_traced and self.log_format != "json":
            self.err.line(_traceback_of(error))
        if self.json and not self._has_answered:
            from graphengine.records.base_documents import error_document

            self.document(error_document(error))
        else:
            self.show(error, _traceback_of(error) if is_traced else "")

    def show(self, error: GraphEngineError, trace: str = "") -> None:
        """Show an error on stderr as text: its code, message, location and repair.

        With `--log-format json`, the error is a line of JSON instead.
        """
        if self.log_format == "json":
            import logging

            from graphengine.cli.observing import line_of

            facts = {"code": error.code, "where": error.where, "repair": error.repair, "exception": trace}
            sys.stderr.write(line_of(error.message, logging.ERROR, **facts))
            sys.stderr.flush()
            return
        self.err.prose(("error", "bold red"), " ", linked_code(error.code, "red"), ": ", error.message)
        if error.where:
            self.err.prose(("  at: ", "dim"), error.where)
        if error.repair:
            self.err.prose(("  repair: ", "bold"), error.repair)


async def _find(store: Store, id_or_prefix: str, database: str) -> RunInfo:
    from graphengine.errors import UnknownRun
    from graphengine.records.selection import NEWEST

    try:
        return await store.info(id_or_prefix)
    except UnknownRun:
        matching_ids = await store.ids(id_or_prefix, limit=_COUNTED) if id_or_prefix else []
    if len(matching_ids) == 1 and len(id_or_prefix) >= _SHORTEST:
        return await store.info(matching_ids[0])
    repair = "list the runs of a database with `graphengine runs`, or choose another database with --store PATH"
    if matching_ids:
        count = f"{len(matching_ids)} or more" if len(matching_ids) == _COUNTED else str(len(matching_ids))
        begin = "id begins" if len(matching_ids) == 1 else "ids begin"
        message = f"{id_or_prefix!r} does not identify a run in {database}: {count} {begin} with these characters"
        listed = ", ".join(matching_ids[:_LISTED]) + (", …" if len(matching_ids) > _LISTED else "")
        raise UnknownRun(message, where=f"run {id_or_prefix!r}", repair=f"give the whole id of the run: {listed}")
    from difflib import get_close_matches

    newest_ids = [info.id for info in await store.runs(limit=NEWEST)]
    near = get_close_matches(id_or_prefix, newest_ids, n=1, cutoff=_NEAR)
    message = f"there is no run {id_or_prefix!r} in {database}"
    raise UnknownRun(message, where=f"run {id_or_prefix!r}", repair=f"did you mean {near[0]!r}?" if near else repair)


def _traceback_of(error: GraphEngineError) -> str:
    """Return the traceback that `--debug` shows.

    If a graph's file raised the error, the traceback begins with that file, without the calls of this program before
    it.
    """
    import traceback

    from graphengine.cli.project import GraphFileBroken
    from graphengine.kernel.inside import user_traceback

    cause: BaseException = error
    if isinstance(error, Unexpected | GraphFileBroken) and error.__cause__ is not None:
        cause = error.__cause__
    text = user_traceback(cause) if isinstance(error, GraphFileBroken) else "".join(traceback.format_exception(cause))
    return text.rstrip()


_OF_DIRECTION: Final = (0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_CONTROLS: Final = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), *_OF_DIRECTION)}
"""Control codes, line separators and marks of the writing direction.

JSON does not escape these characters, but a terminal would obey them.
"""


def as_json(value: object, indent: int | None = 2) -> str:
    """Return a document, or plain values, as JSON.

    Lone surrogates are replaced, because they cannot be written as UTF-8. Control codes are escaped, because a terminal
    would obey them.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    import json

    from msgspec import to_builtins

    text = json.dumps(to_builtins(value), indent=indent, ensure_ascii=False, allow_nan=False)
    return harmless_json(text.encode("utf-8", "surrogatepass").decode("utf-8", "replace"))


def harmless_json(text: str) -> str:
    """Escape the control codes and direction marks in a JSON text, because a terminal would obey them."""
    return text.translate(_CONTROLS)


def unexpected(error: Exception) -> Unexpected:
    """Convert an unexpected exception, a fault in graphengine or a graph's file, to an error with its location."""
    import traceback

    kind, frames = type(error).__name__, traceback.extract_tb(error.__traceback__)
    text = " ".join(str(error).split())[:500]
    found = Unexpected(
        f"{kind}: {text}" if text else kind,
        where=f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "",
        repair="this is a fault in graphengine or in the graph's file; run the command with --debug for the traceback",
    )
    found.__cause__ = error
    return found


def exit_code_of(error: GraphEngineError) -> Exit:
    if isinstance(error, RunIsDriven | LeaseLost):
        return Exit.DRIVEN
    if isinstance(error, StoreError):
        return Exit.STORE
    if isinstance(error, Interrupted):
        return Exit.INTERRUPTED
    if isinstance(error, Unexpected | OutputFailed | NodeError | RunnerClosed) or error.code == "run_failed":
        return Exit.FAILED
    return Exit.USAGE
