"""docs/use/telemetry.md: its program runs over two processes, and a receiver gets each attribute that it lists."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Received
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.sdk.trace import TracerProvider

from graphengine import Runner, ScriptedModel
from graphengine.models import Response, calls
from graphengine.telemetry import Telemetry
from tests.conformance.model_scenes import Says
from tests.docs.page import USE, blocks, names_of
from tests.kit import forks
from tests.models.edge_server import EdgeServer
from tests.telemetry.kit import Spans
from tests.telemetry.test_relay import EXPORTER, receiving

PAGE = (USE / "telemetry.md").read_text(encoding="utf-8")
FIRST, PROGRAM, USERS = blocks(USE / "telemetry.md", "python")
TABLE = PAGE[PAGE.index("| on the spans |") : PAGE.index("The table above lists span attributes")]
LISTED = {name for row in TABLE.split("\n| ")[1:] for name in re.findall(r"`(\w+\.[\w.]+)`", row.split("|")[0])}
COSTS = {"gen_ai.usage.cost", "operation.cost"}


@pytest.fixture
def edge() -> Iterator[EdgeServer]:
    """Yield a local server with the wire format of Anthropic."""
    server = EdgeServer()
    server.start()
    yield server
    server.stop()


def attributes(span: Received) -> dict[str, str]:
    """Return the names and texts of a span's attributes."""
    return {each.key: each.value.string_value for each in span.attributes}


def test_the_program_is_one_trace_over_two_processes_with_the_listed_attributes(
    edge: EdgeServer, tmp_path: Path
) -> None:
    """One command asks and ends, another answers: no span has an error, and every one the run's conversation."""
    (tmp_path / "review.py").write_text(PROGRAM, encoding="utf-8")
    edge.play(Says(calls=calls(("find", {"word": "tides"})).calls), Says("On tides"))
    commands = re.findall(r"^\$ graphengine (.*)", PAGE[PAGE.index("```python\nfrom pydantic") :], re.MULTILINE)[:2]
    with receiving() as (address, got):
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": address,
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true",
            "ANTHROPIC_BASE_URL": edge.url,
            "ANTHROPIC_API_KEY": "none",
        }
        ran = []
        for command in commands:
            words = [*command.split(), "--store", "runs.db"]
            variables["OTEL_SERVICE_NAME"] = words[0]
            ran.append(forks.run("graphengine", *words, folder=tmp_path, variables=variables, loads=EXPORTER))
    assert [each.returncode for each in ran] == [3, 0], [each.stderr for each in ran]
    spans = [span for _, span in got]
    assert [(process, span.name) for process, span in got] == [
        ("run", "chat claude-haiku-4-5"),
        ("run", "execute_tool find"),
        ("run", "chat claude-haiku-4-5"),
        ("run", "invoke_agent writer"),
        ("run", "draft"),
        ("answer", "wait ask"),
        ("answer", "approve"),
        ("answer", "invoke_workflow review"),
    ]
    assert len({span.trace_id for span in spans}) == 1
    assert not any(span.status.code == Status.STATUS_CODE_ERROR or span.events for span in spans[:-1])
    assert {attributes(span)["gen_ai.conversation.id"] for span in spans} == {"tides-7"}
    sent = {name for span in spans for name in attributes(span)}
    assert LISTED - sent == COSTS  # a local server has no known price
    assert {name for name in sent if name.startswith("gen_ai.")} - LISTED == {"gen_ai.agent.name"}


async def test_viewers_that_add_up_count_each_call_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only calls of models have the tokens and costs that viewers read; the run has its totals under its own names."""
    monkeypatch.chdir(tmp_path)
    names = names_of(f"{FIRST}\n{PROGRAM}\n{USERS}")
    provider, review = names["provider"], names["review"]
    assert isinstance(provider, TracerProvider)
    spans = Spans(provider)
    call = Response("", calls(("find", {"word": "sea"})).calls, "tools", "", "openai-chat:m", 5, output_tokens=1)
    answer = Response("tides", stop="end", model="openai-chat:m", input_tokens=7, output_tokens=2, cost_usd=0.5)
    model, telemetry = ScriptedModel([call, answer]), Telemetry(tracer_provider=provider)
    async with Runner("runs.db", models=model, telemetry=telemetry) as runner:
        await runner.start(review, run_id="ann-1").result()
        await runner.answer("ann-1", value=True)
        await runner.resume("ann-1", review).result()
    counted = {
        span.name for span in spans.all if any(name.startswith("gen_ai.usage.") for name in span.attributes or {})
    }
    assert counted == {"chat m"}
    first, second = (span.attributes or {} for span in spans.all if span.name == "chat m")
    assert not COSTS & set(first)
    assert {second[name] for name in COSTS} == {0.5}
    assert (first["gen_ai.provider.name"], first["gen_ai.response.finish_reasons"]) == ("openai", ("tool_call",))
    root = spans.named("invoke_workflow review").attributes or {}
    assert (root["graphengine.usage.input_tokens"], root["user.id"]) == (12, "ann")
