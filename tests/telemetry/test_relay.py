"""A run over three processes, one of which is killed, is one trace at an OTLP receiver."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.kit import forks

EXPORTER = ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk.trace.export")
"""What a program that exports spans imports."""


@contextmanager
def receiving() -> Iterator[tuple[str, list[tuple[str, Span]]]]:
    """Yield the address of a receiver, and what it gets: the service and the span."""
    got: list[tuple[str, Span]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                for of in ExportTraceServiceRequest.FromString(body).resource_spans:
                    (name,) = [pair.value.string_value for pair in of.resource.attributes if pair.key == "service.name"]
                    got.extend((name, span) for scope in of.scope_spans for span in scope.spans)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", got
        finally:
            server.shutdown()
            thread.join()


def test_a_run_over_three_processes_is_one_trace(tmp_path: Path) -> None:
    """One asks, one is killed in a node, one finishes; each span arrives once, from the process that ended it."""
    program, database = Path(__file__).with_name("relay.py"), str(tmp_path / "runs.db")
    with receiving() as (address, got):
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": address}
        codes = [
            forks.run(program, database, *words, variables=variables, loads=EXPORTER).returncode
            for words in (("start", "A"), ("resume", "B"), ("resume", "C"))
        ]
    assert codes == [0, -signal.SIGKILL, 0]
    names = {span.span_id: span.name for _, span in got}
    assert len(names) == len(got)
    assert len({span.trace_id for _, span in got}) == 1
    seen = [(process, span.name, names.get(span.parent_span_id, "")) for process, span in got]
    assert seen == [
        ("A", "step warm_up", "first"),
        ("B", "wait ask", "first"),
        ("B", "first", "invoke_workflow relay"),
        ("B", "step warm_up", "second"),
        ("C", "step warm_up", "second"),
        ("C", "second", "invoke_workflow relay"),
        ("C", "invoke_workflow relay", ""),
    ]
    (root,) = [span for _, span in got if not span.parent_span_id]
    assert [(event.name, event.attributes[0].value.bool_value) for event in root.events] == [
        ("resumed", False),
        ("resumed", True),
    ]
    assert root.start_time_unix_nano <= min(span.start_time_unix_nano for _, span in got)
