from enum import Enum
from typing import Literal

from graphengine.patterns import Poll, voting
from tests.patterns.scripted import named


class Verdict(str, Enum):
    APPROVE = "approved"
    REJECT = "rejected"


class Toned(Poll):
    tone: str = "plain"


def saying(*votes):
    return {f"v{number}": (lambda vote: lambda task: vote)(vote) for number, vote in enumerate(votes)}


def broken():
    raise OSError("no network")


AGENTS = {
    "ann": named("ann", "{task} {options}"),
    "bob": named("bob", "{task}", Verdict),
    "cid": named("cid", "{task}", Literal["approved", "rejected"]),
}
YES_NO = ["yes", "no"]
INNER = voting({"a": named("a", "{tone} {task}")}, YES_NO, state=Toned)
