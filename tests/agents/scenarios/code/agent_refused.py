from pydantic import BaseModel, Field

from graphengine import END, START, Agent, Graph, Retry, ScriptedModel
from graphengine.models import Response
from graphengine.models.scripted import calls


async def add(first: int, second: int) -> int:
    """Add two numbers."""
    return first + second


def turn(text: str) -> Response:
    return Response(text, model="acme:big", input_tokens=10, output_tokens=5, cost_usd=0.25)


def small(total: int) -> None:
    if total > 100:
        raise ValueError("more than 100")


model = ScriptedModel([calls(("add", {"first": 1, "second": 2})), turn("300"), turn("30"), turn("3")])


class State(BaseModel):
    question: str = "1 + 2"
    total: int = Field(default=0, le=10)


sum_up = Agent("clerk", model=model, prompt="{question}", output=int, tools=[add], check=small, output_retries=0)

graph = Graph("agent_refused", State)
graph.add_node("sum", sum_up, writes="total", retry=Retry(attempts=2, initial_seconds=0))
graph.add_path(START, "sum", END)
