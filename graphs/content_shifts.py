"""Stages that run at different times, each a run of its own that continues what earlier runs left in the database.

`graphengine run content_shifts` runs the first stage of the example: it researches and ends. Hours later, from any
process with the same database, `graphengine run content_shifts --input stage=write` takes the oldest piece that was
researched but not yet written, and writes it; `stage=edit` and `stage=list` continue in the same way. If nothing is
due, the run ends as `nothing due`. A cron table with a line for each stage is a pipeline whose stages do not know each
other. A stage that fails is a failed run: resume it, or let the next run find the piece again.

To continue a certain run, name it: `--after RUN --input stage=write`. Two processes that look for work of the same
stage at once can find the same piece. To prevent that, give the run an id, for example `--run-id PIECE.write`: an id
is used once, and the second run is refused before it does anything.
"""

from typing import Final, Literal, TypeAlias

from graphengine import END, START, Context, Graph, Retry, value
from graphengine.errors import ModelTransient
from nodes.citing import sample
from nodes.press.agents import TEAM, Team
from nodes.press.stages import Parcel

MODELS = {
    "default": {"*": "offline"},
    "anthropic": {"*": "anthropic:claude-haiku-5-5", "writer": "anthropic:claude-opus-5-5"},
    "openai": {"*": "openai:gpt-5-mini", "writer": "openai:gpt-6.1-sol"},
}
Stage: TypeAlias = Literal["research", "write", "edit", "list"]
BEFORE: Final[dict[Stage, Stage]] = {"write": "research", "edit": "write", "list": "edit"}
NAME: Final = "content_shifts"
HANDED_ON: Final = ("topic", "word_budget", "wishes", "site", "findings", "manuscript", "edited", "piece")
LOOKED_AT = 500  # past runs; continue older ones with --after
SPARE = 20  # runs that can end between the two queries


class Shift(Parcel):
    """The state: the stage of this run, and its piece, identified by the run that researched it."""

    topic: str = ""
    stage: Stage = "research"
    piece: str = ""
    is_due: bool = True


async def take_up(topic: str, stage: Stage, piece: str, ctx: Context) -> dict[str, object]:
    """Find the piece that is due for a stage: the given one, or the oldest for which no run has done this stage."""
    if stage == "research":
        return {"piece": ctx.run_id, "is_due": bool(topic.strip())}
    if piece:  # started with --after
        return {"is_due": True}
    past = await ctx.runs(NAME, LOOKED_AT, fields=("stage", "piece", "is_due"))
    runs = [run for run in past if run.state["is_due"]]
    done = {run.state["piece"] for run in runs if run.state["stage"] == stage}
    due = [run for run in runs if run.state["stage"] == BEFORE[stage] and run.state["piece"] not in done]
    if not due:
        return {"is_due": False}
    newer = past.index(due[-1])
    whole = await ctx.runs(NAME, newer + SPARE, fields=HANDED_ON)  # recorded, so as few as possible
    found = [Shift.model_validate(run.state) for run in whole if run.run_id == due[-1].run_id]
    if not found:  # more than SPARE runs ended between the two queries; the next shift tries again
        return {"is_due": False}
    return {name: getattr(found[0], name) for name in HANDED_ON}


def content_shifts(team: Team = TEAM) -> Graph[Shift]:
    """Return the graph of one stage of one piece, with this team."""
    graph = Graph(NAME, Shift)
    again = Retry(attempts=3, initial_seconds=1, max_seconds=60, on=(OSError, ModelTransient))  # transient errors
    graph.add_node("take_up", take_up)
    graph.add_node("research", team.researcher, writes="findings", retry=again)
    graph.add_node("write", team.writer, writes="manuscript", retry=again)
    graph.add_node("edit", team.editor, writes="edited", retry=again)
    graph.add_node("list", team.publisher, writes="listing", retry=again)
    graph.add_edge(START, "take_up")
    graph.add_edge("take_up", END, when=~value("is_due").is_true(), label="nothing due")
    graph.add_switch("take_up", "stage", {name: name for name in ("research", "write", "edit", "list")})
    for name in ("research", "write", "edit", "list"):
        graph.add_edge(name, END, label=f"{name} done")
    return graph


def example() -> Shift:
    """Return the input of an example run: the research for a piece."""
    topic, texts = sample("write_ahead_log")
    return Shift(topic=topic, sources=texts)


graph = content_shifts()
