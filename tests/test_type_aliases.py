"""`type Reviews = list[Review]` (PEP 695): an alias stands for its value, wherever an annotation can stand.

Such aliases are of the class typing.TypeAliasType. That of typing_extensions is the same one on some releases of both,
and another one on others; pydantic knows both.
"""

import subprocess
import sys
from typing import Final

import pytest

TWO_CLASSES: Final = """
import importlib.util
import typing
import typing_extensions

if not hasattr(typing, "TypeAliasType"):
    spec = importlib.util.spec_from_file_location("another", typing_extensions.__file__)
    another = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(another)
    typing.TypeAliasType = another.TypeAliasType

    class Made(type):  # now typing_extensions takes this for Python 3.12, and gives these one argument more
        __instancecheck__ = lambda self, value: isinstance(value, self.known)
        __call__ = lambda self, *args, infer_variance=False, **kwargs: self.known(*args, **kwargs)

    for name in ("TypeVar", "ParamSpec"):
        setattr(typing, name, Made(name, (), {"known": getattr(typing, name)}))
"""
"""As with typing_extensions 4.13 or newer on Python 3.12 and 3.13, and 4.16 on 3.14."""

PROGRAM: Final = '''
import sys
import typing
from types import FunctionType
from typing import Annotated, Any, Literal, NotRequired, Optional, TypedDict, TypeVar, Union

import typing_extensions
from pydantic import BaseModel, Field, SecretStr

from graphengine import END, START, Agent, Context, Failure, Graph, ScriptedModel, Secret, ask, plateau, value
from graphengine.models import calls
from graphengine.reducers import append, merge
from graphengine.state.hints import unaliased
from graphengine.state.path import members

A, T = TypeVar("A"), TypeVar("T")
KIND = getattr(typing, "TypeAliasType", typing_extensions.TypeAliasType)


def alias(head, value):
    """Make a global alias, as the statement `type head = value` does, whose value is evaluated later."""
    if sys.version_info >= (3, 12):
        exec(f"type {head} = {value}", globals())
        return
    name, _, names = head.rstrip("]").partition("[")
    made = KIND(name, None, type_params=tuple(globals()[each] for each in names.split(", ") if each))
    globals()[name] = made
    object.__setattr__(made, "__value__", eval(value))


class Review(BaseModel):
    score: int = Field(0, le=10)


alias("Items", "list[int]")
alias("Verdict", 'Literal["yes", "no"]')
alias("One", "Review")
alias("Reviews", "list[One]")
alias("Table", "dict[str, int]")
alias("Bad", "dict[tuple[int, int], str]")
alias("Log", "Annotated[list[str], append]")
alias("Positive", "Annotated[int, Field(gt=0)]")
alias("Token", "Annotated[str, Secret]")
alias("Key", "SecretStr")
alias("Maybe[T]", "Optional[T]")
alias("Swapped[A, T]", "dict[T, A]")
alias("Failures", "list[Failure]")
alias("Json", "Union[dict[str, Json], list[Json], str, None]")
alias("Tree", "Union[dict[str, Tree], SecretStr]")
alias("Itself", "Union[Itself, int]")


def codes(state, **options):
    graph = Graph("checked", state, **options)
    graph.add_node("n", lambda: None)
    graph.add_path(START, "n", END)
    return [problem.code for problem in graph.check()]


def each():
    class S(BaseModel):
        items: Items = [1, 2]
        out: Items = []
    g = Graph("each", S)
    g.add_node("n", lambda item: item * 2, each={"item": "items"}, writes="out")
    g.add_path(START, "n", END)
    assert g.run_sync(S()).state.out == [2, 4]


def reducers():
    class S(BaseModel):
        reviews: Annotated[Reviews, append] = []
        table: Annotated[Table, merge] = {}
        log: Log = []
    g = Graph("reducers", S)
    g.add_node("n", lambda: {"reviews": Review(score=1), "table": {"a": 1}, "log": "one"})
    g.add_node("m", lambda: {"table": {"b": 2}, "log": "two"})
    g.add_path(START, "n", "m", END)
    state = g.run_sync(S()).state
    assert state == S(reviews=[Review(score=1)], table={"a": 1, "b": 2}, log=["one", "two"]), state


def paths():
    class S(BaseModel):
        reviews: Reviews = []
        one: One = Review(score=3)
        table: Table = {}
    g = Graph("paths", S)
    g.add_node("n", lambda x: {"reviews": [Review(score=x)]}, inputs={"x": "one.score"})
    g.add_node("m", lambda: 3, writes="table[a]")
    g.add_path(START, "n", "m")
    g.add_edge("m", END, when=(value("reviews[-1].score") >= 3) & (value("table[a]") > 2), label="good")
    g.add_edge("m", END)
    assert g.run_sync(S()).label == "good"


def sampled():
    class S(BaseModel):
        reviews: Reviews = []
    g = Graph("sampled", S)
    g.add_node("n", lambda reviews: [*reviews, Review(score=1)], writes="reviews")
    g.add_edge(START, "n")
    g.add_edge("n", END, when=plateau("reviews[-1].score"), label="plateau")
    g.add_edge("n", "n")
    assert g.run_sync(S()).label == "plateau"


def cases():
    class S(BaseModel):
        verdict: Verdict = "no"
    g = Graph("cases", S)
    g.add_node("n", lambda: {"verdict": "no"})
    g.add_edge(START, "n")
    g.add_switch("n", "verdict", {"yes": END})
    assert "missing_case" in [problem.code for problem in g.check()], g.check()


def keys():
    class S(BaseModel):
        bad: Bad = {}
    assert codes(S) == ["not_recordable"]


def constraints():
    class S(BaseModel):
        n: Positive = 1
        m: Optional[Positive] = None
    for name in ("n", "m"):
        g = Graph("constraints", S)
        g.add_node("a", lambda: -1, writes=name)
        g.add_path(START, "a", END)
        try:
            state = g.run_sync(S()).state
        except Exception as error:
            assert "greater than 0" in str(error), error
        else:
            raise AssertionError(state)


def secrets():
    class S(BaseModel):
        token: Token = "a"
        tokens: list[Key] = []
    assert codes(S) == ["secret_field", "secret_field"], codes(S)
    assert codes(S, secret_key="0123456789 abcdefghij 0123456789") == []
    class R(BaseModel):
        tree: Tree = {}
    assert codes(R, secret_key="0123456789 abcdefghij 0123456789") == ["secret_field"]


def keys_that_may_be_missing():
    class S(TypedDict):
        items: NotRequired[Annotated[Items, append]]
    g = Graph("keys", S)
    g.add_node("n", lambda: {"items": 1})
    g.add_path(START, "n", END)
    assert g.run_sync({}).state == {"items": [1]}


def parameters():
    class S(BaseModel):
        n: Maybe[int] = None
        verdict: Verdict = "no"
    def node(n: Maybe[int], verdict: Verdict) -> Maybe[int]:
        return 1 if n is None else 2
    g = Graph("parameters", S)
    g.add_node("a", node, writes="n")
    g.add_path(START, "a", END)
    assert g.check() == []
    assert g.run_sync(S()).state.n == 1
    g = Graph("disagrees", S)
    g.add_node("a", node, writes="verdict")
    g.add_path(START, "a", END)
    assert [problem.code for problem in g.check()] == ["type_disagrees"]


def recorded_calls():
    class S(BaseModel):
        n: int = 0
    def work(n: int) -> Reviews:
        return [Review(score=n)]
    async def node(n: int, ctx: Context) -> int:
        return (await ctx.call(work, 4))[0].score
    g = Graph("calls", S)
    g.add_node("a", node, writes="n")
    g.add_path(START, "a", END)
    assert g.run_sync(S()).state.n == 4


def errors():
    class S(BaseModel):
        failures: Annotated[Failures, append] = []
    def node():
        raise ValueError("no")
    g = Graph("errors", S, collect_errors="failures")
    g.add_node("a", node)
    g.add_path(START, "a", END)
    assert [problem.code for problem in g.check()] == []


def answer():
    class S(BaseModel):
        verdict: Verdict = "no"
    g = Graph("answer", S)
    g.add_node("a", Agent("a", prompt="x", output=Verdict), writes="verdict")
    g.add_path(START, "a", END)
    assert g.run_sync(S(), models=ScriptedModel(["yes"])).state.verdict == "yes"
    assert ask("Good?", Verdict).answers.schema == ask("Good?", Literal["yes", "no"]).answers.schema


def tool():
    def rate(verdict: Verdict, scores: Items) -> str:
        """Rate.

        Args:
            verdict: Good or not.
            scores: The scores.
        """
        return f"{verdict} {scores}"
    class S(BaseModel):
        text: str = ""
    script = ScriptedModel([calls(("rate", {"verdict": "yes", "scores": [1]})), "done"])
    g = Graph("tool", S)
    g.add_node("a", Agent("a", prompt="x", tools=[rate], model=script), writes="text")
    g.add_path(START, "a", END)
    assert g.run_sync(S()).state.text == "done"


def recursive():
    class S(BaseModel):
        tree: Json = None
        data: dict[str, Json] = {}
    def node(tree: Json) -> Json:
        return {"a": [tree, "b"]}
    g = Graph("recursive", S)
    g.add_node("n", node, writes="tree")
    g.add_node("m", lambda tree: {"data": {"x": tree}})
    g.add_edge(START, "n")
    g.add_edge("n", "m", when=value("tree[a]").is_none())
    g.add_edge("n", "m")
    g.add_edge("m", END)
    assert g.check() == []
    assert g.run_sync(S()).state == S(tree={"a": [None, "b"]}, data={"x": {"a": [None, "b"]}})
    Agent("a", prompt="x", output=Json)
    assert int in members(Itself)


def generic():
    assert unaliased(Swapped[int, str]) == dict[str, int]
    assert unaliased(Maybe[Maybe[int]]) == Optional[int]
    assert unaliased(list[Swapped[Maybe[int], str]]) == list[dict[str, Optional[int]]]
    assert members(Annotated[Maybe[Items], 1]) == (list[int], type(None))
    assert unaliased(Literal["Items"]) == Literal["Items"]


for name, work in list(globals().items()):
    if isinstance(work, FunctionType) and work.__module__ == "__main__" and name not in ("alias", "codes"):
        try:
            work()
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {error}")
print("all tried")
'''


@pytest.mark.parametrize("classes", [pytest.param("", id="as installed"), pytest.param(TWO_CLASSES, id="two classes")])
def test_an_alias_stands_for_its_value(classes: str) -> None:
    """Fields, parameters, results, answers and calls of tools with an alias are those with its value."""
    ran = subprocess.run([sys.executable, "-c", classes + PROGRAM], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("all tried\n", "")
