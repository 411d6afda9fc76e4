from graphengine.patterns import Critique, CrossReflection
from tests.patterns.scripted import named

WRITE = named("write", "{task} {draft} {critiques}")
AGAIN, GOOD = Critique(verdict="revise", flaws=["dull"]), Critique(verdict="accept")
ONCE = iter([AGAIN])


class Toned(CrossReflection):
    tone: str = "plain"


def critics(*names):
    return {name: named(name, "{draft}", Critique) for name in names}


def broken(draft):
    raise OSError("no network")
