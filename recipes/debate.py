"""Debate: agents answer a question, read one another, and answer again, until they agree or the rounds are over.

Source: Du et al., "Improving Factuality and Reasoning in Language Models through Multiagent Debate" (2023).
"""

from typing import Annotated

from pydantic import BaseModel, Field

from graphengine import END, FAIL, START, Agent, Failure, Graph, failed, iterations, value
from graphengine.models import ModelNotReady
from graphengine.reducers import append

MODELS = {"default": {"*": "placeholder"}}  # give the debaters different models: --model ann=… --model bob=…
ROUNDS = 3
PROMPT = "{task}\nWhere everybody stands, you among them:\n{positions}\nWhere do you stand now?"


class Position(BaseModel):
    """A debater's answer, in as few words as possible so that answers can be compared, and the reason."""

    answer: str = Field(min_length=1)
    argument: str = ""


class Debate(BaseModel):
    """The state: each debater's current position, and all positions in the order in which they were taken."""

    task: str
    positions: dict[str, Position] = {}
    transcript: Annotated[list[Position], append] = []
    output: str = ""
    errors: Annotated[list[Failure], append] = []


def agreed(positions: dict[str, Position]) -> bool:
    """Return whether all who spoke, at least two, give the same answer."""
    return len(positions) > 1 and len({each.answer.casefold().strip(" .") for each in positions.values()}) == 1


def agreed_answer(positions: dict[str, Position]) -> str:
    """Return the answer on which the debaters agree, in the words of the first."""
    return next(iter(positions.values())).answer


debaters = [Agent(name, prompt=PROMPT, output=Position) for name in ("ann", "bob")]
judge = Agent("judge", prompt="{task}\nWhat was said:\n{transcript}\nWho is right?")

graph = Graph("debate", Debate, result="output", collect_errors="errors")
graph.add_node("round")
for debater in debaters:
    graph.add_node(debater.name, debater, writes={f"positions[{debater.name}]": ".", "transcript": "."})
    graph.add_edge(debater.name, "round", when=failed(Exception) & ~failed(ModelNotReady), label="silent")
    graph.add_edge(debater.name, "round")
graph.add_node("conclude", agreed_answer, writes="output")
graph.add_node("judge", judge, writes="output")
graph.add_edge(START, "round")
is_over = iterations("round") > ROUNDS
graph.add_edge("round", FAIL, when=is_over & (value("positions").length() == 0), label="nobody spoke")
graph.add_edge("round", "conclude", when=value(agreed).is_true(), label="agreed")
graph.add_edge("round", "judge", when=is_over, label="out of rounds")
graph.add_fork("round", [each.name for each in debaters], join="round")
graph.add_edge("conclude", END, label="agreed")
graph.add_edge("judge", END, label="judged")


def example() -> Debate:
    """Return the input of an example run."""
    return Debate(task="How often a day is high water?")
