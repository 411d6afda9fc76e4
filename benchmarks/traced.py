"""Telemetry: what spans and metrics add to a step."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from benchmarks.measure import MICRO, Figure, Outcome, Settings, alternate
from benchmarks.ours import Counter, counting
from graphengine import Runner

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.measure import Side

TITLE: Final = "Telemetry"
OFF: Final = "a step without telemetry"
NO_SDK: Final = "a step with `Telemetry()`, without an SDK"
ON: Final = "a step with `Telemetry()`, and the SDK in memory"
ADDED: Final = "what a step's span and metrics add"


async def traced(settings: Settings) -> Outcome:
    """This program measures what telemetry adds to the CPU time of a step, in a run of 500 visits in memory.

    The graph is that of the program `step`. Without the SDK, the OpenTelemetry API has providers that drop everything.
    With the SDK, each visit is a span and adds to the metrics, and the SDK hands each span to an exporter in memory at
    once. The last figure is the difference between neighbouring rounds.
    """
    if find_spec("opentelemetry.sdk") is None:
        return Outcome(TITLE, {})
    from opentelemetry.metrics import NoOpMeterProvider  # noqa: PLC0415 - not in every environment
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: PLC0415
    from opentelemetry.trace import NoOpTracerProvider  # noqa: PLC0415

    from graphengine.telemetry import Telemetry  # noqa: PLC0415

    spans, tracers = InMemorySpanExporter(), TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    steps = settings.count(500, 10)
    async with AsyncExitStack() as stack:
        meters = MeterProvider([InMemoryMetricReader()])
        stack.callback(meters.shutdown)
        dropped = Telemetry(tracer_provider=NoOpTracerProvider(), meter_provider=NoOpMeterProvider())
        kept = Telemetry(tracer_provider=tracers, meter_provider=meters)
        runners = [await stack.enter_async_context(Runner(telemetry=each)) for each in (None, dropped, kept)]
        sides = {
            name: _steps(runner, steps, spans.clear) for name, runner in zip((OFF, NO_SDK, ON), runners, strict=True)
        }
        found = await alternate(sides, "µs", settings.count(21, 1))
    added = tuple(on - off for on, off in zip(found[ON].rounds, found[OFF].rounds, strict=True))
    return Outcome(TITLE, {**found, ADDED: Figure(ADDED, "µs", added)})


def _steps(runner: Runner, steps: int, finish: Callable[[], None]) -> Side:
    graph = counting(steps)
    graph.compile()

    async def side() -> float:
        began = time.process_time()
        await runner.start(graph, Counter()).result()
        took = time.process_time() - began
        finish()
        return MICRO * took / steps

    return side
