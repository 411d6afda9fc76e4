"""What every command works through: its output, its database, which is opened once, its one event loop, its errors.

A command is a function that returns its exit code or raises; `exit_code_of` returns the exit code of an error. It is
not async, since it runs the user's files, which can have an event loop of their own; between them the command's loop
stands still.
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
    """An unexpected exception, which indicates a bug."""

    code = "unexpected"


class Interrupted(GraphEngineError):
    """The user interrupted the command."""

    code = "interrupted"


_SHORTEST: Final = 4  # the least length of a prefix of an id
_COUNTED: Final = 1000
_LISTED: Final = 5
_NEAR: Final = 0.75  # ids created in the same minute are similar, and must not match


@dataclass(slots=True)
class CommandContext:
    """One call of the command line.

    Attributes:
        out: Where results go: stdout.
        err: Where everything else goes: stderr.
        json: Whether to write one JSON document to stdout, and nothing else.
        debug: Whether to show tracebacks.
        words: The words that the program was called with, the command's name first.
        has_driven: Whether the command has started to drive a run.
        otel: Whether to export traces and metrics.
        log_format: `text` or `json`; None if not given.
        log_level: The level of the log; None if not given.
        database: The value of `--store`.
        limits: The limits of the run that it drives, each as NAME=NUMBER.
        pauses: The nodes to pause before; none if a run keeps its own.
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
        """Choose the database; a command that does not call this reads that of the current project.

        Args:
            file: A graph's file, to whose project the database belongs if `--store` is not given.
            writes: Whether the command records something; otherwise the database is opened read-only.
        """
        from graphengine.cli.places import place_of

        self._place, self._writes = place_of(self.database, file), writes

    @property
    def is_for_operator(self) -> bool:
        """Whether it prints the log of a service or worker, as JSON or not on a terminal: nothing that runs say."""
        is_log = self.log_format == "json" or not (self.out.is_terminal and self.err.is_terminal)
        return is_log and self.words[:1] in (["serve"], ["worker"], ["mcp"])

    @property
    def place(self) -> DatabaseOption:
        """The database."""
        if self._place is None:
            self.use()
        return cast("DatabaseOption", self._place)

    def settings(self, wing: str) -> Settings:
        """Return the settings of a wing in the current project. Raises: ProjectBroken, if they cannot be read."""
        from graphengine.cli.places import settings_of

        return settings_of(wing)

    @property
    def store(self) -> Store:
        """Its one store; `read`, or a Runner, opens it."""
        if self._store is None:
            from graphengine.api.places import store_at
            from graphengine.cli.places import lock_options

            self._store = store_at(self.place.database, read_only=not self._writes, **lock_options())
        return self._store

    def read(self, reading: Callable[[Store], Awaitable[T]]) -> T:
        """Return the result of a function that reads the store, which is opened first.

        Raises:
            StoreError: There is no database, or it cannot be read.
        """
        self.place.check_exists()

        async def whole() -> T:
            await self.store.open()
            return await reading(self.store)

        return self.run(whole())

    def find(self, given: str) -> RunInfo:
        """Return the run of an id, or of a unique prefix of one, as commits in git; a prefix is reported on stderr.

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
        """Run a coroutine in the command's event loop; Ctrl-C cancels it."""
        return self._runner.run(work)

    def drive(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine that drives runs, while a `Stopper` handles the signals.

        If an asyncio task created by a node raises SystemExit or KeyboardInterrupt, asyncio also ends the loop. Here
        the loop continues, so that the exception is a failure of that node alone.
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
        """Write the one JSON document."""
        self.out.write(as_json(content) + "\n")
        self._has_answered = True

    def show_rows(self, document: object, columns: Sequence[Column[T]], rows: Sequence[T], no_row: str) -> int:
        """Write the document under `--json`, otherwise a table; `no_row` says on stderr that there is no row.

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
        """Write one of many JSON documents, on a line of its own."""
        self.out.write(as_json(content, indent=None) + "\n")

    def fail(self, error: GraphEngineError) -> None:
        """Report an error that ended the command; after its one JSON document, such as of the close, as text."""
        is_traced = self.debug and not isinstance(error, CompileError)  # its problems name the lines
        if is_traced and self.log_format != "json":
            self.err.line(_traceback_of(error))
        if self.json and not self._has_answered:
            from graphengine.records.base_documents import error_document

            self.document(error_document(error))
        else:
            self.show(error, _traceback_of(error) if is_traced else "")

    def show(self, error: GraphEngineError, trace: str = "") -> None:
        """Show an error as text: its code, message, place and repair; as one line of JSON if the log is JSON."""
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


async def _find(store: Store, given: str, database: str) -> RunInfo:
    from graphengine.errors import UnknownRun
    from graphengine.records.selection import NEWEST

    try:
        return await store.info(given)
    except UnknownRun:
        begin = await store.ids(given, limit=_COUNTED) if given else []
    if len(begin) == 1 and len(given) >= _SHORTEST:
        return await store.info(begin[0])
    repair = "`graphengine runs` lists the runs of a database; choose another database with --store PATH"
    if begin:
        count = f"{len(begin)} or more" if len(begin) == _COUNTED else str(len(begin))
        message = f"{given!r} names no run; {count} in {database} begin with it"
        listed = ", ".join(begin[:_LISTED]) + (", …" if len(begin) > _LISTED else "")
        raise UnknownRun(message, where=f"run {given!r}", repair=f"give more of the id: {listed}")
    from difflib import get_close_matches

    known = [info.id for info in await store.runs(limit=NEWEST)]
    near = get_close_matches(given, known, n=1, cutoff=_NEAR)
    message = f"there is no run {given!r} in {database}"
    raise UnknownRun(message, where=f"run {given!r}", repair=f"did you mean {near[0]!r}?" if near else repair)


def _traceback_of(error: GraphEngineError) -> str:
    """Return the traceback to show; of a graph's file that raised, from the first line of the file."""
    import traceback

    from graphengine.cli.project import GraphFileBroken
    from graphengine.kernel.inside import user_traceback

    cause: BaseException = error
    if isinstance(error, Unexpected | GraphFileBroken) and error.__cause__ is not None:
        cause = error.__cause__
    shown = user_traceback(cause) if isinstance(error, GraphFileBroken) else "".join(traceback.format_exception(cause))
    return shown.rstrip()


_OF_DIRECTION: Final = (0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_CONTROLS: Final = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), *_OF_DIRECTION)}
"""Control codes, line separators and marks of the writing direction: JSON does not escape them, terminals obey them."""


