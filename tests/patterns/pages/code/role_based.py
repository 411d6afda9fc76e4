from pydantic import BaseModel

from graphengine.patterns import Room, role_based
from tests.patterns.scripted import away, named

READS = "{premise} {views}"
CONCLUDE = named("conclude", READS)
LONG = "on all the evidence that was heard in this long trial the jury finds the accused to be"


class Tone(Room):
    tone: str = "dry"


class Menu(BaseModel):
    courses: list[str]


class Dinner(Room):
    rounds: int = 1
    menu: Menu | None = None


def roles(*names, output=str):
    return {name: named(name, READS, output) for name in names}


def once(request):
    return "early view" if "early view" not in request.prompt else away(request)


INNER = role_based({"a": named("a", "{premise} {tone} {views}")}, named("b", "{tone}"), rounds=1, state=Tone)
SERVE = {"menu": ".", "output": lambda result: ", ".join(result.courses)}
