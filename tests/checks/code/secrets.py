from typing import Annotated

from pydantic import BaseModel, SecretBytes, SecretStr

from graphengine import END, START, Graph, Message, Secret
from graphengine.reducers import append

KEY = "0-0123456789-abcdefghijklmnopqrstuvwxyz"


class State(BaseModel):
    token: SecretStr = SecretStr("t0p")
    word: Annotated[str, Secret] = "w0rd"
    keys: list[SecretStr] = []
    plain: str = ""
    words: list[str] = []
    found: dict[str, str] = {}
    said: Annotated[dict[str, list[Message]], Secret] = {}


class Inner(BaseModel):
    token: SecretStr


class Nested(BaseModel):
    inner: list[Inner] = []


class Joined(BaseModel):
    keys: Annotated[list[SecretStr], append] = []


class Perhaps(BaseModel):
    token: SecretStr | None = None


class Bytes(BaseModel):
    by_name: dict[str, list[SecretBytes]] = {}


class Open(BaseModel):
    plain: str


def length(word: str) -> int:
    return len(word)


def one(token: SecretStr) -> str:
    return "x"


def of(state=State, key=KEY, **options):
    """Return a graph of one node, to extend."""
    graph = Graph("g", state, secret_key=key, **options)
    graph.add_node("a", dict, writes=(), thread=False)
    graph.add_edge(START, "a")
    return graph


def ended(*given, **options):
    graph = of(*given, **options)
    graph.add_edge("a", END)
    return graph


def when(condition):
    graph = of()
    graph.add_edge("a", END, when=condition)
    graph.add_edge("a", END)
    return graph


def node(runnable, **options):
    graph = of()
    graph.add_node("b", runnable, **options)
    graph.add_path("a", "b", END)
    return graph


def shows():
    inner = Graph("open", Open, result="plain")
    inner.add_node("n", dict, writes=(), thread=False)
    inner.add_path(START, "n", END)
    return inner
