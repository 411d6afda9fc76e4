"""Memories of agents at compile time: shared, mapped, secret, or of a wrong type."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, field_validator

from graphengine import END, START, Agent, Graph, Message, Secret
from graphengine.reducers import extend


class State(BaseModel):
    """Memories of every kind."""

    words: list[str] = []
    a: str = ""
    b: str = ""
    lines: list[str] = []
    said: list[Message] = []
    messages: Annotated[list[Message], extend] = []
    memories: dict[str, list[Message]] = {}
    short: dict[str, Annotated[list[Message], Field(max_length=9)]] = {}
    few: Annotated[dict[str, list[Message]], Field(max_length=9)] = {}
    checked: dict[str, list[Message]] = {}

    @field_validator("checked")
    @classmethod
    def same(cls, value: dict[str, list[Message]]) -> dict[str, list[Message]]:
        """Validate nothing."""
        return value


class Hidden(State):
    """A secret memory."""

    token: Annotated[dict[str, list[Message]], Secret] = {}


def remembering(memory: str) -> Agent[str]:
    """Return an agent with a memory."""
    return Agent("agent", prompt="go", memory=memory)


def forked(a: str, b: str | None, writes: Any = "b") -> Graph[State]:
    """Return two arms with memories; without the second memory, its arm is a function that writes a field."""
    graph = Graph("forked", State)
    graph.add_node("a", remembering(a), writes="a")
    graph.add_node("b", remembering(b) if b is not None else lambda: None, writes=writes)
    graph.add_node("join")
    graph.add_fork(START, ["a", "b"], join="join")
    graph.add_edge("a", "join")
    graph.add_path("b", "join", END)
    return graph


def codes(graph: Graph[Any]) -> set[str]:
    """Return the codes of its problems."""
    return {problem.code for problem in graph.check() if not problem.warning}


@pytest.mark.parametrize(
    ("a", "b"),
    [("memories[x]", "memories[x]"), ("memories[x]", "memories[y]"), ("messages", "messages"), ("few[x]", "few[y]")],
)
def test_arms_may_share_a_memory_that_is_only_added_to(a: str, b: str) -> None:
    """No arm overwrites the messages of another."""
    assert not codes(forked(a, b))


@pytest.mark.parametrize("memory", ["short[x]", "few[x]", "checked[x]", "said"])
def test_arms_cannot_share_a_memory_that_is_written_whole(memory: str) -> None:
    """The messages of one arm would be lost."""
    assert codes(forked(memory, memory)) == {"write_conflict"}


@pytest.mark.parametrize("writes", ["memories[x]", "memories", {"memories[{a}]": "."}])
def test_an_arm_cannot_write_what_another_remembers(writes: Any) -> None:
    """The key, a key that may be equal, or the whole dict."""
    assert codes(forked("memories[x]", None, writes)) == {"write_conflict"}


def test_a_result_that_is_written_over_a_memory_conflicts_as_any_result() -> None:
    """An arm that remembers and writes under one key does more than append."""
    assert codes(forked("memories[x]", "memories[x]", {"memories[x]": "."})) >= {"write_conflict"}


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        ("memories[x]", set()),
        ("messages", set()),
        ("short[x]", {"bad_memory"}),
        ("few[x]", {"bad_memory"}),
        ("said", {"bad_memory"}),
    ],
)
def test_items_may_share_a_memory_that_is_only_added_to(memory: str, expected: set[str]) -> None:
    """They read the memory as the map began, and their messages are appended in item order."""
    graph = Graph("mapped", State)
    graph.add_node("a", remembering(memory), each={"word": "words"}, writes="lines")
    graph.add_path(START, "a", END)
    assert codes(graph) == expected


def test_a_key_of_a_secret_is_no_memory() -> None:
    """A secret is encrypted as a whole."""
    graph = Graph("secret", Hidden, secret_key=b"k" * 32)
    graph.add_node("a", remembering("token[x]"), writes="a")
    graph.add_path(START, "a", END)
    assert "secret_field" in codes(graph)


def test_a_fallback_remembers_nothing() -> None:
    """Its node would not record its memory."""
    graph = Graph("fallen", State)
    graph.add_node("a", lambda: "x", writes="a", fallback=remembering("messages"))
    graph.add_path(START, "a", END)
    assert codes(graph) == {"bad_memory"}
