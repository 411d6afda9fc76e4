"""Escalation: ask the cheapest agent first, and a stronger one only if a check rejects the answer.

Source: Chen et al., "FrugalGPT" (2023), for the cascade of models.
"""

from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, failed, value

MODELS = {"default": {"*": "placeholder"}}  # --model small=… --model large=… --model judge=…


class Question(BaseModel):
    """The state; `good` is the judge's verdict on the answer."""

    task: str
    answer: str = ""
    good: bool = False


levels = [
    Agent("small", prompt="{task}"),
    Agent("large", prompt="{task}\nThis was not good enough:\n{answer}"),
]
judge = Agent("judge", prompt="Is this right?\n{task}\n{answer}", output=bool)

graph = Graph("escalation", Question, result="answer")
graph.add_edge(START, levels[0].name)
for level, stronger in zip(levels, [*levels[1:], None], strict=True):
    check = f"check_{level.name}"
    graph.add_node(level.name, level, writes="answer")
    graph.add_node(check, judge, writes="good")
    graph.add_edge(level.name, check)
    graph.add_edge(check, END, when=value("good").is_true(), label="accepted")
    if stronger is None:
        graph.add_edge(check, END, label="not accepted")
    else:
        graph.add_edge(level.name, stronger.name, when=failed(Exception), label="failed")
        graph.add_edge(check, stronger.name, when=failed(Exception), label="failed")
        graph.add_edge(check, stronger.name)


def example() -> Question:
    """Return the input of an example run."""
    return Question(task="Why are there tides?")
