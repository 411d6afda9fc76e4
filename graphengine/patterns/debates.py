"""Debate: several debaters answer a question, read one another, and answer again, until they agree or rounds run out.

Source: Du et al., "Improving Factuality and Reasoning in Language Models through Multiagent Debate" (2023).
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Annotated

from pydantic import BaseModel, Field
from typing_extensions import TypeVar

from graphengine.api.graph import Graph
from graphengine.kernel.extension import END, FAIL, START, Failure, Runnable, iterations, value
from graphengine.patterns.outcomes import SURVIVED
from graphengine.patterns.parts import check_names, part
from graphengine.patterns.votes import folded
from graphengine.reducers import append


class Position(BaseModel):
    """A debater's position.

    Attributes:
        answer: The answer in as few words as possible, for comparison. Case and surrounding punctuation make no
            difference.
        argument: The reason.
    """

    answer: str = Field(min_length=1)
    argument: str = ""


class DebaterPosition(Position):
    """A position and the debater who took it."""

    debater: str


class Debate(BaseModel):
    """The state of a debate.

    Attributes:
        task: The question.
        positions: Each debater's current position; a debater that fails keeps its last one.
        transcript: All positions taken, round by round.
        output: The answer.
        errors: The failures of debaters.
    """

    task: str
    positions: dict[str, Position] = {}
    transcript: Annotated[list[DebaterPosition], append] = []
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
    """Return a graph whose debaters answer in parallel, round after round.

    Args:
        debaters: Each returns a `Position`; it reads `task` and, from the second round on, the `positions` of all. A
            debater that fails is silent in that round. If none ever speaks, the run fails as `nobody spoke`.
        judge: Reads `task`, `positions` and `transcript`, and returns the answer if the debaters do not agree. Without
            a judge the most frequent answer wins; among equals, the one of the debater named first.
        rounds: The maximum number of rounds. They end early when all who spoke give the same answer.
        state: `Debate`, or a subclass with more fields for the debaters to read.

    Raises:
        DefinitionError: There are fewer than two debaters, or one has the name of one of the pattern's own nodes.

    Example:
        >>> graph = debate({"a": lambda: Position(answer="Four."), "b": lambda: Position(answer="four")})
        >>> graph.run_sync({"task": "2 + 2"}).output
        'Four.'
    """
    check_names("debate(debaters", debaters, {"round", "judge", "conclude"}, fewest=2)

    def conclude(positions: dict[str, Position]) -> str:
        answers = [positions[name].answer for name in debaters if name in positions]
        counts = Counter(map(folded, answers))
        return max(answers, key=lambda answer: counts[folded(answer)])

    graph = Graph("debate", state, result="output", collect_errors="errors")
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
    """Return whether all who spoke, at least two, give the same answer."""
    return len(positions) > 1 and len({folded(each.answer) for each in positions.values()}) == 1


def _turn_of(debater: str) -> Callable[..., DebaterPosition]:
    def turn(result: Position) -> DebaterPosition:
        return DebaterPosition(debater=debater, answer=result.answer, argument=result.argument)

    return turn
