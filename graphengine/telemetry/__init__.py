"""OpenTelemetry: one trace a run, metrics, made from the steps that a process records.

`Runner(telemetry=Telemetry())` switches it on. `trace` folds the steps of one run into spans, with the read model of
`graphengine.records.visits`; `place` names the span of an attempt by its position in the run, so that every process
gives it the same id; `spans` creates spans with those ids; `metrics` has the instruments; `names` the names of
attributes.

It needs the extra `otel`: the API of OpenTelemetry. The SDK and its exporters are the user's.
"""

from __future__ import annotations

from graphengine.doors import check_arguments
from graphengine.errors import DefinitionError
from graphengine.kernel.inside import install_command

try:
    import opentelemetry.trace  # noqa: F401 - checked here, for one clear error
except ImportError:
    raise DefinitionError(
        "graphengine.telemetry needs the package opentelemetry-api", repair=install_command("otel")
    ) from None

from graphengine.telemetry.trace import Telemetry

__all__ = ["Telemetry"]

check_arguments(__name__)
