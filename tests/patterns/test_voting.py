from collections.abc import Sequence
from enum import Enum
from typing import Any, Literal

import pytest

from graphengine import Agent, Runnable
from graphengine.errors import DefinitionError
from graphengine.patterns import Poll, pipeline, voting
from graphengine.patterns.votes import option_of
from tests.patterns.kits import clerk
from tests.patterns.scripted import play

Answer = Literal["yes", "no"]
Approval: Any = Literal["approved", "rejected"]


class Verdict(Enum):
    APPROVE = "approved"
    REJECT = "rejected"


class Toned(Poll):
    tone: str = "plain"


def saying(*votes: Any) -> dict[str, Runnable]:
    """Return voters that are functions."""

    def voter(vote: Any) -> Runnable:
        return lambda task: vote

    return {f"v{number}": voter(vote) for number, vote in enumerate(votes)}


async def result_of(votes: Sequence[Any], options: Any = ("yes", "no"), **rules: Any) -> tuple[str, str]:
    """Return the output of a vote, and its last label."""
    played = await play(voting(saying(*votes), options, **rules), {"task": "t"}, {})
    assert played.state.outcome == played.label
    return played.state.output, played.label


@pytest.mark.parametrize("answer", ["yes", "Yes.", " YES! ", '"yes"', "**Yes**", "yes\n", "\uff39es"])
def test_one_vote_in_other_clothes(answer: str) -> None:
    """Case, quotes, markup and a full stop make no difference."""
    assert option_of(answer, ["yes", "no"]) == "yes"


@pytest.mark.parametrize("answer", ["yes, but", "not yes", "yesterday", "", "y", "yes no", "-yes", 1, None])
def test_other_texts_are_not_votes(answer: object) -> None:
    """Other words, more words and no words are not votes."""
    with pytest.raises(ValueError, match="is not a vote; answer with one of yes, no"):
        option_of(answer, ["yes", "no"])


async def test_not_approved_is_not_an_approval() -> None:
    """It counts for no option, and the error says so."""
    result = await voting(saying("approved", "NOT APPROVED", "not approved"), Verdict, quorum=1).run({"task": "t"})
    assert (result.state.tally, result.output) == ({"approved": 1, "rejected": 0}, "approved")
    first = result.state.errors[0]
    assert first.path == "v1"
    assert "'NOT APPROVED' is not a vote" in first.message


async def test_an_agent_that_gives_no_vote_is_asked_again() -> None:
    """A later vote counts; typed agents vote like untyped ones."""
    voters: dict[str, Runnable] = {
        "ann": clerk("ann", "{task} {options}"),
        "bob": Agent("bob", prompt="{task}", output=Verdict),
        "cid": Agent("cid", prompt="{task}", output=Approval),
    }
    script = {"ann": ["I would say approved", "Approved."], "bob": ["approved"], "cid": ["rejected"]}
    played = await play(voting(voters, Verdict), {"task": "t"}, script)
    assert (played.output, played.label, played.calls.total()) == ("approved", "decided", 4)
    assert played.state.votes == {"ann": "approved", "bob": "approved", "cid": "rejected"}
    assert '"rejected"' in played.requests[0].prompt


@pytest.mark.parametrize(
    ("votes", "rules", "end"),
    [
        (["yes", "Yes.", "no"], {}, ("yes", "decided")),
        (["no", "yes"], {}, ("", "tie")),
        (["no", "yes", "no", "yes"], {"need": 3}, ("", "undecided")),
        (["yes", "yes", "no"], {"need": 3}, ("", "undecided")),
        (["yes", "yes", "yes"], {"need": 3}, ("yes", "decided")),
        (["yes", "?", "?"], {}, ("", "no quorum")),
        (["yes", "?", "?"], {"quorum": 1}, ("yes", "decided")),
        (["?", "?"], {"quorum": 1}, ("", "no quorum")),
    ],
)
async def test_the_rules_of_a_vote(votes: list[str], rules: dict[str, Any], end: tuple[str, str]) -> None:
    """The most votes win if the quorum and the need are met; equals are a tie, whatever the order of the options."""
    assert await result_of(votes, **rules) == end


async def test_a_voter_that_fails_leaves_the_others() -> None:
    """A voter that fails does not count, and the others' votes do."""

    def broken() -> str:
        raise OSError("no network")

    result = await voting({**saying("no", "no"), "broken": broken}, ["yes", "no"]).run({"task": "t"})
    assert (result.output, list(result.state.votes), result.state.errors[0].path) == ("no", ["v0", "v1"], "broken")


async def test_a_vote_is_a_voter() -> None:
    """The inner vote gets the task and the caller's fields, and no votes."""
    inner = voting({"a": clerk("a", "{tone} {task}")}, ["yes", "no"], state=Toned)
    graph = voting({"inner": inner, "b": clerk("b")}, ["no", "yes"], state=Toned)
    played = await play(graph, {"task": "t", "tone": "dry"}, {"a": ["yes"], "b": ["Yes"]})
    assert (played.output, played.state.votes) == ("yes", {"inner": "yes", "b": "yes"})
    assert "<tone>dry</tone> <task>t</task>" in [request.prompt for request in played.requests]
    stage = await play(pipeline({"vote": graph}), {"task": "t"}, {"a": ["yes"], "b": ["Yes"]})
    assert stage.output == "yes"


@pytest.mark.parametrize(
    ("voters", "options", "rules"),
    [
        (0, ["yes", "no"], {}),
        (2, ["yes"], {}),
        (2, ["yes", "Yes."], {}),
        (2, ["yes", "no", "?"], {}),
        (2, "yes", {}),
        (2, ["yes", "no"], {"quorum": 3}),
        (2, ["yes", "no"], {"quorum": 0}),
        (2, ["yes", "no"], {"need": 3}),
    ],
)
def test_votes_that_cannot_be_are_refused(voters: int, options: Any, rules: dict[str, Any]) -> None:
    """They are refused when the graph is built."""
    with pytest.raises(DefinitionError, match="voting"):
        voting(saying(*["yes"] * voters), options, **rules)
