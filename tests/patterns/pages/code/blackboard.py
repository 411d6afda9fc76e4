from typing import Annotated

from graphengine import END, START, Graph
from graphengine.patterns import Board, Subscriber
from graphengine.reducers import append
from tests.patterns.scripted import named


class Case(Board):
    task: str = ""
    clues: str = ""
    theory: str = ""
    report: str = ""
    count: int = 0
    notes: Annotated[list[str], append] = []


def watcher(name, watches, writes):
    return Subscriber(named(name, "{%s}" % watches), watches=[watches], writes=writes)


CHAIN = {
    "clerk": watcher("clerk", "theory", "report"),
    "scout": watcher("scout", "task", "clues"),
    "sage": watcher("sage", "clues", "theory"),
}
PING = {"ping": Subscriber(lambda count: count + 1, watches=["count"], writes="count")}
BOTH = {
    "first": Subscriber(named("first", "{task} {notes}"), watches=["task"], writes="notes"),
    "second": Subscriber(named("second", "{task} {notes}"), watches=["task", "clues"], writes="notes"),
}
COUNTER = Graph("counter", Case, result="theory")
COUNTER.add_node("count", lambda clues, entries: f"{clues}: {len(entries)}", writes="theory")
COUNTER.add_path(START, "count", END)
