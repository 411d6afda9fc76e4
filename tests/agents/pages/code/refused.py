from typing import Annotated

from pydantic import BaseModel, Field

from graphengine import Agent, Retry
from graphengine.agents import guard
from graphengine.agents.errors import BadAnswer
from graphengine.models.errors import AnswerCut, ModelTransient
from tests.agents.run_kits import ADD, add, one, paid
from tests.kit.runs import alone

MANY = [["a", "x"], ["b", "y"], ["z"]]


class Finding(BaseModel):
    words: list[str] = ["a", "b"]
    found: list[str] = []


class Short(BaseModel):
    """A state that takes short answers."""

    task: str = "rhyme"
    draft: Annotated[str, Field(max_length=5)] = ""


def known(answer, words):
    if wrong := [word for word in answer if word not in words]:
        raise ValueError(f"not known: {wrong}")


def kept(answers, words):
    return [word for answer in answers for word in answer if word in words]


FINDER = Agent("finder", prompt="Find {words}.", output=list[str], check=known, best_effort=kept)
FULL = iter([OSError("the disk is full")])


async def find(words):
    found = await FINDER.run(words=words)
    for failure in FULL:
        raise failure
    return found


def refuses(answer):
    if answer != "three":
        raise ValueError(answer)


def breaks(answer):
    assert answer == "three"


def spelt(answer):
    if "wrong" in answer:
        raise ValueError(answer)
    return answer


def asks(**options):
    return Agent("writer", prompt="{task}", tools=[add], output_retries=0, **options)


def short(node, **options):
    return alone(Short, node, "draft", retry=Retry(attempts=2, jitter=0), **options)


def by_code(agent):
    async def write(task):
        return await agent.run(task=task)

    return write


def fails_twice():
    """Return a check that cannot be made once, and a node that fails once after it."""
    failures = ["check", "node"]

    def check(answer):
        if failures and failures[0] == "check":
            raise OSError(failures.pop(0))

    agent = asks(check=check)

    async def write(task):
        text = await agent.run(task=task)
        if failures:
            raise ValueError(failures.pop(0))
        return text

    return one(write, retry=Retry(attempts=3, jitter=0))


def asks_another(fails):
    """Return a node that asks another agent if an answer is refused or cut, and then fails or waits."""
    agent, other = Agent("writer", prompt="{task}", check=refuses, output_retries=0), Agent("other", prompt="{task}")
    failures = [OSError("busy")]

    async def write(ctx, task):
        try:
            text = await agent.run(task=task)
        except (BadAnswer, AnswerCut):
            text = await other.run(task=task)
        if not fails:
            return text + await ctx.ask("More?", str)
        if failures:
            raise failures.pop()
        return text

    return one(write, retry=Retry(attempts=2, jitter=0))


async def own_error(task):
    try:
        return str(await Agent("writer", prompt="{task}", output=int, output_retries=0).run(task=task))
    except BadAnswer:
        raise RuntimeError("no answer")  # without `from`, as people write it


WRONG = [paid("", ADD), paid("", ADD), paid("wrong one"), paid("wrong one"), paid("three")]
