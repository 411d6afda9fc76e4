import json
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Limits, ScriptedModel
from graphengine.models import Response, ToolCall
from graphengine.telemetry import Telemetry
from tests.kit.session_page import Lines
from tests.telemetry.kit import Spans, id_of

if TYPE_CHECKING:
    from tests.kit.given import process

SPANS = Spans()
MESSAGES = ("gen_ai.tool.definitions", "gen_ai.system_instructions", "gen_ai.input.messages", "gen_ai.output.messages")


class Desk(BaseModel):
    n: int = 0
    text: str = ""


def find(word: str) -> str:
    """Find a word."""
    return f"{word} is found"


async def asks(n, ctx):
    return n + await ctx.ask("How many?", int)


BROKEN = [True]


def fails_once():
    if BROKEN:
        BROKEN.clear()
        raise OSError
    return "done"


def row(name, **nodes):
    """Return a graph of nodes that write the field `text`, or the one of their name."""
    graph = Graph(name, Desk)
    for node, work in nodes.items():
        graph.add_node(node, work, writes="n" if work is asks else "text")
    graph.add_path(START, *nodes, END)
    return graph


ASKING = row("asking", asks=asks, last=fails_once)
WORD = ToolCall(id="c1", name="find", arguments='{"word": "moon"}')
SAID = [Response("", (WORD,), "tools", input_tokens=5), "tides"]
WRITER = Agent("writer", system="Be brief.", prompt="On {text}", tools=[find], model=ScriptedModel(SAID))
WRITING = row("one", ask=WRITER)


async def traced(provider=SPANS.provider, **options):
    """Let the runs from here on have spans of a provider."""
    await process(telemetry=Telemetry(tracer_provider=provider, **options))


def tree():
    ids = [id_of(span) for span in SPANS.all]
    traces = {span.context.trace_id for span in SPANS.all}
    return Lines([*SPANS.tree().splitlines(), f"{len(set(ids))} spans of {len(traces)} trace"])


def calls():
    """Return what each span of a call of a model has of its messages."""
    spans = [span.attributes for span in SPANS.all if span.name.startswith("chat ")]
    return Lines(f"{name}: {json.loads(span[name])}" for span in spans for name in MESSAGES)


def current():
    """Return whether the current span is valid, and sampled."""
    found = trace.get_current_span().get_span_context()
    return f"valid: {found.is_valid}, sampled: {bool(found.trace_flags & trace.TraceFlags.SAMPLED)}"


READER = InMemoryMetricReader()


def finished():
    """Return how many runs the metrics count, by how they ended."""
    metrics = [
        each
        for of in READER.get_metrics_data().resource_metrics
        for scope in of.scope_metrics
        for each in scope.metrics
    ]
    points = [point for each in metrics if each.name == "graphengine.runs" for point in each.data.data_points]
    return [(dict(point.attributes), point.value) for point in points]
