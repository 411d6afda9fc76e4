"""A writers' room: roles react to each other over rounds, until the showrunner makes the episode's outline.

`graphengine run writers_room` runs it on an example, `--input premise=…` (or `premise=@file.txt`) on yours; `--input
tone=…`, `rounds=…`, `minutes=…` and `acts=…` are the run's own. The roles answer by rules unless they are given models:
`--model anthropic` or `--model openai` takes a set of `MODELS` below, `--model showrunner=NAME` a model for one role.

In code everything is an argument. A season finale with a fifth role, another tone and models of your choice:

    writers_room([*ROLES, network_exec], rounds=3, tone="grave", models={"*": CHEAP, "showrunner": STRONG})

A role that fails keeps the view it had, and `errors` has why. A room where nobody has a view fails, and so does one
whose models cannot be asked at all, for want of a key for instance; that one can be resumed, with others if need be.
The result is the outline as text; the state has `outline`, `roles`, `rounds_held` and `views`, the result's `usage`
what it cost. docs/use/patterns/role_based.md tells of the pattern.
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

T = TypeVar("T")

ROUNDS = 2  # how often each role is asked at most, if a run does not say more
MOST_ROUNDS = 12
CONVERGED = 0.95  # of the words of all views: when so many stay from one round to the next, nobody is asked again
TONE = "as the premise has it"
AGAIN = Retry(attempts=3, initial_seconds=1, on=(OSError, ModelTransient))  # what passes by itself

MODELS = {  # strong ones for the two who make the story, a cheap one for those who look after it
    "anthropic": {
        "*": "anthropic:claude-haiku-5-5",
        "showrunner": "anthropic:claude-opus-5-5",
        "staff_writer": "anthropic:claude-opus-5-5",
    },
    "openai": {"*": "openai:gpt-5-mini", "showrunner": "openai:gpt-6.1-sol", "staff_writer": "openai:gpt-6.1-sol"},
}


class Episode(Room):
    """The state of the room; premise, views, rounds_held, output and errors are those of the pattern."""

    premise: str = Field(min_length=1, pattern=r"\S")
    tone: str = ""  # the room's own where a run says nothing
    minutes: int = Field(default=42, ge=10, le=240)
    acts: int = Field(default=4, ge=1, le=8)
    rounds: int | None = Field(default=None, ge=1, le=MOST_ROUNDS)  # the room's own where a run says nothing
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
    """The room with these roles around the table.

    Args:
        roles: Who takes part; the first has the chair and makes the outline.
        rounds: How often each is asked at most, unless a run says otherwise.
        tone: The tone they write for, unless a run says otherwise.
        converged: Which share of all words has to stay for the rounds to end early; above 1 they never do.
        models: Who answers for a role, by its name, or "*" for the others; a Runner or `--model` comes before that.
    """
    house_tone, house_rounds, by_role = tone, rounds, dict(models or {})

    def tone_here(tone: str) -> str:
        return tone or house_tone

    def enough_rounds(rounds_held: int, rounds: int | None) -> bool:
        return rounds_held >= (rounds or house_rounds)

    def page(result: Outline, tone: str, views: dict[str, str], rounds_held: int) -> str:
        return f"{as_page(result, tone_here(tone))}\n\nRoles: {', '.join(views)}. Rounds: {rounds_held}."

    def seat(agent: Agent[T]) -> Node:
        model = by_role.get(agent.name, by_role.get("*", agent.model))
        return part(Node(agent.but(model=model), retry=AGAIN), Episode, inputs={"tone": tone_here})

    room = role_based(
        {agent.name: seat(agent) for agent in roles},
        Node(seat(outliner(roles[0])), writes={"outline": ".", "output": page, "roles": names}),
        rounds=value(enough_rounds).is_true() | (iterations("settle") > MOST_ROUNDS),
        converged=converged,
        state=Episode,
    )
    return room.but(name="writers_room")


def names(views: dict[str, str]) -> list[str]:
    """Whose views the outline was made of."""
    return list(views)


def example() -> Episode:
    """What it runs on when no input is given."""
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
