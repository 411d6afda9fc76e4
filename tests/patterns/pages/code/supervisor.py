from graphengine.patterns import Route, Supervised, supervisor
from tests.patterns.scripted import named

BOSS = named("boss", "{task} {workers} {reports}", Route)
FINISH = named("end", "{reports}")
FIND, DONE = Route(next="find", instruction="look for tides"), Route(next="finish")
FINDER = {"find": named("find")}
TRIED = []


class Toned(Supervised):
    tone: str = "plain"


def instructed(route, task):
    if not route.instruction:
        raise ValueError(f"say what to do for {task}")


def broken():
    TRIED.append(1)
    raise OSError(f"no network, {len(TRIED)}")


INNER = supervisor(BOSS.but(name="sub"), {"look": named("look", "{tone} {task}")}, FINISH, state=Toned)
