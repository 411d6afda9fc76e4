"""Blackboard: agents watch fields of a shared state and run when these change, until nothing changes any more.

The agents know the board and not each other. A write appears on the board at the end of its round, when its author and
time are noted in `entries`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.api.graph import Graph
from graphengine.errors import DefinitionError
from graphengine.kernel.extension import END, START, Condition, Context, Failure, Runnable, changed, iterations
from graphengine.kernel.inside import parse
from graphengine.patterns.outcomes import SURVIVED
from graphengine.patterns.parts import part
from graphengine.reducers import append, extend


class Entry(BaseModel):
    """A record of one write of an agent to the shared board.

    Attributes:
        author: The name of the agent that wrote.
        field: The field, or one key of a field that is a dict.
        at: When other agents could first read the value, epoch seconds.
        round: The round, from 1.
    """

    author: str
    field: str
    at: float
    round: int


class Board(BaseModel):
    """The fields that every board has; subclasses add those that agents watch and write.

    Attributes:
        entries: All writes, in order.
        written: The writes of the current round, by agent.
        errors: The failures of agents.
    """

    entries: Annotated[list[Entry], extend] = []
    written: dict[str, str] = {}
    errors: Annotated[list[Failure], append] = []


@dataclass(frozen=True, slots=True)
class Subscriber:
    """An agent of a blackboard, and the fields whose changes make the agent run.

    Args:
        runnable: The agent, function, graph or `Node` to run. It can read any field of the board. A `Node` with its own
            `writes={…}` decides which parts of its result are written.
        watches: Names of fields of the board, or paths in it. The agent runs when the value of one of them changes.
        writes: The field to which the result is written, or one key of a field that is a dict.
    """

    runnable: Runnable
    watches: Sequence[str]
    writes: str


S = TypeVar("S", bound=Board)
_OWN = Board.model_fields.keys()


def blackboard(
    board: type[S], agents: Mapping[str, Subscriber], *, rounds: int = 20, result: str | None = None
) -> Graph[S]:
    """Make a graph in which agents run whenever a field that they watch has changed, until nothing changes any more.

    The state of a `blackboard` graph is the board, which all agents read and write. The agents work in rounds. An agent
    runs in a round if a field that it watches was changed in the round before. The agents of a round run in parallel,
    and all of them read the board as the previous round left it. An agent that fails writes nothing, and the other
    agents continue.

    In the first round of a `blackboard` graph, nothing has been changed yet. These fields count as changed then: every
    field that no other agent writes, and every field whose value differs from its default.

    Source: "The Hearsay-II Speech-Understanding System", Erman et al. 1980.

    Args:
        board: The state: a subclass of Board.
        agents: The subscribers by name. If two of them write one field, it needs a reducer.
        rounds: The maximum number of rounds, even if something still changes.
        result: The field that is the result.

    Raises:
        DefinitionError: An agent watches nothing.

    Example:
        >>> class Case(Board):
        ...     clue: str = ""
        ...     theory: str = ""
        >>> detective = Subscriber(lambda clue: f"it was {clue}", watches=["clue"], writes="theory")
        >>> done = blackboard(Case, {"detective": detective}).run_sync({"clue": "the cat"}).state
        >>> done.theory, [entry.author for entry in done.entries]
        ('it was the cat', ['detective'])
    """
    graph = Graph("blackboard", board, result=result, collect_errors="errors")
    graph.add_node("round", title="agents that watch what changed")
    graph.add_node("note", note, writes=("entries", "written"))
    graph.add_edge(START, "round")
    due = {name: _due(name, agents) for name in agents}
    for name, agent in agents.items():
        node = part(agent.runnable, board, _OWN)
        own = node.writes if isinstance(node.writes, Mapping) else {agent.writes: "."}
        graph.add_node(name, node, writes={**own, f"written[{name}]": _always(agent.writes)})
        graph.add_edge(name, "note", when=SURVIVED, label="nothing written")
        graph.add_edge(name, "note")
    graph.add_edge("round", END, when=~_any(list(due.values())), label="nothing changes any more")
    graph.add_edge("round", END, when=iterations("round") > rounds, label="out of rounds")
    graph.add_fork("round", list(due.items()), join="note")
    graph.add_edge("note", "round")
    return graph


def note(written: dict[str, str], ctx: Context) -> dict[str, object]:
    """Add an entry for each agent that wrote to the board in this round."""
    at = ctx.now()
    entries = [Entry(author=author, field=field, at=at, round=ctx.visit) for author, field in written.items()]
    return {"entries": entries, "written": {}}


def _due(name: str, agents: Mapping[str, Subscriber]) -> Condition:
    agent = agents[name]
    watches: object = agent.watches
    if not agent.watches or isinstance(watches, str):
        text = f"agent {name!r} has watches={watches!r}, which is not a list of names of fields"
        raise DefinitionError(text, where="blackboard", repair="give a list of fields: watches=['draft']")
    written = {parse(other.writes).root for author, other in agents.items() if author != name}
    in_first_round = [iterations("round") == 1] if {parse(field).root for field in agent.watches} - written else []
    return _any([*in_first_round, *(changed(field, since="round") for field in agent.watches)])


def _any(conditions: Sequence[Condition]) -> Condition:
    first, *rest = conditions
    for condition in rest:
        first |= condition
    return first


def _always(field: str) -> Callable[[], str]:
    def written() -> str:
        return field

    return written


__all__ = ["Board", "Entry", "Subscriber", "blackboard"]
