from graphengine import END, START, Graph
from graphengine.patterns import Swarm, Turn, swarm
from tests.patterns.scripted import named


def crew(**options):
    return swarm({name: named(name, "{task} {trail} {others}", Turn) for name in ("desk", "law", "tax")}, **options)


def to(name, text="a text"):
    return Turn(text=text, to=name)


class Case(Swarm):
    client: str = ""


INNER = swarm({"old": named("old", "{task} {trail}", Turn), "new": named("new", "{task} {trail}", Turn)})
TEAM = Graph("team", Swarm, result="turn")
TEAM.add_node("work", INNER, writes={"turn": lambda result: Turn(text=result)})
TEAM.add_path(START, "work", END)
