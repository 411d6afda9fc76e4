"""The log and the traces of a command, for the operator of a service or worker.

The log is text, or one JSON object on each line.
"""

from __future__ import annotations

import copy
import io
import json
import logging
import os
import sys
import traceback
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final

from graphengine.api.logs import node_facts
from graphengine.cli.context import harmless_json
from graphengine.cli.terminal import Channel
from graphengine.errors import GraphEngineError, RunText, StoreError
from graphengine.kernel.inside import install_command

if TYPE_CHECKING:
    from collections.abc import Generator

    from graphengine.cli.context import CommandContext
    from graphengine.telemetry import Telemetry

_RUNS: Final = "graphengine.runs"
_STORES: Final = "graphengine.stores"
_WITHOUT_CONTENTS: Final = frozenset(("graphengine", "a2a", "asyncio", "mcp"))
"""The loggers whose messages are shown without the contents of runs.

These are the loggers of this package, of the protocols of the service and of the event loop. Other loggers belong to
the user's program.
"""
_PROTOCOLS: Final = ("a2a", "mcp")
_SDKS: Final = (*_PROTOCOLS, "openai", "anthropic", "google_genai")
"""The loggers whose debug messages contain whole requests."""
_FRAMES: Final = 20
"""The maximum number of frames of a traceback in the log. Of a longer traceback, the last frames are kept."""
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class OperatorLines(logging.Formatter):
    """Formats log records for the operator of a service, who must not see the contents of runs.

    Questions, answers and the messages of errors are left out, because they can contain what users wrote. Of an
    exception, the log contains the type, the code if there is one, and where it was raised. Messages of stores about
    the database are kept, and so are messages of the program's own loggers.
    """

    def format(self, record: logging.LogRecord) -> str:
        return super().format(_remove_contents(record))


def _remove_contents(record: logging.LogRecord) -> logging.LogRecord:
    """Return a copy of a log record without contents of runs, such as questions, answers and errors.

    The original record stays unchanged, because other log handlers format it too. A record of the user's own loggers is
    returned as it is.
    """
    if record.name.partition(".")[0] not in _WITHOUT_CONTENTS:
        return record
    record = copy.copy(record)
    if record.name.startswith("asyncio"):  # the message about a task ends with the text of its error
        record.msg, record.args = record.getMessage().partition("\n")[0], None
    elif isinstance(record.args, tuple) and record.name != _STORES:
        record.args = tuple(map(_replace_run_text, record.args))
    error = record.exc_info[1] if record.exc_info else None
    # A request that the protocol cannot read is logged on one line.
    if error is not None and record.name.startswith(_PROTOCOLS):
        frames = traceback.extract_tb(error.__traceback__)
        where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        record.msg, record.args = f"{record.getMessage()}: {_name_error(error)}{where}", None
        record.exc_info = record.exc_text = None
    elif error is not None:
        record.exc_text, record.exc_info = _format_traceback(error), None
    return record


def _replace_run_text(argument: object) -> object:
    """Replace an argument of a log message by a harmless text if it can contain what a user wrote."""
    if isinstance(argument, RunText):
        return "(see the run)" if argument else ""
    if isinstance(argument, BaseException) and not isinstance(argument, StoreError):
        return _name_error(argument)
    return argument


def _name_error(error: BaseException) -> str:
    code = f" ({error.code})" if isinstance(error, GraphEngineError) else ""
    return f"{type(error).__name__}{code}"


def _format_traceback(error: BaseException) -> str:
    """Format an exception and its causes as a traceback, without messages and notes.

    Messages and notes can contain text from a run.
    """
    lines: list[str] = []
    seen: set[int] = set()
    while True:
        seen.add(id(error))
        frames = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), limit=-_FRAMES)
        own = ["Traceback (most recent call last):\n", *frames.format(), _name_error(error)]
        lines = [*own, *(["\n\nwhich led to:\n\n", *lines] if lines else [])]
        following = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if following is None or id(following) in seen:
            return "".join(lines)
        error = following


class JsonLines(OperatorLines):
    """Formats each log record as a line of JSON, with the run, the node and the OpenTelemetry span that logged it."""

    def format(self, record: logging.LogRecord) -> str:
        record = _remove_contents(record)
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line: dict[str, Any] = {"time": at, "level": record.levelname.lower(), "logger": record.name}
        line["message"] = record.getMessage()
        line |= node_facts()
        line |= {
            name: value for name, value in vars(record).items() if name not in _STANDARD and value not in (None, "")
        }
        line |= {name: value for name, value in _read_span_ids().items() if name not in line}
        if record.exc_info or record.exc_text:
            line["exception"] = record.exc_text or self.formatException(record.exc_info or (None, None, None))
        return harmless_json(json.dumps(line, ensure_ascii=False, default=str))


def _read_span_ids() -> dict[str, str]:
    """Return the trace id and the span id of the current OpenTelemetry span; {} if there is none."""
    trace = sys.modules.get("opentelemetry.trace")
    span = trace.get_current_span().get_span_context() if trace is not None else None
    if span is None or not span.is_valid:
        return {}
    return {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}


