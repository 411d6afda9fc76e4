"""Voting: several voters choose from a list of options in parallel, and the votes are counted.

A vote is exactly one of the options. "Yes." and "yes" are the same vote; "NOT APPROVED" is not a vote for "approved",
and an answer that is not an option counts for none.

Source: Wang et al., "Self-Consistency Improves Chain of Thought Reasoning in Language Models" (2022), for voters that
are one agent several times.
"""

import string
import unicodedata
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.api.graph import Graph
from graphengine.errors import DefinitionError
from graphengine.kernel.extension import END, START, Failure, Runnable, value
from graphengine.kernel.inside import enum_value
from graphengine.patterns.outcomes import SURVIVED
from graphengine.patterns.parts import check_names, checked, part
from graphengine.reducers import append

Ending: TypeAlias = Literal["", "decided", "tie", "undecided", "no quorum"]
# Ignored around a word; not - and +: -1 is not 1, C not C++.
_AROUND = string.whitespace + "\"'`*_\u201c\u201d\u2018\u2019«»"
_STOPS = ".,;:!?…"  # and these behind it


class Poll(BaseModel):
    """The state of a vote.

    Attributes:
        task: The question.
        votes: Each voter's choice; a voter that failed or chose no option is missing.
        tally: The number of votes for each option.
        outcome: How the vote ended: `decided`; `tie`, if several options have the most votes; `undecided`, if none has
            as many as needed; or `no quorum`. Empty before the count.
        output: The winning option; empty if there is none.
        errors: The failures of voters.
    """

    task: str
    votes: dict[str, str] = {}
    tally: dict[str, int] = {}
    outcome: Ending = ""
    output: str = ""
    errors: Annotated[list[Failure], append] = []


S = TypeVar("S", bound=Poll, default=Poll)
_OWN = Poll.model_fields.keys() - {"task"}


def voting(
    voters: Mapping[str, Runnable],
    options: Sequence[str] | type[Enum],
    *,
    quorum: int | None = None,
    need: int = 1,
    state: type[S] = Poll,  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
) -> Graph[S]:
    """Return a graph whose voters vote in parallel, and which counts the votes.

    It ends with its `outcome` as the label, and has an output if that is `decided`.

    Args:
        voters: The voters by name; each reads `task` (and `options`) and returns an option: its text, or the member of
            an enum. An agent that returns something else has to answer again. Voters that fail do not count.
        options: What to vote for: texts, `get_args(…)` of a Literal, or an Enum of texts.
        quorum: How many voters have to give a vote that counts. Default: more than half of them.
        need: How many votes the winning option needs.
        state: `Poll`, or a subclass with more fields for the voters to read.

    Raises:
        DefinitionError: There are no voters, fewer than two options, two options that are the same vote, or rules that
            no vote can meet.

    Example:
        >>> graph = voting({"a": lambda: "Yes.", "b": lambda: "yes", "c": lambda: "no"}, ["yes", "no"])
        >>> graph.run_sync({"task": "Is it so?"}).output
        'yes'
    """
    names = [options] if isinstance(options, str) else [str(enum_value(option)) for option in options]
    enough = len(voters) // 2 + 1 if quorum is None else quorum
    _check_rules(list(voters), names, enough, need)

    def is_option(vote: object) -> None:
        ballot(vote)

    def ballot(result: object) -> str:
        return option_of(result, names)

    def count(votes: dict[str, str]) -> dict[str, object]:
        tally = {name: list(votes.values()).count(name) for name in names}
        winner, *equals = [name for name in names if tally[name] == max(tally.values())]
        ending: Ending = "decided"
        if len(votes) < enough:
            ending = "no quorum"
        elif tally[winner] < need:
            ending = "undecided"
        elif equals:
            ending = "tie"
        return {"tally": tally, "outcome": ending, "output": winner if ending == "decided" else ""}

    graph = Graph("voting", state, result="output", collect_errors="errors")
    graph.add_node("count", count, writes=("tally", "outcome", "output"))
    for name, voter in voters.items():
        node = part(checked(voter, is_option), state, _OWN, {"options": lambda: names})
        graph.add_node(name, node, writes={f"votes[{name}]": ballot})
        graph.add_edge(name, "count", when=SURVIVED, label="no vote")
        graph.add_edge(name, "count")
    graph.add_fork(START, list(voters), join="count")
    for ending in ("no quorum", "undecided", "tie"):
        graph.add_edge("count", END, when=value("outcome") == ending, label=ending)
    graph.add_edge("count", END, label="decided")
    return graph


def option_of(answer: object, options: Sequence[str]) -> str:
    """Return the option that an answer names.

    Args:
        answer: A text, or the member of an enum. Case and surrounding punctuation do not matter; extra words do.
        options: The options.

    Raises:
        ValueError: The answer is not an option.

    >>> option_of(" Yes. ", ["yes", "no"])
    'yes'
    """
    vote = folded(str(enum_value(answer)))
    for option in options:
        if folded(option) == vote:
            return option
    raise ValueError(f"{answer!r} is not a vote; answer with one of {', '.join(options)}, and nothing else")


def folded(text: str) -> str:
    """Return a text for comparison, without case, surrounding quotes, a final full stop and repeated spaces.

    >>> folded('"Yes."') == folded(" YES "), folded("C++") == folded("C")
    (True, False)
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(plain.lstrip(_AROUND).rstrip(_AROUND + _STOPS).split())


def _check_rules(voters: Sequence[str], options: Sequence[str], quorum: int, need: int) -> None:
    check_names("voting(voters", voters, {"count"})
    distinct = {folded(option) for option in options} - {""}
    if len(distinct) < len(options) or len(distinct) < 2:  # noqa: PLR2004 - one option leaves no choice
        raise DefinitionError(f"voting(options={list(options)!r})", repair="name at least two different ones")
    for name, number in (("quorum", quorum), ("need", need)):
        if not 1 <= number <= len(voters):
            message = f"voting({name}={number}) with {len(voters)} voters"
            raise DefinitionError(message, repair=f"give a number from 1 to {len(voters)}")
