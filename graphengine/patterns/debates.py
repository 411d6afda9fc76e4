"""Debate: several debaters answer a question, read one another, and answer again, until they agree or time is up.

Source: Du et al., "Improving Factuality and Reasoning in Language Models through Multiagent Debate" (2023).
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Annotated

from pydantic import BaseModel, Field
from typing_extensions import TypeVar

from graphengine.errors import DefinitionError
from graphengine.graph.conditions import iterations, value
from graphengine.graph.graph import END, FAIL, START, Graph, Runnable
from graphengine.patterns.outcomes import SURVIVED
from graphengine.patterns.parts import part
from graphengine.patterns.votes import folded
from graphengine.reducers import append
from graphengine.state.failure import Failure

_NODES = {"round", "judge", "conclude"}


class Position(BaseModel):
    """Where a debater stands.

    Attributes:
        answer: The answer in as few words as it takes; this is what is compared. Case, and signs around it, make no
            difference.
        argument: Why.
    """

    answer: str = Field(min_length=1)
    argument: str = ""


class Turn(Position):
    """A position as it was taken, and by whom."""

    debater: str


class Debate(BaseModel):
    """The state of a debate.

    Attributes:
        task: The question.
        positions: Where each debater stands now; one that failed stands where it stood.
        transcript: All that was said, round by round.
        output: The answer.
        errors: Why debaters said nothing.
    """

    task: str
    positions: dict[str, Position] = {}
    transcript: Annotated[list[Turn], append] = []
    output: str = ""
    errors: Annotated[list[Failure], append] = []


S = TypeVar("S", bound=Debate, default=Debate)
_OWN = Debate.model_fields.keys() - {"task"}


def debate(
    debaters: Mapping[str, Runnable],
    *,
    judge: "Runnable | None" = None,
    rounds: int = 2,
    state: type[S] = Debate,  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
) -> Graph[S]:
    """A graph whose debaters answer side by side, round after round.

    Args:
        debaters: Each gives a `Position`; it reads `task` and, from the second round on, `positions` of all. One that
            fails says nothing in that round. If nobody ever says anything the run fails as `nobody spoke`.
        judge: Reads `task`, `positions` and `transcript`, and gives the answer where they do not agree. Without one it
            is the answer of most, and among several such that of the debater who was named first.
        rounds: How often each is asked at most. They are not asked again once all who spoke give the same answer.
        state: `Debate`, or a subclass with fields that the debaters read besides.

    Raises:
        DefinitionError: There are fewer than two debaters, or one has the name of a node of the pattern.

    Example:
        >>> graph = debate({"a": lambda: Position(answer="Four."), "b": lambda: Position(answer="four")})
        >>> graph.run_sync({"task": "2 + 2"}).output
        'Four.'
    """
    if len(debaters) < 2 or _NODES & debaters.keys():  # noqa: PLR2004 - one cannot debate
        told = f"debate(debaters={sorted(debaters)})"
        raise DefinitionError(told, repair=f"name two at least, and none of them {', '.join(sorted(_NODES))}")

    def conclude(positions: dict[str, Position]) -> str:
        answers = [positions[name].answer for name in debaters if name in positions]
        held = Counter(map(folded, answers))
        return max(answers, key=lambda answer: held[folded(answer)])

    graph = Graph("debate", state, result="output", errors="errors")
    graph.add_node("round")
    for name, debater in debaters.items():
        node = part(debater, state, _OWN)
        graph.add_node(name, node, writes={f"positions[{name}]": ".", "transcript": _turn_of(name)})
        graph.add_edge(name, "round", when=SURVIVED, label="silent")
        graph.add_edge(name, "round")
    graph.add_node("conclude", conclude, writes="output", thread=False)
    over = iterations("round") > rounds
    silent = value("positions").length() == 0
    graph.add_edge(START, "round")
    graph.add_edge("round", FAIL, when=over & silent, label="nobody spoke")
    graph.add_edge("round", "conclude", when=value(agreed).is_true(), label="agreed")
    graph.add_edge("round", "conclude" if judge is None else "judge", when=over, label="out of rounds")
    graph.add_fork("round", list(debaters), join="round")
    graph.add_edge("conclude", END, when=value(agreed).is_true(), label="agreed")
    graph.add_edge("conclude", END, label="no agreement")
    if judge is not None:
        graph.add_node("judge", part(judge, state, _OWN), writes="output")
        graph.add_edge("judge", END, label="judged")
    return graph


def agreed(positions: dict[str, Position]) -> bool:
    """Whether all who spoke, two at least, give the same answer."""
    return len(positions) > 1 and len({folded(each.answer) for each in positions.values()}) == 1


def _turn_of(debater: str) -> Callable[..., Turn]:
    def turn(result: Position) -> Turn:
        return Turn(debater=debater, answer=result.answer, argument=result.argument)

    return turn
