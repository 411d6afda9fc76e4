"""Voting: several agents choose one of the options in parallel, and the votes are counted.

Source: Wang et al., "Self-Consistency Improves Chain of Thought Reasoning in Language Models" (2022). In this paper,
one agent answers several times. Here the voters are different agents.
"""

from collections import Counter
from enum import Enum
from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Agent, Failure, Graph, failed, value
from graphengine.models import ModelNotReady
from graphengine.reducers import append

MODELS = {"default": {"*": "placeholder"}}  # give the voters different models: --model ann=… --model bob=…
QUORUM = 2  # voters that have to give a vote
NEED = 2  # votes that the winner needs


class Verdict(Enum):
    """The options."""

    PUBLISH = "publish"
    WITHHOLD = "withhold"


class Poll(BaseModel):
    """The state. `outcome` is `decided`, `no quorum`, `undecided` or `tie`. There is an `output` only if `decided`."""

    task: str
    votes: dict[str, Verdict] = {}
    tally: dict[str, int] = {}
    outcome: str = ""
    output: str = ""
    errors: Annotated[list[Failure], append] = []


def count(votes: dict[str, Verdict]) -> dict[str, object]:
    """Count the votes of the voters that have answered; a voter that failed has no vote."""
    tally = Counter(vote.value for vote in votes.values())
    most = max(tally.values(), default=0)
    winners = [option for option, number in tally.items() if number == most]
    outcome = "decided" if len(winners) == 1 else "tie"
    if len(votes) < QUORUM:
        outcome = "no quorum"
    elif most < NEED:
        outcome = "undecided"
    return {"tally": dict(tally), "outcome": outcome, "output": winners[0] if outcome == "decided" else ""}


voters = [Agent(name, prompt="{task}\nAnswer publish or withhold.", output=Verdict) for name in ("ann", "bob", "cid")]

graph = Graph("voting", Poll, result="output", collect_errors="errors")
graph.add_node("count", count, writes=("tally", "outcome", "output"))
for voter in voters:
    graph.add_node(voter.name, voter, writes=f"votes[{voter.name}]")
    graph.add_edge(voter.name, "count", when=failed(Exception) & ~failed(ModelNotReady), label="no vote")
    graph.add_edge(voter.name, "count")
graph.add_fork(START, [voter.name for voter in voters], join="count")
for ending in ("no quorum", "undecided", "tie"):
    graph.add_edge("count", END, when=value("outcome") == ending, label=ending)
graph.add_edge("count", END, label="decided")


def example() -> Poll:
    """Return the input of an example run."""
    return Poll(task="Publish this?")
