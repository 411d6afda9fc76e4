"""Research, write, edit: agents in a row that pass typed values to each other, with failures kept next to them.

`graphengine run handoff` runs it on an example; `--input task=…` and `--input sources=@file.md` on your own texts.
`--model anthropic` or `--model openai` selects a set of `MODELS`; a task is then enough. Without a model it is a dry
run: placeholders answer.

If nothing is found, the run fails before a writer costs anything. If the editor fails, the draft is the result. A
researcher or a writer that fails fails the run: `graphengine resume` continues there, with another model for example.
"""

from typing import Annotated

from pydantic import Field

from graphengine import END, FAIL, START, Agent, Failure, Graph, value
from graphengine.reducers import append
from nodes.press import agents as press
from nodes.press.agents import Edited, Piece
from nodes.tasks import sample

MODELS = press.MODELS


class Handoff(Piece):
    """The state: a piece, to which each agent adds what the next one reads, and what failed."""

    errors: Annotated[list[Failure], append] = Field(default_factory=list)


def handoff(writer: Agent[str] = press.writer, editor: Agent[Edited] | None = press.editor) -> Graph[Handoff]:
    """Return the row with these agents; without an editor it is a row of two."""
    team = press.stages(writer, editor or press.editor)
    graph = Graph("handoff", Handoff, result="output", collect_errors="errors")
    graph.add_node("research", team["research"])
    graph.add_node("write", team["write"])
    graph.add_edge(START, "research")
    graph.add_edge("research", FAIL, when=value("findings").length() == 0, label="nothing found")
    graph.add_edge("research", "write")
    if editor is None:
        graph.add_edge("write", END)
    else:
        graph.add_node("edit", team["edit"])
        graph.add_path("write", "edit", END)
    return graph


def example() -> Handoff:
    """Return the input of an example run."""
    return Handoff(**sample())


graph = handoff()
