"""Start OpenTelemetry spans whose ids are chosen by graphengine.

The API of OpenTelemetry has no way to choose the id of a span. The SDK's tracer asks its id generator for the id. The
generator of this library's own tracer is therefore replaced by a generator that returns the chosen ids. Sampling,
limits, resources and processors stay those of the user's provider.
"""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    NoOpTracer,
    Span,
    SpanContext,
    SpanKind,
    TracerProvider,
    set_span_in_context,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.util.types import AttributeValue

log = logging.getLogger("graphengine.telemetry")

_FOREIGN: Final = (
    "%s cannot create a span with a given id, so runs have no spans\n"
    "  repair: pass a TracerProvider of opentelemetry-sdk: Telemetry(tracer_provider=…)"
)


class _Next(threading.local):
    ids: tuple[int, int] | None = None


class _GivenIds:
    """Replaces the id generator of the OpenTelemetry SDK, so that a span can get an id that graphengine computed.

    All other spans get their ids from the SDK's own generator.

    Args:
        others: The SDK's own generator, which makes the ids of all other spans.
    """

    def __init__(self, others: Any) -> None:  # noqa: ANN401 - the SDK's type, and only the API is required
        self._others = others
        self.next = _Next()

    def generate_trace_id(self) -> int:
        return self.next.ids[0] if self.next.ids is not None else int(self._others.generate_trace_id())

    def generate_span_id(self) -> int:
        return self.next.ids[1] if self.next.ids is not None else int(self._others.generate_span_id())

    def is_trace_id_random(self) -> bool:
        """Return True: the ids are digests, which are spread as evenly as random numbers. Sampling relies on this."""
        return True


class Tracer:
    """Starts OpenTelemetry spans with ids that the caller chooses. The public API of OpenTelemetry cannot do this.

    Args:
        provider: The OpenTelemetry provider of spans; the global provider if not given.
    """

    def __init__(self, provider: TracerProvider | None) -> None:
        found = (provider or trace.get_tracer_provider()).get_tracer("graphengine", version())
        self._tracer: Any = getattr(found, "_tracer", found)  # of a proxy, once the global provider is set
        if not hasattr(self._tracer, "id_generator"):
            if not isinstance(self._tracer, NoOpTracer):
                log.warning(_FOREIGN, type(self._tracer).__name__)
            self._tracer = NoOpTracer()
            self._ids: _GivenIds | None = None
            return
        if not isinstance(self._tracer.id_generator, _GivenIds):
            self._tracer.id_generator = _GivenIds(self._tracer.id_generator)
        self._ids = self._tracer.id_generator

    def start(  # noqa: PLR0913 - what a span begins with
        self,
        name: str,
        ids: tuple[int, int] | None,
        around: Context,
        at: float,
        attributes: Mapping[str, AttributeValue],
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        links: Sequence[Link] = (),
    ) -> Span:
        """Start a span, if needed with given ids.

        A span that has a parent always gets the trace id of its parent.

        Args:
            name: The name of the span.
            ids: The trace id and the span id; with None, OpenTelemetry chooses them.
            around: The context that contains the parent span.
            at: When the span begins, in epoch seconds.
            attributes: The attributes of the span.
            kind: The kind of the span.
            links: Links to other spans.
        """
        if self._ids is not None:
            self._ids.next.ids = ids
        try:
            span: Span = self._tracer.start_span(
                name, around, kind, attributes, links=list(links), start_time=nanoseconds(at)
            )
        finally:
            if self._ids is not None:
                self._ids.next.ids = None
        return span


def version() -> str:
    """Return the version of graphengine."""
    return str(sys.modules["graphengine"].__version__)


def nanoseconds(at: float) -> int:
    """Convert epoch seconds to the nanoseconds of OpenTelemetry."""
    return int(at * 1e9)


def below(root: SpanContext, span_id: int, around: Context | None = None) -> Context:
    """Return an OpenTelemetry context in which new spans become children of a given span.

    Only the id of this span is known, because another process may have exported it.
    """
    here = SpanContext(
        root.trace_id, span_id, is_remote=False, trace_flags=root.trace_flags, trace_state=root.trace_state
    )
    return set_span_in_context(NonRecordingSpan(here), contexts.Context() if around is None else around)


def enter(root: SpanContext, span_id: int) -> None:
    """Make a span of the run the current span, so that spans of other libraries become its children."""
    contexts.attach(below(root, span_id, contexts.get_current()))


def context_of(trace_id: int, span_id: int) -> SpanContext:
    """Return the context of a span that another process exports, to link to it."""
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED))


def current() -> SpanContext:
    """Return the context of the current span; it is invalid if there is no current span."""
    return trace.get_current_span().get_span_context()


__all__ = ["Tracer", "below", "context_of", "current", "enter", "nanoseconds", "version"]
