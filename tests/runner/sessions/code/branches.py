from typing import Annotated

from pydantic import BaseModel, Field

from graphengine import END, START, Graph, ask, iterations, value
from graphengine.reducers import append
from tests.kit.runs import repeated, row


class State(BaseModel):
    n: int = Field(default=0, ge=0)
    word: str = "ant"
    log: Annotated[list[str], append] = []
    ok: bool | None = None


count = repeated(State, lambda n: n + 1, "n", value("n") >= 4, name="count", node="more", thread=False)
twice = repeated(State, count, {"n": "n"}, iterations("count") >= 2, name="twice", node="count")

forked = Graph("forked", State)
forked.add_node("begin", lambda: "begun", writes="log", thread=False)
forked.add_node("merge")
forked.add_edge(START, "begin")
forked.add_fork("begin", ["a", "b"], join="merge")
forked.add_edge("merge", END)
for arm in "ab":
    forked.add_node(arm, lambda word: word, writes="log", thread=False)
    forked.add_edge(arm, "merge")

asking = row(
    State,
    ("before", lambda: "before", "log"),
    ("ask", ask("Continue with {word}?", bool), "ok"),
    ("after", lambda ok: f"after {ok}", "log"),
)
