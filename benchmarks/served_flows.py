"""The graphs of the service that `served` measures: a short one, one that waits for a person, and a conversation."""

from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, ScriptedModel, ask


class State(BaseModel):
    """The state of the three graphs: a number and a text."""

    n: int = 0
    text: str = ""


short = Graph("short", State)
short.add_node("more", lambda n: n + 1, writes="n", thread=False)
short.add_path(START, "more", END)

asks = Graph("asks", State)
asks.add_node("asked", ask("Which text?", str), writes="text")
asks.add_path(START, "asked", END)

assistant = Graph.chat(Agent("assistant", model=ScriptedModel(lambda _: "An answer of one sentence.")))
