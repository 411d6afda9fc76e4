"""Stages that run at different times, each a run of its own that goes on from what earlier runs left in the database.

`graphengine run content_shifts` does the first stage of the example: it researches, and is over. Hours later, from any
process with the same database, `graphengine run content_shifts --input stage=write` takes the oldest piece that was
researched and not yet written, and writes it; `stage=edit` and `stage=list` go on alike, and where nothing is due they
end so. A cron table with a line for each stage is a pipeline whose stages do not know each other. A stage that fails is
a failed run: resume it, or let the next one find the piece again.

Who knows which run to go on from says so: `--after RUN --input stage=write`. Two processes that look for the same stage
at once may find the same piece; where that can happen give the run an id, as `--run-id PIECE.write`: an id is given
once, and the second one is refused before it does anything.
"""

from typing import Final, Literal, TypeAlias

from graphengine import END, START, Context, Graph, Retry, value
from graphengine.errors import ModelTransient
from nodes.press.agents import TEAM, Team
from nodes.press.stages import Parcel
from nodes.text.samples import sample

MODELS = {
    "anthropic": {"*": "anthropic:claude-haiku-5-5", "writer": "anthropic:claude-opus-5-5"},
    "openai": {"*": "openai:gpt-5-mini", "writer": "openai:gpt-6.1-sol"},
}
Stage: TypeAlias = Literal["research", "write", "edit", "list"]
BEFORE: Final[dict[Stage, Stage]] = {"write": "research", "edit": "write", "list": "edit"}
NAME: Final = "content_shifts"
HANDED_ON: Final = ("topic", "word_budget", "wishes", "site", "findings", "manuscript", "edited", "piece")
LOOKED_AT = 500  # runs of the past; what is older is taken up with --after
SPARE = 20  # runs that may end between two looks


class Shift(Parcel):
    """The state: which stage this run does, and the piece that it does it on, by the run that researched it."""

    topic: str = ""
    stage: Stage = "research"
    piece: str = ""
    is_due: bool = True


async def take_up(topic: str, stage: Stage, piece: str, ctx: Context) -> dict[str, object]:
    """Find the piece that is due for a stage: the one given, or the oldest that no run has done this stage of."""
    if stage == "research":
        return {"piece": ctx.run_id, "is_due": bool(topic.strip())}
    if piece:  # begun with the state that another run left
        return {"is_due": True}
    past = await ctx.runs(NAME, LOOKED_AT, fields=("stage", "piece", "is_due"))
    runs = [run for run in past if run.state["is_due"]]
    done = {run.state["piece"] for run in runs if run.state["stage"] == stage}
    due = [run for run in runs if run.state["stage"] == BEFORE[stage] and run.state["piece"] not in done]
    if not due:
        return {"is_due": False}
    newer = past.index(due[-1])
    whole = await ctx.runs(NAME, newer + SPARE, fields=HANDED_ON)  # what is looked at is recorded, so no more than that
    found = [Shift.model_validate(run.state) for run in whole if run.run_id == due[-1].run_id]
    if not found:  # more than SPARE runs ended between the two looks; the next shift looks again
        return {"is_due": False}
    return {name: getattr(found[0], name) for name in HANDED_ON}


def content_shifts(team: Team = TEAM) -> Graph[Shift]:
    """One stage of one piece, by this team."""
    graph = Graph(NAME, Shift)
    again = Retry(attempts=3, initial_seconds=1, max_seconds=60, on=(OSError, ModelTransient))  # what passes by itself
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
    """What it runs on when no input is given: the research for a piece."""
    topic, texts = sample("write_ahead_log")
    return Shift(topic=topic, sources=texts)


graph = content_shifts()
