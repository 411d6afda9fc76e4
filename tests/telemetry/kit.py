"""Spans in memory: providers, and the tree of what was exported."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


@dataclass
class Spans:
    """A provider of spans that keeps what is exported."""

    provider: TracerProvider = field(default_factory=TracerProvider)
    exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)

    def __post_init__(self) -> None:
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    @property
    def all(self) -> Sequence[ReadableSpan]:
        """The exported spans, in the order in which they ended."""
        return self.exporter.get_finished_spans()

    def named(self, name: str) -> ReadableSpan:
        """Return the only span of this name."""
        (found,) = [span for span in self.all if span.name == name]
        return found

    def tree(self) -> str:
        """Return the names of the spans as an indented tree: ours by their beginnings, then those by another clock."""
        return "\n".join(self._lines(None, 0))

    def _lines(self, around: int | None, depth: int) -> Iterator[str]:
        below = [span for span in self.all if id_around(span) == around]
        found = [
            (is_other(span), span.start_time or 0, span.name, list(self._lines(id_of(span), depth + 1)))
            for span in below
        ]
        for _, _, name, lines in sorted(found):  # of those that began at the same time, by name
            yield "  " * depth + name
            yield from lines


def is_other(span: ReadableSpan) -> bool:
    """Return whether another library made a span."""
    return span.instrumentation_scope is None or span.instrumentation_scope.name != "graphengine"


def id_of(span: ReadableSpan) -> int:
    """Return the id of a span."""
    assert span.context is not None
    number: int = span.context.span_id
    return number


def id_around(span: ReadableSpan) -> int | None:
    """Return the id of the span around a span."""
    return span.parent.span_id if span.parent is not None else None


def links_of(span: ReadableSpan) -> list[tuple[int, int]]:
    """Return the trace id and the span id of each link."""
    return [(link.context.trace_id, link.context.span_id) for link in span.links]
