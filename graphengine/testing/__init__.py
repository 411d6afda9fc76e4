"""Tools for tests of nodes and graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from graphengine.graph.question import NO_ANSWER
    from graphengine.testing.alone import run_node
    from graphengine.testing.clock import FakeClock
    from graphengine.testing.coverage import EdgeCoverage
    from graphengine.testing.done import Asked, Done, EdgeTaken, Recorded
    from graphengine.testing.open_runner import OpenRunner
    from graphengine.testing.recordings import Recordings
    from graphengine.testing.replays import replay
    from graphengine.testing.scripts import Ended, Items, Visits
    from graphengine.testing.walks import Visit, Walked, walk
else:
    __getattr__, __dir__, _ = lazy_loader.attach(
        __name__,
        submod_attrs={
            "alone": (
                "NO_ANSWER",
                "run_node",
            ),
            "clock": ("FakeClock",),
            "coverage": ("EdgeCoverage",),
            "done": ("Asked", "Done", "EdgeTaken", "Recorded"),
            "open_runner": ("OpenRunner",),
            "recordings": ("Recordings",),
            "replays": ("replay",),
            "scripts": ("Ended", "Items", "Visits"),
            "walks": ("Visit", "Walked", "walk"),
        },
    )

__all__ = [
    "NO_ANSWER",
    "Asked",
    "Done",
    "EdgeCoverage",
    "EdgeTaken",
    "Ended",
    "FakeClock",
    "Items",
    "OpenRunner",
    "Recorded",
    "Recordings",
    "Visit",
    "Visits",
    "Walked",
    "replay",
    "run_node",
    "walk",
]
