"""The spans and metrics of a run in one process, and faults; `sessions/traces.txt` shows runs that stop and go on."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision, SamplingResult, StaticSampler
from opentelemetry.trace import StatusCode
from pydantic import BaseModel, SecretStr

from graphengine import (
    END,
    START,
    Agent,
    Budget,
    Budgets,
    Context,
    Graph,
    Limits,
    Retry,
    Runner,
    ScriptedModel,
    Settings,
)
from graphengine.kernel.extension import Extension
from graphengine.kernel.store import Store
from graphengine.models import Request, Response, ToolCall
from graphengine.stores.memory import InMemoryStore
from graphengine.telemetry import Telemetry
from graphengine.worker import Worker
from tests.kit.runs import SOON, alone
from tests.telemetry.kit import Spans, id_of, links_of

KEY = "0123456789abcdefghijklmnopqrstuvwxyz"


class Desk(BaseModel):
    """The state of the graphs here."""

    n: int = 0
    text: str = ""
    parts: list[str] = ["a", "b"]
    read: list[str] = []
    token: SecretStr = SecretStr("hunter2")


@pytest.fixture
def spans() -> Spans:
    """Yield a provider that keeps its spans."""
    return Spans()


@pytest.fixture
def reader() -> Iterator[InMemoryMetricReader]:
    """Yield a reader of metrics; its provider is the attribute `provider`."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    vars(reader)["provider"] = provider
    yield reader
    provider.shutdown()


def points(reader: InMemoryMetricReader, name: str) -> dict[tuple[Any, ...], Any]:
    """Return the points of a metric: values, or sums, by the values of their attributes without the graph."""
    data = reader.get_metrics_data()
    assert data is not None
    found = [
        metric
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == name
    ]
    return {
        tuple(value for key, value in sorted((point.attributes or {}).items()) if key != "graphengine.graph"): getattr(
            point, "value", getattr(point, "sum", None)
        )
        for metric in found
        for point in metric.data.data_points
    }


class Inner(BaseModel):
    """The state of the graph inside."""

    n: int = 0


def more(n: int) -> int:
    """Return one more."""
    return n + 1


def find(word: str) -> str:
    """Find a word."""
    with trace.get_tracer("client", tracer_provider=_http).start_as_current_span("GET /words"):
        return f"{word} is found"


_http = TracerProvider()  # replaced by the test: the instrumented client of a tool, in a thread


def whole() -> Graph[Desk]:
    """Return a graph with an agent that calls a tool, a node that fails once, a map, a fork and a graph in it."""
    tried: list[int] = []

    def shaky(n: int) -> int:
        tried.append(n)
        if len(tried) < 2:
            message = "the prompt was: tides"
            raise ValueError(message)
        return n + 1

    async def read(part: str, ctx: Context) -> str:
        await asyncio.sleep(0)
        with trace.get_tracer("client", tracer_provider=_http).start_as_current_span(f"GET /{part}"):
            return await ctx.call(find_part, part)

    def find_part(part: str) -> str:
        return f"what-{part}-says"

    answers = [
        Response(
            "",
            (ToolCall(id="c1", name="find", arguments='{"word": "moon"}'),),
            model="acme:large",
            input_tokens=7,
            output_tokens=2,
            cost_usd=0.5,
        ),
        Response(
            "about tides",
            model="acme:large",
            input_tokens=9,
            output_tokens=4,
            cost_usd=None,
            id="msg_2",
            server="acme.example:8443",
        ),
    ]
    inner = alone(Inner, more, "n", name="inner", node="more")
    graph = Graph("whole", Desk, secret_key=KEY)
    model = ScriptedModel(answers)
    graph.add_node("ask", Agent("writer", prompt="On {text}", tools=[find], model=model), writes="text")
    graph.add_node("shaky", shaky, writes="n", retry=Retry(attempts=2, initial_seconds=0.001))
    graph.add_node("read", read, each={"part": "parts"}, writes="read")
    graph.add_node("inner", inner, inputs={"n": "n"}, writes={"n": "n"})
    graph.add_path(START, "ask", "shaky", "read", "inner", END)
    return graph


WHOLE = """\
invoke_workflow whole
  ask
    invoke_agent writer
      chat large
      execute_tool find
      chat large
    GET /words
  shaky
    shaky attempt
    shaky attempt
  read
    read item
      step find_part
      GET /a
    read item
      step find_part
      GET /b
  inner
    inner/more
POST /runs
  start whole"""


