"""Research, write, edit: three agents in a row that pass typed values to each other, with failures kept next to them.

`graphengine run handoff` runs it on an example; `--input topic=…` and `--input sources=@file.md` on your own texts, and
`--input wishes=…` for what the text should cover. A topic without sources is searched for on the web, as in
`review_loop`. The agents answer by rules unless they get models: `--model anthropic` or `--model openai` selects a set
of `MODELS` below.

If the research finds nothing, the run fails as `nothing found` before a writer costs anything. If the editor fails, the
draft is kept unchanged and the failure is in `errors`. A researcher or a writer without a usable answer fails the run:
`graphengine resume` continues there, with another model for example.
"""

from typing import Annotated

from pydantic import BaseModel, Field

from graphengine import END, FAIL, Agent, Failure, Graph, Migration, Retry, TextFile, value
from graphengine.briefs.article import Findings
from graphengine.errors import ModelTransient
from graphengine.reducers import append
from nodes.briefing.gathering import add_gathering
from nodes.citing import sample
from nodes.press.agents import editor, in_house, researcher, writer
from nodes.press.desk import read_in_parts, unedited
from nodes.press.stages import LEAST_WORDS, Edited, Manuscript

MODELS = {  # cheap models gather and edit, a strong one writes
    "default": {"*": "offline"},
    "anthropic": {"*": "anthropic:claude-haiku-5-5", "writer": "anthropic:claude-opus-5-5"},
    "openai": {"*": "openai:gpt-5-mini", "writer": "openai:gpt-6.1-sol"},
}


class Handoff(BaseModel):
    """The state: each field is one agent's result, of the type that the next one reads."""

    topic: str = Field(min_length=1, pattern=r"\S")
    sources: list[TextFile] = []  # empty: pages of the web
    word_budget: int = Field(default=400, ge=LEAST_WORDS)
    wishes: list[str] = []
    findings: Findings = Findings()
    manuscript: Manuscript | None = None
    edited: Edited | None = None
    errors: Annotated[list[Failure], append] = []


def handoff(
    researcher: Agent[Findings] = researcher,
    writer: Agent[Manuscript] = writer,
    editor: Agent[Edited] | None = editor,
    *,
    house_style: str = "",
) -> Graph[Handoff]:
    """Return the row with these agents.

    Args:
        researcher: Finds the facts.
        writer: Writes a text from them.
        editor: Edits the text; without an editor the writer's text is the result, a pipeline of two.
        house_style: What all of them read before their own instructions; the provider caches a long one.
    """
    result, migrate = (
        "edited.text" if editor else "manuscript.text",
        {1: Migration()},
    )  # version 1 wrote that nothing was found
    graph = Graph("handoff", Handoff, result=result, collect_errors="errors", version=2, migrate=migrate)
    again = Retry(attempts=3, initial_seconds=1, max_seconds=60, on=(OSError, ModelTransient))  # transient errors
    graph.add_node("research", in_house(researcher, house_style), writes="findings", retry=again)
    written = "manuscript" if editor else {"manuscript": read_in_parts}
    graph.add_node("write", in_house(writer, house_style), writes=written, retry=again)
    add_gathering(graph, "research", topic="topic")
    graph.add_edge("research", FAIL, when=value("findings.key_areas").length() == 0, label="nothing found")
    graph.add_edge("research", "write")
    if editor is None:
        graph.add_edge("write", END)
        return graph
    edit = in_house(editor, house_style)
    graph.add_node("edit", edit, writes={"edited": read_in_parts}, retry=again, fallback=unedited)
    graph.add_path("write", "edit", END)
    return graph


def example() -> Handoff:
    """Return the input of an example run."""
    topic, texts = sample("write_ahead_log")
    return Handoff(topic=topic, sources=texts)


graph = handoff()
