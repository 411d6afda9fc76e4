from pydantic import BaseModel

from graphengine import Node
from graphengine.patterns import FanOut, fan_out_fan_in, pipeline
from tests.patterns.scripted import named

READ, GATHER = named("read", "{task} {item}"), named("gather", "{outcomes}")


class Source(BaseModel):
    name: str
    pages: int = 1


class Reading(FanOut):
    sources: list[Source] = []


def fragile(item):
    if item == "bad":
        raise ValueError("cannot read bad")
    return f"read {item}"


LINE = pipeline({"read": named("read"), "sum": named("sum", "{text}")})
FAN = fan_out_fan_in(Node(LINE, inputs={"task": "item"}), GATHER, split=lambda task: task.split())