async def test_a_run_is_a_trace(spans: Spans, reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans of the caller and of instrumented clients fit in; nothing that a model or a person wrote leaves."""
    monkeypatch.setattr(f"{__name__}._http", spans.provider)
    telemetry = Telemetry(tracer_provider=spans.provider, meter_provider=vars(reader)["provider"])
    async with Runner(telemetry=telemetry) as runner:
        with spans.provider.get_tracer("web").start_as_current_span("POST /runs"):
            await runner.start(whole(), {"text": "tides", "token": SecretStr("hunter2")}, run_id="r1").result()
    assert spans.tree() == WHOLE
    root, start = spans.named("invoke_workflow whole"), spans.named("start whole")
    assert links_of(start) == [(root.context.trace_id, id_of(root))]
    assert links_of(root) == [(start.parent.trace_id, start.parent.span_id)]  # type: ignore[union-attr]
    assert root.attributes is not None
    assert root.attributes["graphengine.cost.unknown"] is True  # of one call
    assert "graphengine.cost_usd" not in root.attributes
    first, second = (dict(span.attributes or {}) for span in spans.all if span.name == "chat large")
    assert (first["gen_ai.provider.name"], first["gen_ai.usage.input_tokens"], first["graphengine.cost_usd"]) == (
        "acme", 7, 0.5
    )  # fmt: skip
    assert "graphengine.cost_usd" not in second
    names = "gen_ai.response.model", "gen_ai.response.id", "server.address", "server.port"
    assert [second.get(name) for name in names] == ["large", "msg_2", "acme.example", 8443]
    assert [first.get(name) for name in names] == ["large", None, None, None]
    assert (spans.named("execute_tool find").attributes or {})["gen_ai.tool.call.id"] == "c1"
    failed = next(span for span in spans.all if span.name == "shaky attempt")
    assert (failed.status.status_code, [event.name for event in failed.events]) == (StatusCode.ERROR, ["exception"])
    everything = "".join(span.to_json() for span in spans.all)
    for text in ("tides", "moon", "hunter2", "says"):
        assert text not in everything

    assert points(reader, "graphengine.steps")["recorded",] == 5  # three of the agent, two of items
    assert points(reader, "gen_ai.client.token.usage") == {
        ("chat", "acme", "large", "input"): 16, ("chat", "acme", "large", "output"): 6
    }  # fmt: skip
    assert points(reader, "graphengine.cost") == {("chat", "acme", "large"): 0.5}
    assert points(reader, "graphengine.cost.unknown") == {("chat", "acme", "large"): 1}
    assert points(reader, "graphengine.runs") == {("finished",): 1}
    assert {key[:2] for key in points(reader, "graphengine.node.duration")} >= {("shaky", "done"), ("read", "done")}


async def test_content_is_included_on_request(spans: Spans, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `content=True`, or the standard variable, traces have messages and errors, but no secrets."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    async with Runner(telemetry=Telemetry(tracer_provider=spans.provider)) as runner:
        await runner.start(whole(), {"text": "tides", "token": SecretStr("hunter2")}).result()
    everything = "".join(span.to_json() for span in spans.all)
    for text in ("about tides", "moon is found", "the prompt was: tides", "Traceback"):
        assert text in everything
    assert "hunter2" not in everything
    assert not Telemetry(content=False).content


async def test_a_fault_of_a_processor_does_not_reach_the_run(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once, and the run finishes."""

    class Broken(SimpleSpanProcessor):
        def on_end(self, span: Any) -> None:
            raise OSError

    provider = TracerProvider()
    provider.add_span_processor(Broken(Spans().exporter))
    graph = Graph("g", Desk, limits=Limits(visits=3), secret_key=KEY)
    graph.add_node("a", lambda: "x", writes="text")
    graph.add_node("b", lambda: "y", writes="text")
    graph.add_path(START, "a", "b", END)
    async with Runner(telemetry=Telemetry(tracer_provider=provider)) as runner:
        assert (await runner.start(graph, run_id="r7").result()).state.text == "y"
    assert [record.getMessage() for record in caplog.records] == ["the trace of run r7 ends at step 2"]


async def test_a_fault_of_a_sampler_does_not_reach_a_run_that_is_resumed(caplog: pytest.LogCaptureFixture) -> None:
    """The run's span begins with the resume: it is logged that the run has no spans, and the run finishes."""

    class Broken(StaticSampler):
        def should_sample(self, *_arguments: Any, **_more: Any) -> SamplingResult:
            raise OSError

    graph = Graph("g", Desk, limits=Limits(visits=1), secret_key=KEY)
    graph.add_node("a", lambda: "x", writes="text")
    graph.add_node("b", lambda: "y", writes="text")
    graph.add_path(START, "a", "b", END)
    store = InMemoryStore()
    async with Runner(store) as runner:
        assert (await runner.start(graph, run_id="r8").result()).status == "stopped"
    provider = TracerProvider(sampler=Broken(Decision.RECORD_AND_SAMPLE))
    async with Runner(store, telemetry=Telemetry(tracer_provider=provider)) as runner:
        assert (await runner.resume("r8", graph, limits=Limits(visits=3)).result()).state.text == "y"
    assert [record.getMessage() for record in caplog.records] == ["the trace of run r8 ends at step 3"]


async def test_workers_measure_queues(
    reader: InMemoryMetricReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker sets the depth of each queue when it looks for runs."""
    graph = Graph("g", Desk, secret_key=KEY)
    graph.add_node("a", lambda: "x", writes="text")
    graph.add_path(START, "a", END)
    telemetry = Telemetry(meter_provider=vars(reader)["provider"])
    async with Runner(tmp_path / "runs.db", telemetry=telemetry) as runner:
        for number in range(3):
            await runner.start(graph, run_id=f"r{number}", queue="mail").result()
        measured, counts = asyncio.Event(), runner.store.queue_counts

        async def counted() -> Any:
            measured.set()
            return await counts()

        monkeypatch.setattr(runner.store, "queue_counts", counted)
        other = Graph("other", Desk, secret_key=KEY)  # so that no run is taken
        other.add_node("a", lambda: "x", writes="text")
        other.add_path(START, "a", END)
        worker = Worker(runner, other)
        work = asyncio.create_task(worker.run())
        await measured.wait()
        worker.stop()
        await work
        depth = points(reader, "graphengine.queue.depth")
    assert depth == {("mail", "queued"): 3, ("mail", "driven"): 0}


class Waiting:
    """A model that answers once it is told to."""

    name = "waiting"

    def __init__(self) -> None:
        self.begun: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def answer(self, request: Request) -> Response:
        self.begun.put_nowait(told := asyncio.Event())
        await told.wait()
        return Response("ok", input_tokens=8, output_tokens=2, cost_usd=0.5)

    async def price_of(self, input_tokens: int, output_tokens: int) -> float | None:
        return (input_tokens + output_tokens) / 1000


async def test_workers_measure_budgets(reader: InMemoryMetricReader) -> None:
    """What was spent, estimated and reserved is shown with the limits; accounts of users are added up without names."""

    class Last(Extension):
        async def polled(self, store: Store) -> None:
            done.set()

    done, model = asyncio.Event(), Waiting()
    budgets = Budgets(
        Budget(name="all", window="month", cost_usd=20, calls=9),
        Budget(name="users", by="user", window="month", tokens=9_000),
        Budget(name="agents", by="agent", window="month", calls=5),
    )
    graph = alone(Desk, Agent("writer", prompt="{text}", settings=Settings(max_tokens=100)), "text", secret_key=KEY)
    telemetry = Telemetry(meter_provider=vars(reader)["provider"])
    async with Runner(models=model, telemetry=telemetry, extensions=[budgets, Last()]) as runner:
        runs, answered = [], []
        async with asyncio.timeout(SOON):
            for user in ("ada", "bob", "ada"):
                runs.append(runner.start(graph, {"text": "Write."}, user=user))
                answered.append(await model.begun.get())
        answered[0].set()
        await runs[0].result()
        await runner.stop(runs[1].id, now=True)
        await runs[1].result()
        worker = Worker(runner, alone(Desk, lambda: "x", "text", name="other", secret_key=KEY))
        work = asyncio.create_task(worker.run())
        async with asyncio.timeout(SOON):
            await done.wait()
        spent, reserved = points(reader, "graphengine.budget.spent"), points(reader, "graphengine.budget.reserved")
        limits, estimated = points(reader, "graphengine.budget.limit"), points(reader, "graphengine.budget.estimated")
        flying = points(reader, "graphengine.budget.calls_in_flight")
        unknown = points(reader, "graphengine.budget.unknown_calls")
        worker.stop()
        await runner.stop(runs[2].id, now=True)
        await work
    assert limits == {
        ("all", "cost_usd"): 20, ("all", "calls"): 9, ("users", "tokens"): 9_000, ("agents", "calls", "writer"): 5
    }  # fmt: skip
    assert {amount: spent[amount] for amount in spent if "calls" in amount} == {
        ("all", "calls"): 2, ("agents", "calls", "writer"): 2
    }  # fmt: skip
    assert spent["all", "cost_usd"] == 0.5 + estimated["all", "cost_usd"] > 0.5
    assert spent["users", "tokens"] == 10 + estimated["users", "tokens"] > 10
    assert reserved["all", "cost_usd"] > 0
    assert flying == {("all",): 1, ("users",): 1, ("agents", "writer"): 1}
    assert unknown == flying
