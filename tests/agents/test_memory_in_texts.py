"""What an agent's own functions and texts read can be its memory too."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Message, ScriptedModel, web_search
from graphengine.reducers import extend
from graphengine.testing import run_node


class Talk(BaseModel):
    """A state."""

    messages: Annotated[list[Message], extend] = [Message(role="user", text="hello")]
    said: str = ""


@pytest.mark.parametrize(
    ("texts", "question"),
    [
        ({"prompt": lambda messages: f"after {len(messages)}"}, "after 1"),
        ({"prompt": "Go on after {messages[0].text}."}, "Go on after hello."),
        ({"prompt": "Go on.", "system": lambda messages: f"after {len(messages)}"}, "Go on."),
        ({"prompt": "Go on.", "check": lambda _, messages: assert_one(messages)}, "Go on."),
    ],
)
def test_an_agents_functions_and_texts_read_its_memory(texts: dict[str, Any], question: str) -> None:
    """A function of it got no argument, and a text nothing in its place."""
    model = ScriptedModel(["yes"])
    graph = Graph("talk", Talk)
    graph.add_node("say", Agent("say", model=model, messages="messages", **texts), writes="said")
    graph.add_path(START, "say", END)
    assert not graph.check()
    assert graph.run_sync(Talk()).state.said == "yes"
    (request,) = model.requests
    assert request.messages[0].text == "hello"
    assert request.messages[-1].text == question


def assert_one(messages: list[Message]) -> None:
    """Be a check of an answer that reads the memory."""
    assert len(messages) == 1


async def test_a_node_alone_may_have_tools_that_a_provider_runs() -> None:
    """The model that notes its requests offers what its model does."""
    graph = Graph("talk", Talk)
    graph.add_node("say", Agent("say", prompt="Go on.", tools=[web_search()]), writes="said")
    graph.add_path(START, "say", END)
    assert (await run_node(graph, "say", models=ScriptedModel(["found"]))).update == {"said": "found"}
