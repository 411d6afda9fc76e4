import asyncio

from graphengine import Agent, Retry
from graphengine.models.errors import ModelOverloaded
from tests.agents.run_kits import ADD, Work, add, one, paid
from tests.kit.runs import alone


class Says:
    """A model that returns any given value, unvalidated, or raises it."""

    name = "says"

    def __init__(self, *given):
        self.given = [*given]

    async def answer(self, request):
        found = self.given.pop(0)
        if isinstance(found, BaseException):
            raise found
        return found


def says(given):
    """Return a graph of an agent whose model answers rightly after this."""
    return one(Agent("writer", prompt="{task}", tools=[add], model=Says(paid("", ADD), given, paid("3"))))


def ruled(error=None, **options):
    """Return an agent whose rules fail, or return an answer that does not fit."""

    def rules(task):
        if error is not None:
            raise error
        return "many"

    return Agent("writer", prompt="{task}", by_rules=rules, **options)


LATER = {"retry": Retry(attempts=3, initial_seconds=5, jitter=0)}
INNER = alone(Work, ruled(ValueError("no")), "draft", name="inner", result="draft", **LATER)
