from pydantic import BaseModel

from graphengine.patterns import Evaluation, voting
from tests.patterns.scripted import named

WRITE = named("write", "{task} {draft} {evaluations[-1].feedback}")
JUDGE = named("judge", "{draft}", Evaluation)


class Poem(BaseModel):
    topic: str
    poem: str = ""
    vote: str = ""


def verdict(score, word="revise", feedback="more"):
    return Evaluation(verdict=word, score=score, feedback=feedback)


VOTE = voting({name: named(name) for name in ("ann", "bob", "cid")}, ["publish", "again"])
