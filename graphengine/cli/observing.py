"""What the operator of a command sees: its log, as text or as JSON on each line, and its traces."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final

from graphengine.api.logs import node_facts
from graphengine.cli.context import harmless_json
from graphengine.cli.terminal import Channel
from graphengine.errors import GraphEngineError
from graphengine.kernel.inside import install_command

if TYPE_CHECKING:
    from collections.abc import Generator

    from graphengine.cli.context import CommandContext
    from graphengine.telemetry import Telemetry

_RUNS: Final = "graphengine.runs"
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Formats a record as a line of JSON, with the run and the node in which it was logged, and its trace."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line: dict[str, Any] = {"time": at, "level": record.levelname.lower(), "logger": record.name}
        line["message"] = record.getMessage()
        line |= node_facts()
        line |= {
            name: value for name, value in vars(record).items() if name not in _STANDARD and value not in (None, "")
        }
        line |= {name: value for name, value in _of_span().items() if name not in line}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return harmless_json(json.dumps(line, ensure_ascii=False, default=str))


def _of_span() -> dict[str, str]:
    """Return the ids of the current span, if OpenTelemetry is in use."""
    trace = sys.modules.get("opentelemetry.trace")
    span = trace.get_current_span().get_span_context() if trace is not None else None
    if span is None or not span.is_valid:
        return {}
    return {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}


def line_of(text: str, level: int = logging.INFO, **fields: str) -> str:
    """Return a message of a command as a line of JSON, without the log; safe in a handler of signals."""
    record = logging.LogRecord("graphengine.cli", level, "", 0, text, None, None)
    vars(record).update(fields)
    return JsonLines().format(record) + "\n"


class _Logged(io.StringIO):
    """A stream whose lines are records of the log; it keeps nothing."""

    def write(self, text: str) -> int:
        for line in text.splitlines():
            if line.strip():
                logging.getLogger("graphengine.cli").info(line)
        return len(text)


@contextmanager
def logged(context: CommandContext) -> Generator[None]:
    """Write the log of the whole process to stderr while active; as JSON, also the command's own lines."""
    root, handler = logging.getLogger(), logging.StreamHandler(sys.stderr)
    is_json, err, level = context.log_format == "json", context.err, root.level
    handler.setFormatter(JsonLines() if is_json else logging.Formatter("%(levelname)-7s %(name)s: %(message)s"))
    root.addHandler(handler)
    root.setLevel((context.log_level or "info").upper())
    if is_json:
        context.err = Channel(_Logged(), must_arrive=False)
    try:
        yield
    finally:
        context.err = err
        root.setLevel(level)
        root.removeHandler(handler)


class _LogLines(logging.Handler):
    """A handler that shows log messages as lines on stderr."""

    def __init__(self, context: CommandContext) -> None:
        super().__init__(logging.WARNING)
        self._context = context

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != _RUNS:
            self._context.err.prose(("warning  ", "bold yellow"), record.getMessage(), indent=9)


@contextmanager
def observed(context: CommandContext) -> Generator[Telemetry | None]:
    """Show the engine's warnings as lines while runs are driven; yield the telemetry of a command with `--otel`.

    The log of runs is left out: the command shows itself how its runs go. If the options of the command show its whole
    log, the warnings are in it.

    Raises:
        GraphEngineError: What `--otel` needs is not installed.
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
    """Yield the telemetry of a command with `--otel`, and export the rest of it at the end.

    The SDK is configured by its OTEL_* variables. Under `opentelemetry-instrument` it is configured already.

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
    trace.set_tracer_provider(provider)  # for the instrumented clients of nodes
    metrics.set_meter_provider(meters)
    try:
        yield Telemetry()
    finally:
        provider.shutdown()
        meters.shutdown()


def _exporters(signal: str) -> list[Any]:
    """Return the exporters that OTEL_TRACES_EXPORTER or OTEL_METRICS_EXPORTER name; that of OTLP if not set."""
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
    return GraphEngineError(f"--otel needs the package {package}", repair=repair, code="telemetry_missing")
