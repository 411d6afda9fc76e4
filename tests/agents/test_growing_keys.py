"""Additions to the list under one key of a dict: only the additions are written, and no other list grows."""

from __future__ import annotations

from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Message, iterations
from graphengine.testing import replay
from tests.kit.replays import recorded


async def test_a_list_that_a_node_received_does_not_grow() -> None:
    """This is true of the dict that it read whole, of a list in it, and of a list that it read by itself."""
    dicts: list[dict[str, list[Message]]] = []
    lists: list[list[Message]] = []

    class Talk(BaseModel):
        draft: str = ""
        memories: dict[str, list[Message]] = {"b": []}

    def keep(memories: dict[str, list[Message]], mine: list[Message] | None) -> dict[str, object]:
        dicts.append(memories)
        lists.append(mine or [])
        return {}

    graph = Graph("keeping", Talk)
    graph.add_node("keep", keep, inputs={"mine": "memories[a]"}, thread=False)
    for name in ("a", "b"):
        graph.add_node(
            name, Agent(name, prompt="go", messages=f"memories[{name}]", by_rules=lambda: "."), writes="draft"
        )
    graph.add_path(START, "keep", "a", "b")
    graph.add_edge("b", END, when=iterations("b") >= 3)
    graph.add_edge("b", "keep")
    result = await graph.run()
    assert [len(kept) for kept in lists] == [0, 2, 4]
    assert [{key: len(kept) for key, kept in each.items()} for each in dicts] == [
        {"b": 0},
        {"b": 2, "a": 2},
        {"b": 4, "a": 4},
    ]
    assert {key: len(kept) for key, kept in result.state.memories.items()} == {"b": 6, "a": 6}


class Answer(BaseModel):
    """An answer of two parts."""

    text: str
    score: int


async def test_a_replay_knows_an_agents_messages_besides_its_result() -> None:
    """This is also true if parts of the result are written besides the whole."""

    class Talk(BaseModel):
        whole: Answer | None = None
        score: int = 0
        memories: dict[str, list[Message]] = {}

    graph = Graph("parts", Talk)
    agent = Agent("a", prompt="go", output=Answer, messages="memories[a]", by_rules=lambda: Answer(text="x", score=3))
    graph.add_node("ask", agent, writes={"whole": ".", "score": "score"})
    graph.add_path(START, "ask", END)
    run = await recorded(graph)
    assert replay(graph, run).same