def line_of(text: str, level: int = logging.INFO, **fields: str) -> str:
    """Format a command's own message as a line of the JSON log.

    The function does not use a logger, so that a signal handler can call it while a logger is locked.
    """
    record = logging.LogRecord("graphengine.cli", level, "", 0, text, None, None)
    vars(record).update(fields)
    return JsonLines().format(record) + "\n"


class _LogStream(io.StringIO):
    """A stream that turns each line of a command's own messages into a log entry, so that a JSON log contains them."""

    def write(self, text: str) -> int:
        for line in text.splitlines():
            if line.strip():
                logging.getLogger("graphengine.cli").info(line)
        return len(text)


@contextmanager
def logged(context: CommandContext) -> Generator[None]:
    """Write the log of the whole process to stderr inside this `with` block.

    With `--log-format json`, the command's own messages become lines of this log too, so that every line is JSON.
    """
    root, handler = logging.getLogger(), logging.StreamHandler(sys.stderr)
    is_json, err, level = context.log_format == "json", context.err, root.level
    text = OperatorLines if context.is_for_operator else logging.Formatter
    handler.setFormatter(JsonLines() if is_json else text("%(levelname)-7s %(name)s: %(message)s"))
    if is_json or context.is_for_operator:
        handler.addFilter(lambda record: record.levelno > logging.DEBUG or not record.name.startswith(_SDKS))
    root.addHandler(handler)
    root.setLevel((context.log_level or "info").upper())
    if is_json:
        context.err = Channel(_LogStream(), must_arrive=False)
    try:
        yield
    finally:
        context.err = err
        root.setLevel(level)
        root.removeHandler(handler)


class _LogLines(logging.Handler):
    """A log handler that shows warnings of the engine to the user on stderr, in the style of a command's messages."""

    def __init__(self, context: CommandContext) -> None:
        super().__init__(logging.WARNING)
        self._context = context

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != _RUNS:
            shown = _remove_contents(record) if self._context.is_for_operator else record
            self._context.err.prose(("warning  ", "bold yellow"), shown.getMessage(), indent=9)


@contextmanager
def observed(context: CommandContext) -> Generator[Telemetry | None]:
    """Show the engine's warnings on stderr while a command drives runs, and yield the telemetry for `--otel`.

    Log messages about single runs are not shown, because the command shows the progress of its runs itself. With
    `--log-format` or `--log-level`, the whole log is shown instead, including the warnings.

    Raises:
        GraphEngineError: A package that `--otel` needs is not installed.
    """
    log, lines = logging.getLogger("graphengine"), _LogLines(context)
    if not (context.log_format or context.log_level):
        log.addHandler(lines)
    try:
        with _telemetry_of(context) as telemetry:
            yield telemetry
    finally:
        log.removeHandler(lines)


@contextmanager
def _telemetry_of(context: CommandContext) -> Generator[Telemetry | None]:
    """Set up OpenTelemetry for a command with `--otel`, and export the remaining data at the end of the block.

    The OTEL_* environment variables configure the export. If `opentelemetry-instrument` started the program,
    OpenTelemetry is already configured, and is used as it is. Without `--otel`, the block gets None.

    Raises:
        GraphEngineError: The API, the SDK or the exporter is not installed.
    """
    if not context.otel:
        yield None
        return
    try:
        from opentelemetry import metrics, trace
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise _build_missing_error("opentelemetry-sdk") from error
    from graphengine.telemetry import Telemetry

    if isinstance(trace.get_tracer_provider(), TracerProvider):
        yield Telemetry()
        return
    is_named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    resource = Resource.create({} if is_named else {"service.name": "graphengine"})
    provider = TracerProvider(resource=resource)
    for exporter in _exporters("traces"):
        provider.add_span_processor(BatchSpanProcessor(exporter))
    meters = MeterProvider([PeriodicExportingMetricReader(each) for each in _exporters("metrics")], resource)
    trace.set_tracer_provider(provider)  # needed by the instrumented clients in nodes
    metrics.set_meter_provider(meters)
    try:
        yield Telemetry()
    finally:
        provider.shutdown()
        meters.shutdown()


def _exporters(signal: str) -> list[Any]:
    """Return the exporters named by OTEL_TRACES_EXPORTER or OTEL_METRICS_EXPORTER; by default the OTLP exporter.

    Raises:
        GraphEngineError: The package of an exporter is not installed.
    """
    names = os.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "otlp").split(",")
    general = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    protocol = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", general)
    found: list[Any] = []
    for name in (each.strip() for each in names):
        if name in ("", "none"):
            continue
        entry = f"otlp_proto_{protocol.partition('/')[0]}" if name == "otlp" else name
        points = entry_points(group=f"opentelemetry_{signal}_exporter", name=entry)
        if not points:
            raise _build_missing_error(f"opentelemetry-exporter-{entry.replace('_', '-')}")
        found.append(next(iter(points)).load()())
    return found


def _build_missing_error(package: str) -> GraphEngineError:
    repair = f"{install_command('otel')} {package}"
    message = f"--otel needs the Python package {package!r}, which is not installed"
    return GraphEngineError(message, repair=repair, code="telemetry_missing")
