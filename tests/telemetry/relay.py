"""One process of a run that several drive: it exports each span over OTLP at once.

Usage: relay.py DATABASE start|resume NAME
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Runner
from graphengine.telemetry import Telemetry


class Baton(BaseModel):
    """The state."""

    laps: int = 0


async def first(laps: int, ctx: Context) -> int:
    """Work, and ask how far to run."""
    await ctx.call(warm_up, 1)
    return laps + await ctx.ask("How many laps?", int)


def warm_up(minutes: int) -> int:
    """Return the minutes."""
    return minutes


async def second(laps: int, ctx: Context) -> int:
    """Work, and die once."""
    await ctx.call(warm_up, 2)
    marker = Path(sys.argv[1]).with_suffix(".died")
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return await ctx.call(warm_up, laps)


graph = Graph("relay", Baton)
graph.add_node("first", first, writes="laps")
graph.add_node("second", second, writes="laps")
graph.add_path(START, "first", "second", END)


async def main(database: str, verb: str, name: str) -> None:
    """Drive the run until it waits, dies or ends."""
    provider = TracerProvider(resource=Resource({"service.name": name}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
    async with Runner(database, telemetry=Telemetry(tracer_provider=provider)) as runner:
        if verb == "start":
            await runner.start(graph, run_id="relay").result()
            await runner.answer("relay", 3)
        else:
            await runner.resume("relay", graph).result()
    provider.shutdown()


asyncio.run(main(*sys.argv[1:]))
