from pydantic import BaseModel

from graphengine import END, START, Graph, choose
from tests.kit.scenario import work


class Job(BaseModel):
    kind: str
    n: int


class State(BaseModel):
    jobs: list[Job] = [Job(kind="double", n=2), Job(kind="negate", n=3), Job(kind="odd", n=4)]
    out: list[int] = []


def double(n: int) -> int:
    return 2 * n


class One(BaseModel):
    n: int = 0
    m: int = 0


negate = Graph("negate", One, result="m")
negate.add_node("turn", work, writes="m")
negate.add_path(START, "turn", END)

graph = Graph("choose", State)
graph.add_node(
    "go",
    choose("job.kind", {"double": double, "negate": negate}),
    each={"job": "jobs"},
    inputs={"n": "job.n"},
    writes="out",
    fallback=0,
)
graph.add_path(START, "go", END)
