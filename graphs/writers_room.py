"""A writers' room: roles react to each other over rounds, until the showrunner makes the episode's outline.

`graphengine run writers_room` runs it on an example, `--input premise=…` (or `premise=@file.txt`) on yours; set
`--input tone=…`, `rounds=…`, `minutes=…` and `acts=…` per run. It needs language models, because rules cannot invent
a story: `--model anthropic` or `--model openai` selects a set of `MODELS` below, `--model showrunner=NAME` a model for
one role. Without a model for the showrunner the result is a page with the room's roles, prompts, graph and cost.

In code everything is an argument. A season finale with a fifth role, another tone and models of your choice:

    writers_room([*ROLES, network_exec], rounds=3, tone="grave", models={"*": CHEAP, "showrunner": STRONG})

A role that fails keeps its view, and `errors` has the reason. A room in which no role has a view fails, and so does one
whose models cannot be called at all, for example without a key; the latter can be resumed, with other models if needed.
The result is the outline as text; the state has `outline`, `roles`, `rounds_held` and `views`, the result's `usage` the
cost. See docs/use/patterns/role_based.md for the pattern.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from pydantic import Field

from graphengine import Agent, Graph, Node, Retry, iterations, value
from graphengine.errors import ModelTransient
from graphengine.models import Model
from graphengine.patterns import Room, role_based
from graphengine.patterns.parts import part
from nodes.room.agents import ROLES, network_exec, outliner
from nodes.room.outline import Outline, as_page
from nodes.room.unplayed import plan

T = TypeVar("T")

ROUNDS = 2  # the maximum number of rounds, unless a run sets its own
MOST_ROUNDS = 12
CONVERGED = 0.95  # share of the words of all views; the rounds end when this many stay the same
TONE = "as the premise has it"
AGAIN = Retry(attempts=3, initial_seconds=1, on=(OSError, ModelTransient))  # transient errors

MODELS = {  # strong models write the story, a cheap one reviews it
    "default": {"*": "offline"},
    "anthropic": {
        "*": "anthropic:claude-haiku-5-5",
        "showrunner": "anthropic:claude-opus-5-5",
        "staff_writer": "anthropic:claude-opus-5-5",
    },
    "openai": {"*": "openai:gpt-5-mini", "showrunner": "openai:gpt-6.1-sol", "staff_writer": "openai:gpt-6.1-sol"},
}


class Episode(Room):
    """The state of the room; premise, views, rounds_held, output and errors come from the pattern."""

    premise: str = Field(min_length=1, pattern=r"\S")
    tone: str = ""  # empty: the room's
    minutes: int = Field(default=42, ge=10, le=240)
    acts: int = Field(default=4, ge=1, le=8)
    rounds: int | None = Field(default=None, ge=1, le=MOST_ROUNDS)  # None: the room's
    outline: Outline | None = None
    roles: list[str] = Field(default=[])


def writers_room(
    roles: Sequence[Agent[str]] = ROLES,
    *,
    rounds: int = ROUNDS,
    tone: str = TONE,
    converged: float = CONVERGED,
    models: Mapping[str, str | Model] | None = None,
) -> Graph[Episode]:
    """Return the room with these roles.

    Args:
        roles: The roles; the first one chairs and writes the outline.
        rounds: The maximum number of rounds, unless a run sets its own.
        tone: The tone to write for, unless a run sets its own.
        converged: The share of all words that has to stay the same for the rounds to end early; above 1 they never do.
        models: A model for a role by its name, or "*" for the others; a Runner's or `--model` takes precedence.
    """
    house_tone, house_rounds, by_role = tone, rounds, dict(models or {})

    def tone_here(tone: str) -> str:
        return tone or house_tone

    def enough_rounds(rounds_held: int, rounds: int | None) -> bool:
        return rounds_held >= (rounds or house_rounds)

    def page(result: Outline, tone: str, views: dict[str, str], rounds_held: int) -> str:
        roles = f"\n\nRoles: {', '.join(views)}. Rounds: {rounds_held}."
        return as_page(result, tone_here(tone)) + ("" if result.plan else roles)

    def seat(agent: Agent[T]) -> Node:
        model = by_role.get(agent.name, by_role.get("*", agent.model))
        return part(Node(agent.but(model=model), retry=AGAIN), Episode, inputs={"tone": tone_here})

    def drawn() -> str:
        return room.to_mermaid()

    chair = outliner(roles[0])
    chair = chair.but(offline=plan(roles, chair, MODELS, house_rounds, drawn))
    room = role_based(
        {agent.name: seat(agent) for agent in roles},
        Node(seat(chair), writes={"outline": ".", "output": page, "roles": names}),
        rounds=value(enough_rounds).is_true() | (iterations("settle") > MOST_ROUNDS),
        converged=converged,
        state=Episode,
    ).but(name="writers_room")
    return room


def names(views: dict[str, str]) -> list[str]:
    """Return the roles whose views went into the outline."""
    return list(views)


def example() -> Episode:
    """Return the input of an example run."""
    return Episode(
        premise=(
            "Harbour pilot Nora Quist learns that her brother Tom sold the storm charts that sank the ferry nine years "
            "ago. The inquiry reopens on Monday, and Tom is its first witness. Episode 4 of 6. "
            "Must bring the insurance plot to the surface."
        ),
        tone="grave, without comfort",
    )


graph = writers_room()

__all__ = ["MODELS", "ROLES", "Episode", "example", "graph", "network_exec", "writers_room"]
