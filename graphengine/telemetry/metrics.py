"""The OpenTelemetry instruments for steps, runs, nodes, waits, model calls, tokens, costs and queues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry import metrics

from graphengine.kernel.extension import is_cost_unknown
from graphengine.kernel.inside import priced
from graphengine.records.offline import are_offline
from graphengine.telemetry import names, spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.util.types import AttributeValue

    from graphengine.kernel.reader import Usage
    from graphengine.kernel.store import QueueCount
    from graphengine.wings import Gauge

_NODE_SECONDS: Final = (0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
_CALL_SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_LONG_SECONDS: Final = (1, 10, 60, 300, 900, 3600, 14_400, 86_400, 604_800, 2_592_000)
_TOKENS: Final = (1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304)


class Metrics:
    """The OpenTelemetry metrics of runs: counters, histograms and gauges.

    Args:
        provider: The OpenTelemetry provider of metrics; the global provider if not given.
    """

    def __init__(self, provider: MeterProvider | None) -> None:
        meter = (provider or metrics.get_meter_provider()).get_meter("graphengine", spans.version())

        def seconds(name: str, text: str, bounds: tuple[float, ...]) -> metrics.Histogram:
            return meter.create_histogram(name, "s", text, explicit_bucket_boundaries_advisory=bounds)

        self.steps = meter.create_counter("graphengine.steps", "{step}", "Recorded steps.")
        self.runs = meter.create_counter("graphengine.runs", "{run}", "Runs that ended.")
        self.run_seconds = seconds("graphengine.run.duration", "Driven time of runs that ended.", _LONG_SECONDS)
        self.node_seconds = seconds("graphengine.node.duration", "Duration of attempts of nodes.", _NODE_SECONDS)
        self.waits = meter.create_counter("graphengine.waits", "{wait}", "Waits that began.")
        self.wait_seconds = seconds("graphengine.wait.duration", "Duration of waits that ended.", _LONG_SECONDS)
        self.calls = seconds(
            "gen_ai.client.operation.duration", "Duration of calls of models and tools.", _CALL_SECONDS
        )
        self.tokens = meter.create_histogram(
            "gen_ai.client.token.usage", "{token}", "Tokens of models.", explicit_bucket_boundaries_advisory=_TOKENS
        )
        self.cost = meter.create_counter("graphengine.cost", "{USD}", "Cost of models, of calls with a known price.")
        self.unpriced = meter.create_counter("graphengine.cost.unknown", "{call}", "Calls of models of unknown cost.")
        self._depth = meter.create_gauge("graphengine.queue.depth", "{run}", "Runs in queues, and driven from them.")
        self._meter = meter
        self._setters: dict[str, Callable[[float, Mapping[str, str]], None]] = {}  # of extensions' instruments

    def spent(self, usage: Usage, of: Mapping[str, AttributeValue]) -> None:
        """Record the tokens and the cost of model calls in the metrics.

        Calls whose cost is not known are counted in a metric of their own, instead of as cost 0.
        """
        if not usage or are_offline(usage):
            return
        self.tokens.record(usage.get("input_tokens") or 0, {**of, names.TOKEN_TYPE: "input"})
        self.tokens.record(usage.get("output_tokens") or 0, {**of, names.TOKEN_TYPE: "output"})
        cost = priced(usage)
        if cost:
            self.cost.add(cost, of)
        if is_cost_unknown(usage):
            self.unpriced.add(usage.get("unknown_calls") or usage.get("calls") or 1, of)

    def queues(self, counts: Iterable[QueueCount]) -> None:
        for count in counts:
            for state, number in (("queued", count.queued), ("driven", count.driven)):
                self._depth.set(number, {names.QUEUE: count.queue, names.STATE: state})

    def show(self, gauges: Iterable[Gauge]) -> None:
        """Update the gauges for values that other extensions report, such as what is left of a budget.

        A gauge is created when its first value arrives.
        """
        for name, unit, about, value, of in gauges:
            if name not in self._setters:
                self._setters[name] = self._meter.create_gauge(name, unit, about).set
            self._setters[name](value, of)


__all__ = ["Metrics"]
