"""OpenTelemetry for runs: one trace for each run, and metrics, made from the steps that a process records.

`Runner(telemetry=Telemetry())` switches it on. This package needs the extra `otel`, which installs the API of
OpenTelemetry. The SDK and its exporters are the user's choice.

- `trace.py` makes spans of the recorded steps of a run.
- `place.py` computes the id of each span from its position in the run, so that every process gives a span the same id.
- `spans.py` starts spans with these ids.
- `work.py` describes the spans of model calls and tool calls.
- `metrics.py` has the instruments, and `names.py` the names of attributes.
"""

from __future__ import annotations

from graphengine.doors import check_arguments
from graphengine.errors import DefinitionError
from graphengine.kernel.inside import install_command

try:
    import opentelemetry.trace  # noqa: F401 - checked here, for one clear error
except ImportError:
    raise DefinitionError(
        "graphengine.telemetry needs the Python package 'opentelemetry-api', which is not installed",
        repair=install_command("otel"),
    ) from None

from graphengine.telemetry.trace import Telemetry

__all__ = ["Telemetry"]

check_arguments(__name__)
