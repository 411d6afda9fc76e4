"""Voting: several voters answer one question from a list of options, side by side, and the votes are counted.

A vote is one of the options and nothing else. "Yes." and "yes" are one vote; "NOT APPROVED" is no vote for "approved",
and what is no vote does not count for anybody.

Source: Wang et al., "Self-Consistency Improves Chain of Thought Reasoning in Language Models" (2022), for voters that
are one agent several times.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.errors import DefinitionError
from graphengine.graph.conditions import value
from graphengine.graph.graph import END, START, Graph, Runnable
from graphengine.patterns.outcomes import SURVIVED
from graphengine.patterns.parts import checked, part
from graphengine.reducers import append
from graphengine.runner.context import Context
from graphengine.state.failure import Failure
from graphengine.state.type_facts import enum_value

Tie: TypeAlias = Literal["first", "random", "open"]
_AROUND = "\\s\"'`*_\u201c\u201d\u2018\u2019«»"  # says nothing around a word; - and + do: -1 is not 1, and C not C++
_EDGES = re.compile(f"^[{_AROUND}]+|[{_AROUND}.,;:!?…]+$")


class Poll(BaseModel):
    """The state of a vote.

    Attributes:
        task: The question.
        votes: What each voter chose; one that failed, or gave no vote, is not in it.
        tally: How many votes each option has.
        output: The option that won, or nothing.
        errors: Why voters gave no vote.
    """

    task: str
    votes: dict[str, str] = {}
    tally: dict[str, int] = {}
    output: str = ""
    errors: Annotated[list[Failure], append] = []


S = TypeVar("S", bound=Poll, default=Poll)
_OWN = Poll.model_fields.keys() - {"task"}


def voting(  # noqa: PLR0913 - the rules of a vote
    voters: Mapping[str, Runnable],
    options: Sequence[str] | type[Enum],
    *,
    quorum: int | None = None,
    need: int = 1,
    tie: Tie = "first",
    state: type[S] = Poll,  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
) -> Graph[S]:
    """A graph that has voters vote side by side, and counts.

    Args:
        voters: Who votes; each reads `task` (and `options`) and gives an option: its text, or the member of an enum. An
            agent that gives none is asked again. One that fails, or gives none, has not voted, and the others count.
        options: What can be voted for: texts, `get_args(…)` of a Literal, or an Enum of texts.
        quorum: How many votes there must be: more than half of the voters if not given. With fewer the graph ends as
            `no quorum`, without output.
        need: How many votes the winner must have; where none has so many it ends `undecided`, without output.
        tie: What becomes of several options with the most votes: the first in the order of the options wins
            (`"first"`), one of them at random, seeded by the run and recorded (`"random"`), or none (`"open"`), and it
            ends `undecided`.
        state: `Poll`, or a subclass with fields that the voters read besides.

    Raises:
        DefinitionError: There are no voters, fewer than two options, two that are the same vote, or rules that no vote
            could meet.

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

    async def count(votes: dict[str, str], ctx: Context) -> dict[str, object]:
        tally = {name: list(votes.values()).count(name) for name in names}
        most = max(tally.values())
        first = [name for name in names if tally[name] == most]
        won = len(votes) >= enough and most >= need and (len(first) == 1 or tie != "open")
        winner = ctx.random.choice(first) if tie == "random" else first[0]
        return {"tally": tally, "output": winner if won else ""}

    graph = Graph("voting", state, result="output", errors="errors")
    graph.add_node("count", count, writes=("tally", "output"))
    for name, voter in voters.items():
        node = part(checked(voter, is_option), state, _OWN, {"options": lambda: names})
        graph.add_node(name, node, writes={f"votes[{name}]": ballot})
        graph.add_edge(name, "count", when=SURVIVED, label="no vote")
        graph.add_edge(name, "count")
    graph.add_fork(START, list(voters), join="count")
    graph.add_edge("count", END, when=value("votes").length() < enough, label="no quorum")
    graph.add_edge("count", END, when=value("output") == "", label="undecided")
    graph.add_edge("count", END, label="decided")
    return graph


def option_of(answer: object, options: Sequence[str]) -> str:
    """The option that an answer is.

    Args:
        answer: A text, or the member of an enum. Case, and signs around it, make no difference; more words do.
        options: What it can be.

    Raises:
        ValueError: It is none of them.

    >>> option_of(" Yes. ", ["yes", "no"])
    'yes'
    """
    said = folded(str(enum_value(answer)))
    for option in options:
        if folded(option) == said:
            return option
    raise ValueError(f"{answer!r} is no vote; vote for one of {', '.join(options)}, and say nothing else")


def folded(text: str) -> str:
    """A text as answers are compared: case, quotes around it, a full stop and how far apart words stand do not count.

    >>> folded('"Yes."') == folded(" YES "), folded("C++") == folded("C")
    (True, False)
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(_EDGES.sub("", plain).split())


def _check_rules(voters: Sequence[str], options: Sequence[str], quorum: int, need: int) -> None:
    if not voters or "count" in voters:
        raise DefinitionError(f"voting(voters={sorted(voters)})", repair="name one at least, and none of them count")
    told = {folded(option) for option in options} - {""}
    if len(told) < len(options) or len(told) < 2:  # noqa: PLR2004 - one option is no choice
        raise DefinitionError(f"voting(options={list(options)!r})", repair="name two at least, that no vote confuses")
    for name, number in (("quorum", quorum), ("need", need)):
        if not 1 <= number <= len(voters):
            told_voters = f"voting({name}={number}) with {len(voters)} voters"
            raise DefinitionError(told_voters, repair=f"give a number from 1 to {len(voters)}")
