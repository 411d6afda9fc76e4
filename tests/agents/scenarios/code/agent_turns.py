from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, ScriptedModel
from graphengine.models import Response
from graphengine.models.errors import ModelUnreachable
from graphengine.models.scripted import calls


async def add(first: int, second: int) -> int:
    """Add two numbers."""
    return first + second


def turn(text: str) -> Response:
    return Response(text, model="acme:big", input_tokens=10, output_tokens=5, cost_usd=0.25)


model = ScriptedModel(
    [
        calls(("add", {"first": 1, "second": 2}), ("add", {"first": 3, "second": 4})),
        ModelUnreachable("the connection broke", retry_after_seconds=60),
        turn("many"),
        turn("10"),
    ]
)


class State(BaseModel):
    question: str = "1 + 2 + 3 + 4"
    total: int = 0


graph = Graph("agent_turns", State)
graph.add_node("sum", Agent("clerk", model=model, prompt="{question}", output=int, tools=[add]), writes="total")
graph.add_path(START, "sum", END)
