from graphengine.patterns import Assignment, Company, Route, hierarchical, supervisor
from tests.patterns.scripted import named

DIRECTOR = named("director", "{task} {teams}", list[Assignment])
HEAD = named("head", "{reports}")
LAW = {"law": named("law")}
TRIED = []


class Firm(Company):
    client: str = "nobody"


def to(team, task="work"):
    return Assignment(team=team, task=task)


def broken():
    TRIED.append(1)
    raise OSError(f"on strike, {len(TRIED)}")


SUB = hierarchical(
    DIRECTOR.but(name="sub", prompt="{task} {assignments}"), {"one": named("one", "{client} {task}")}, HEAD, state=Firm
)
LED = supervisor(named("boss", "{reports}", Route), {"two": named("two")}, named("end", "{reports}"))
