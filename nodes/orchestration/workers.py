"""The workers of an orchestrator, or of a line: each does one step with the results that it needs, and returns a text.

Findings pass from one to the next as lines, `[file:line] sentence`, and a text may cite only these places.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from graphengine import Agent, Node, Settings, TextFile
from graphengine.agents import DATA_NOTE, bare_markdown, labelled
from nodes.citing import Passage, best, check_brief, lines_of, located, marked
from nodes.review.agents import length, research
from nodes.tasks import AGAIN

DUTIES: Mapping[str, str] = {  # what a planner reads of a worker, and the worker of itself
    "researcher": "finds statements on its step, each with its place; a step that names sources by their paths is for "
    "these alone; several can search at the same time",
    "coder": "writes code, as short as it can be, in fenced blocks, each with a sentence on what it does",
    "writer": "writes a text of short sections in Markdown, with a title after #, from the findings it needs; given a "
    "text and its review too, it mends that text. A sentence that rests on a finding ends with its place, as "
    "[file:line]; one that only leads on cites nothing",
    "reviewer": "reviews a text by the findings it should rest on, and needs both: what is wrong, unsupported, unclear "
    "or missing, in points, each with what to do; nothing but the findings counts as true",
    "summarizer": "sums up the results it needs in at most five points of a line each, and adds nothing",
}
_FINDING = re.compile(r"^\[(?!\^?\d+\]|[xX]\])([^\[\]]+?)(?::(\d+))?\] (.+)$", re.MULTILINE)


async def look_up(task: str, sources: Sequence[TextFile]) -> str:
    """Return what is found on a step, as lines: in the sources, on the web, or in what the model knows.

    Raises:
        ValueError: Nothing is found.
    """
    read = [source for source in sources if source.path in task] or sources
    found = await research(task, read, findings=[], reviews=[])
    if not found.quotations:
        message = f"nothing was found on {task!r}"
        raise ValueError(message)
    return lines_of(located(found, sources, []))


def ask(task: str, job: str, needed: Mapping[str, str], word_budget: int) -> str:
    """Return a worker's question: its step, the job that it is a part of, each result that it needs, the length."""
    asked = {"job": job, "your_step": task} | {f"result_of_{step}": text for step, text in needed.items()}
    return f"{labelled(asked)}\n\nLength of a text for a reader: {length(word_budget)}"


def findings_in(texts: Iterable[str]) -> list[Passage]:
    """Return the findings that some results have as lines."""
    found = [match for text in texts for match in _FINDING.findall(text)]
    return [Passage(file=file, line=int(line or 0), text=text) for file, line, text in found]


def check_text(answer: str, needed: Mapping[str, str]) -> None:
    """Check that an answer is a text that cites what was found, or at least has a title if nothing was.

    Raises:
        ValueError: It is not.
    """
    check_brief(answer, findings_in(needed.values()))


def text_of(result: str, needed: Mapping[str, str], word_budget: int) -> str:
    """Return a writer's text with notes on its faults."""
    return marked(result, findings_in(needed.values()), word_budget)


def worker(name: str, max_tokens: int) -> Agent[str]:
    """Return a worker that does what its duty says."""
    system = f"You are the {name} of a team, who {DUTIES[name]}. Answer with the result alone.\n{DATA_NOTE}"
    return Agent(name, system=system, prompt=ask, on_cut="keep", settings=Settings(max_tokens=max_tokens))


writer = worker("writer", 8_192).but(guards=[bare_markdown], check=check_text, best_effort=best)
_AGENTS = [worker("coder", 4_096), writer, worker("reviewer", 2_048), worker("summarizer", 1_024)]
WORKERS: Mapping[str, Node] = {
    "researcher": Node(look_up, retry=AGAIN),
    **{agent.name: Node(agent, inputs={"job": "task"}, retry=AGAIN) for agent in _AGENTS},  # `task` is the step's own
}
