"""A line of workers: each works on the results of those before it, in an order that is known beforehand.

`graphengine run line --model anthropic` runs it on an example; `--input task=…` and `--input sources=@file.md` on your
own. Without a model it is a dry run: placeholders answer. A planner that chooses workers and order is in
`graphs/orchestrator.py`.
"""

from collections.abc import Mapping

from pydantic import Field

from graphengine import Graph, Node
from graphengine.patterns import Passage, pipeline
from nodes.orchestration.workers import WORKERS, text_of
from nodes.tasks import Task, models, sample

STAGES = {"research": "researcher", "write": "writer", "review": "reviewer", "mend": "writer"}

MODELS = models("writer")


class Line(Task, Passage):
    """The state: `needed` has each stage's result by its name, `text` the last one."""

    word_budget: int = Field(default=350, ge=100)
    needed: dict[str, str] = Field(default={})


def line_of(stages: Mapping[str, str] = STAGES) -> Graph[Line]:
    """Return a line of workers by the names of their stages."""
    nodes = {
        name: Node(WORKERS[who], writes={f"needed[{name}]": ".", "text": text_of if who == "writer" else "."})
        for name, who in stages.items()
    }
    return pipeline(nodes, state=Line).but(name="line")


def example() -> Line:
    """Return the input of an example run."""
    return Line(**sample())


graph = line_of()
