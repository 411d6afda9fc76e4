"""One call of the command line: its global options (`--json`, `--debug`), its output, and its errors.

Every command gets the `Session`. A command returns its exit code or raises; `exit_code_of` returns the exit code of an
error.
"""

from __future__ import annotations

import logging
import sys
import traceback
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from graphengine.calls.caller_line import users_part
from graphengine.cli.terminal import OutputFailed
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
    from collections.abc import Sequence

    from graphengine.cli.terminal import Channel


class Exit(IntEnum):
    """Exit codes."""

    FINISHED = 0
    FAILED = 1
    USAGE = 2
    WAITING = 3
    STOPPED = 4
    STORE = 5
    DRIVEN = 6
    INTERRUPTED = 130


class Unexpected(GraphEngineError):
    """An unexpected exception, which indicates a bug."""

    code = "unexpected"


class Interrupted(GraphEngineError):
    """The user interrupted the command."""

    code = "interrupted"


@dataclass(slots=True)
class Session:
    """One call.

    Attributes:
        out: Where results go: stdout.
        err: Where everything else goes: stderr.
        json: Whether to write one JSON document to stdout, and nothing else.
        debug: Whether to show tracebacks.
        has_driven: Whether the command has started to drive a run.
        otel: Whether to export traces and metrics.
        log_format: `text` or `json`; None if not given.
        log_level: The level of the log; None if not given.
    """

    out: Channel
    err: Channel
    json: bool
    debug: bool
    has_driven: bool = False
    otel: bool = False
    log_format: str | None = None
    log_level: str | None = None

    def document(self, content: object) -> None:
        """Write the one JSON document."""
        self.out.write(as_json(content) + "\n")

    def line(self, content: object) -> None:
        """Write one of many JSON documents, on a line of its own."""
        self.out.write(as_json(content, indent=None) + "\n")

    def fail(self, error: GraphEngineError) -> None:
        """Report an error that ended the command."""
        is_traced = self.debug and not isinstance(error, CompileError)  # its problems name the lines
        if is_traced and self.log_format != "json":
            self.err.line(_traceback_of(error))
        if self.json:
            from graphengine.history.json_document import error_document

            self.document(error_document(error))
        else:
            self.show(error, _traceback_of(error) if is_traced else "")

    def show(self, error: GraphEngineError, trace: str = "") -> None:
        """Show an error as text: its code, message, place and repair; as one line of JSON if the log is JSON."""
        if self.log_format == "json":
            from graphengine.cli.observing import line_of

            facts = {"code": error.code, "where": error.where, "repair": error.repair, "exception": trace}
            sys.stderr.write(line_of(error.message, logging.ERROR, **facts))
            return
        self.err.prose(("error", "bold red"), " ", (error.code, "red"), ": ", error.message)
        if error.where:
            self.err.prose(("  at: ", "dim"), error.where)
        if error.repair:
            self.err.prose(("  repair: ", "bold"), error.repair)


def _traceback_of(error: GraphEngineError) -> str:
    """Return the traceback to show; of a graph's file that raised, from the first line of the file."""
    from graphengine.cli.project import GraphFileBroken

    cause: BaseException = error
    if isinstance(error, Unexpected | GraphFileBroken) and error.__cause__ is not None:
        cause = error.__cause__
    trace = users_part(cause.__traceback__) if isinstance(error, GraphFileBroken) else cause.__traceback__
    return "".join(traceback.format_exception(type(cause), cause, trace)).rstrip()


_CONTROLS: Final = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}
"""Control codes that JSON does not escape, and that terminals obey."""


def as_json(value: object, indent: int | None = 2) -> str:
    """Return a document, or plain values, as JSON without NaN, lone surrogates and control codes."""
    import json

    from msgspec import to_builtins

    text = json.dumps(to_builtins(value), indent=indent, ensure_ascii=False, allow_nan=False)
    return harmless_json(text.encode("utf-8", "surrogatepass").decode("utf-8", "replace"))


def harmless_json(text: str) -> str:
    """Return the JSON with every control code escaped, so that a terminal obeys none."""
    return text.translate(_CONTROLS)


def unexpected(error: Exception) -> Unexpected:
    """Wrap an unexpected exception in an error with its location and a repair."""
    kind = type(error).__name__
    text = " ".join(str(error).split())[:500]
    found = Unexpected(
        f"{kind}: {text}" if text else kind,
        where=_place(error),
        repair="this is a bug in graphengine or in the graph's file; run again with --debug",
    )
    found.__cause__ = error
    return found


def _place(error: Exception) -> str:
    frames: Sequence[traceback.FrameSummary] = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""


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
