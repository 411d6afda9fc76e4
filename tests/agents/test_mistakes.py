"""Mistakes in `Agent(…)`: each gets what is wrong and what to write."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from graphengine import Agent, ScriptedModel
from graphengine.agents import Hooks, guard
from graphengine.errors import DefinitionError


def look(text: str) -> str:
    """Return the text."""
    return text


GIVE_A_TYPE = "give a type: a pydantic model, Literal['a', 'b'], list[str], …"


class Audit(Hooks):
    """Code around calls."""

    def __repr__(self) -> str:
        return "Audit()"


@pytest.mark.parametrize(
    ("given", "problem", "repair"),
    [
        ({"tools": look}, "tools=look", "give a list: tools=[look]"),
        ({"guards": look}, "guards=look", "give a list: guards=[look]"),
        ({"hooks": Audit()}, "hooks=Audit()", "give a list: hooks=[Audit()]"),
        ({"guards": [Audit()]}, "guards=[Audit()]", "write hooks=[…]: hooks see calls, a guard checks a text"),
        ({"guards": [5]}, "guards=[5]", "give a function of a text, or guard(function, …)"),
        ({"hooks": [Audit]}, "hooks=[Audit]", "give an instance: hooks=[Audit()]"),
        ({"model": ScriptedModel}, f"model={ScriptedModel!r}", "give a name, as 'anthropic:…', or a Model"),
        ({"memory": True}, "memory=True", "name a field of the state: memory='messages'"),
        ({"output": {"a": int}}, "output={'a': <class 'int'>}", GIVE_A_TYPE),
        ({"hooks": [5]}, "hooks=[5]", "give an instance of a subclass of Hooks"),
    ],
)
def test_a_mistake_says_what_to_write(given: Any, problem: str, repair: str) -> None:
    """The message has the argument as it was written, the repair what it should be."""
    with pytest.raises(DefinitionError) as caught:
        Agent("writer", prompt="x", **given)
    assert (caught.value.message, caught.value.repair) == (f"Agent('writer', {problem})", repair)


@pytest.mark.parametrize("check", [look, guard(look)])
def test_a_guard_among_hooks_is_told_where_it_belongs(check: Any) -> None:
    """A function and a guard belong into guards=."""
    with pytest.raises(DefinitionError) as caught:
        Agent("writer", prompt="x", hooks=[check])
    assert caught.value.repair == "write guards=[…]"


@pytest.mark.parametrize(
    ("keyword", "repair"),
    [
        ("instructions", "system='…'"),
        ("temperature", "settings=Settings(temperature=…)"),
        ("max_tokens", "settings=Settings(max_tokens=…)"),
    ],
)
def test_another_name_for_an_argument_is_told_ours(keyword: str, repair: str) -> None:
    """Also in a copy with changes."""
    for make in (Agent, Agent("writer", prompt="x").but):
        given: dict[str, Any] = {keyword: 1, **({"name": "writer"} if make is Agent else {})}
        with pytest.raises(DefinitionError, match=f"Agent has no option '{keyword}'") as caught:
            make(**given)
        assert caught.value.repair == repair


def test_only_documented_names_are_public() -> None:
    """What an editor offers is what the documentation explains."""
    shown = {name for name in dir(Agent) if not name.startswith("_")}
    assert shown == {*inspect.signature(Agent).parameters, "answer", "but", "run", "run_sync", "stream"}


def test_only_the_name_is_positional() -> None:
    """Other arguments are named."""
    with pytest.raises(DefinitionError, match="takes 2 positional arguments"):
        Agent("writer", "rules")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
