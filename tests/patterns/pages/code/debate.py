from graphengine.patterns import Debate, Position
from tests.patterns.scripted import named

JUDGE = named("judge", "{transcript}")
HOLD = iter([Position(answer="no")])


class Toned(Debate):
    tone: str = "plain"


def debaters(*names, prompt="{task} {positions}"):
    return {name: named(name, prompt, Position) for name in names}


def holds(answer):
    return Position(answer=answer, argument=f"because {answer}")


def broken():
    raise OSError("no network")
