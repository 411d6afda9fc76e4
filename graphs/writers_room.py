"""A writers' room: roles react to each other over rounds, until the showrunner writes the episode's outline.

`graphengine run writers_room --model anthropic` runs it on an example, `--input premise=…` (or `premise=@file.txt`) on
yours, `--input tone=…`, `rounds=…`, `minutes=…` and `acts=…` your way; `--model showrunner=NAME` changes one role's
model. Without a model it is a dry run: placeholders answer.

The rounds end early when all roles say that they are done. A role that fails keeps its view, and `errors` has the
reason; a room in which no role has a view fails. `writers_room([*ROLES, network_exec])` has a fifth role.
"""

from collections.abc import Mapping, Sequence

from pydantic import Field

from graphengine import Agent, Graph, Node, iterations, value
from graphengine.patterns import Room, View, role_based
from nodes.citing import is_whole
from nodes.room.agents import ROLES, faults, outliner
from nodes.tasks import AGAIN, models

MOST_ROUNDS = 12

MODELS = models("showrunner", "staff_writer")  # strong models write the story, cheap ones review it


class Episode(Room):
    """The state of the room; views, rounds_held, output and errors come from the pattern."""

    premise: str = Field(min_length=1, pattern=r"\S")
    tone: str = "as the premise has it"
    minutes: int = Field(default=42, ge=10, le=240)
    acts: int = Field(default=4, ge=1, le=8)
    rounds: int = Field(default=2, ge=1, le=MOST_ROUNDS)


def signed(result: str, views: Mapping[str, str], rounds_held: int, minutes: int, acts: int) -> str:
    """Return the outline with its faults, and the roles and rounds that led to it."""
    found = faults(result, minutes, acts, views) if is_whole(result) else []
    notes = "".join(f"\n> To be mended: {fault}." for fault in found)
    return f"{result.rstrip()}{notes and chr(10)}{notes}\n\nRoles: {', '.join(views)}. Rounds: {rounds_held}.\n"


def enough_rounds(rounds_held: int, rounds: int) -> bool:
    """Return whether as many rounds were held as the order allows."""
    return rounds_held >= rounds


def writers_room(roles: Sequence[Agent[View]] = ROLES) -> Graph[Episode]:
    """Return the room with these roles."""
    return role_based(
        {role.name: Node(role, retry=AGAIN) for role in roles},
        Node(outliner, retry=AGAIN, writes={"output": signed}),
        rounds=value(enough_rounds).is_true() | (iterations("settle") > MOST_ROUNDS),
        state=Episode,
    ).but(name="writers_room")


def example() -> Episode:
    """Return the input of an example run."""
    premise = (
        "Harbour pilot Nora Quist learns that her brother Tom sold the storm charts that sank the ferry nine years "
        "ago. The inquiry reopens on Monday, and Tom is its first witness. Episode 4 of 6. "
        "Must bring the insurance plot to the surface."
    )
    return Episode(premise=premise, tone="grave, without comfort")


graph = writers_room()
