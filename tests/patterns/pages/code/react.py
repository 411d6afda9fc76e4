from graphengine.patterns import Reasoning, Thought, react
from tests.patterns.scripted import named

THINK = named("think", "{task} {trail} {tools}", Thought)
DONE = Thought(answer="42")


class Maths(Reasoning):
    rules: str = ""


def use(tool, task="a task", thought=""):
    return Thought(thought=thought, tool=tool, task=task)


def shout(task):
    return task.upper()


async def measure(task):
    return len(task)


def once(trail):
    return DONE if trail else use("whisper")


INNER = react(named("inner", "{task} {trail}", Thought), {"shout": shout})
