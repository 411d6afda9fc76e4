from collections.abc import Mapping
from enum import Enum
from typing import Any

from pydantic import BaseModel

from graphengine import END, START, Graph, failed, iterations, value
from graphengine.testing.coverage import EdgeCoverage


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


class Talk(BaseModel):
    n: int = 0
    ok: bool = False
    mood: Mood = Mood.GOOD


async def speak(n: int) -> int:
    """Count, or fail."""
    if n < 0:
        raise ValueError(n)
    return n + 1


def talk(name: str = "talk", *ways: tuple[str, Mapping[str, Any]]) -> Graph[Talk]:
    """One node with these ways out."""
    graph = Graph(name, Talk)
    graph.add_node("speak", speak, writes="n", retry=None)
    graph.add_node("think", thread=False)
    graph.add_edge(START, "speak")
    for target, options in ways:
        graph.add_edge("speak", target, **options)
    graph.add_edge("think", END)
    return graph


def loop() -> Graph[Talk]:
    """Edges of several kinds."""
    return talk(
        "talk",
        (END, {"when": failed(ValueError), "label": "broken"}),
        (END, {"when": (value("n") >= 3) & value("ok").is_true(), "label": "done"}),
        (END, {"when": iterations("speak") >= 4, "label": "out"}),
        ("think", {"when": value("n") == 99}),
        ("speak", {}),
    )


HERE = "tests/testing/test_coverage.py"


async def test_what_was_never_taken_is_told() -> None:
    """Ways that held, ways that never held, ways never looked at, parts of conditions."""
    with EdgeCoverage() as coverage:
        await loop().run({"n": 0})

    file, *lines = coverage.report().splitlines()
    assert file.endswith("test_coverage.py: talk: 6 of 11 seen")
    assert lines == [
        "  speak -> END 'done' (n >= 3 and ok is true): looked at 4 times, never held",
        "  speak -> END 'done' (n >= 3 and ok is true): 'ok is true' never held",
        "  speak -> think (n == 99): looked at 3 times, never held",
        "  speak -> END 'broken' (failed with ValueError): never looked at",
        "  think -> END (otherwise): never taken",
        "ways and conditions seen: 6 of 11, 54.5 %",
    ]