def as_json(value: object, indent: int | None = 2) -> str:
    """Return a document, or plain values, as JSON without NaN, lone surrogates and control codes."""
    import json

    from msgspec import to_builtins

    text = json.dumps(to_builtins(value), indent=indent, ensure_ascii=False, allow_nan=False)
    return harmless_json(text.encode("utf-8", "surrogatepass").decode("utf-8", "replace"))


def harmless_json(text: str) -> str:
    """Return the JSON with every control code and mark of direction escaped, so that a terminal obeys none."""
    return text.translate(_CONTROLS)


def unexpected(error: Exception) -> Unexpected:
    """Wrap an unexpected exception in an error with its location and a repair."""
    import traceback

    kind, frames = type(error).__name__, traceback.extract_tb(error.__traceback__)
    text = " ".join(str(error).split())[:500]
    found = Unexpected(
        f"{kind}: {text}" if text else kind,
        where=f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "",
        repair="this is a bug in graphengine or in the graph's file; run again with --debug",
    )
    found.__cause__ = error
    return found


def exit_code_of(error: GraphEngineError) -> Exit:
    """Return the exit code of an error."""
    if isinstance(error, RunIsDriven | LeaseLost):
        return Exit.DRIVEN
    if isinstance(error, StoreError):
        return Exit.STORE
    if isinstance(error, Interrupted):
        return Exit.INTERRUPTED
    if isinstance(error, Unexpected | OutputFailed | NodeError | RunnerClosed) or error.code == "run_failed":
        return Exit.FAILED
    return Exit.USAGE
