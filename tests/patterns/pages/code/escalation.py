from typing import Literal

from pydantic import BaseModel

from graphengine import END, START, Graph, Node, ended_with, value
from graphengine.patterns import escalation
from tests.patterns.scripted import named


class Verdict(BaseModel):
    verdict: Literal["good", "bad"]


class Question(BaseModel):
    task: str = ""
    answer: str = ""
    verdict: Verdict | None = None


JUDGE = Node(named("judge", "{task} {answer}", Verdict), writes="verdict")
GOOD, BAD = Verdict(verdict="good"), Verdict(verdict="bad")
ACCEPT = value("verdict.verdict") == "good"


def ladder(*names, judge=JUDGE, accept=ACCEPT):
    levels = {name: named(name, "{task} {answer}") for name in names}
    return escalation(Question, levels, *([judge] if judge else []), answer="answer", accept=accept)


AROUND = Graph("around", Question, result="answer")
TEAM = {"team": ladder("small", "middle"), "large": named("large")}
AROUND.add_node(
    "ask", escalation(Question, TEAM, JUDGE, answer="answer", accept=ACCEPT), inputs={"task": "task"}, writes="answer"
)
AROUND.add_edge(START, "ask")
AROUND.add_edge("ask", END, when=ended_with("accepted"), label="well")
AROUND.add_edge("ask", END, label="not well")
