"""Tools for tests: of nodes and graphs, and of stores and models that keep to our protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.lazy import lazily

if TYPE_CHECKING:
    from graphengine.graph.question import NO_ANSWER
    from graphengine.testing.alone import run_node
    from graphengine.testing.clock import FakeClock
    from graphengine.testing.coverage import EdgeCoverage
    from graphengine.testing.crashes import CrashAt, Died
    from graphengine.testing.done import Asked, Done, EdgeTaken, Recorded
    from graphengine.testing.made_tests import NoTest, as_json, make_test
    from graphengine.testing.open_runner import OpenRunner
    from graphengine.testing.recordings import Recordings
    from graphengine.testing.replays import replay
    from graphengine.testing.scripts import Ended, Items, Visits
    from graphengine.testing.walks import Visit, Walked, walk
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "graphengine.graph.question": ("NO_ANSWER",),
            "graphengine.testing.alone": ("run_node",),
            "graphengine.testing.clock": ("FakeClock",),
            "graphengine.testing.coverage": ("EdgeCoverage",),
            "graphengine.testing.crashes": ("CrashAt", "Died"),
            "graphengine.testing.done": ("Asked", "Done", "EdgeTaken", "Recorded"),
            "graphengine.testing.made_tests": ("NoTest", "as_json", "make_test"),
            "graphengine.testing.open_runner": ("OpenRunner",),
            "graphengine.testing.recordings": ("Recordings",),
            "graphengine.testing.replays": ("replay",),
            "graphengine.testing.scripts": ("Ended", "Items", "Visits"),
            "graphengine.testing.walks": ("Visit", "Walked", "walk"),
        },
    )

__all__ = [
    "NO_ANSWER",
    "Asked",
    "CrashAt",
    "Died",
    "Done",
    "EdgeCoverage",
    "EdgeTaken",
    "Ended",
    "FakeClock",
    "Items",
    "NoTest",
    "OpenRunner",
    "Recorded",
    "Recordings",
    "Visit",
    "Visits",
    "Walked",
    "as_json",
    "make_test",
    "replay",
    "run_node",
    "walk",
]
