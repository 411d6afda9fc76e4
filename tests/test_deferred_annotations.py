"""Names that only type checkers import, in the annotations of whatever a program hands us.

With `from __future__ import annotations` they are texts. Since Python 3.14 no such import is needed (PEP 649): whoever
looks at an annotation evaluates it, `inspect.signature` too, and that is a NameError.
"""

import inspect
import sys
import typing
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

import pytest

PROGRAM: Final = '''
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypedDict

from pydantic import BaseModel

from graphengine import END, START, Agent, Context, Graph, Once, ScriptedModel, SyncRunner, tool, value
from graphengine.models import calls

if TYPE_CHECKING:
    from decimal import Decimal


class Plain(BaseModel):
    x: int = 0


def ran(node: object, state: type = Plain, **edge: object) -> object:
    graph = Graph("deferred", state)
    graph.add_node("n", node, writes="x")
    graph.add_edge(START, "n")
    graph.add_edge("n", END, label="yes", **edge)
    if edge:
        graph.add_edge("n", END, label="no")
    assert graph.check() == []
    result = graph.run_sync(state())
    assert result.label == "yes"
    return result.state.x


def argument():
    def node(x: Decimal) -> int:
        return x + 1
    assert ran(node) == 1


def result():
    def node(x: int) -> Decimal:
        return x + 1
    assert ran(node) == 1


def hints_beside():
    """What can be evaluated stays known."""
    def node(x: int, y: Decimal = 0) -> str:
        return "one"
    class State(BaseModel):
        x: int = 0
        y: int = 0
    graph = Graph("beside", State)
    graph.add_node("n", node, writes="x")
    graph.add_path(START, "n", END)
    assert [each.code for each in graph.check()] == ["type_disagrees"]


def attribute_of_a_module():
    def node(x: functools.Nothing) -> int:
        return x + 1
    assert ran(node) == 1


def partial():
    def node(y: Decimal, x: Decimal) -> Decimal:
        return x + y
    assert ran(functools.partial(node, 2)) == 2


def wrapped():
    def node(x: Decimal) -> Decimal:
        return x + 1
    @functools.wraps(node)
    def around(*args, **kwargs):
        return node(*args, **kwargs)
    assert ran(around) == 1


class Methods:
    def method(self, x: Decimal) -> Decimal:
        return x + 1

    def __call__(self, x: Decimal) -> Decimal:
        return x + 2


def method():
    assert ran(Methods().method) == 1


def callable_object():
    assert ran(Methods()) == 2


def called():
    def work(x: Decimal) -> Decimal:
        return x + 1
    async def node(x: int, ctx: Context) -> int:
        first, second = await ctx.call(work, x), await ctx.call(Methods(), x)
        return first + second + await ctx.call(work, x=x, effect="once")
    assert ran(node) == 4


def reconciled():
    def find(x: Decimal) -> Decimal:
        return x
    def work(x: Decimal) -> Decimal:
        return x + 1
    async def node(x: int, ctx: Context) -> int:
        return await ctx.call(work, x, effect=Once(reconcile=find))
    assert ran(node) == 1


def replaced():
    def work(x: Decimal) -> Decimal:
        return x + 1
    def instead(x: Decimal) -> Decimal:
        return x + 5
    async def node(x: int, ctx: Context) -> int:
        return await ctx.call(work, x, effect="once")
    graph = Graph("replaced", Plain)
    graph.add_node("n", node, writes="x")
    graph.add_path(START, "n", END)
    with SyncRunner(effects={"work": instead}) as runner:
        assert runner.start(graph, Plain()).result().state.x == 5


def condition():
    def holds(x: Decimal) -> Decimal:
        return True
    assert ran(lambda: 1, when=holds) == 1


def keep_new(old: Decimal, new: Decimal) -> Decimal:
    return new


def reducer():
    class State(BaseModel):
        x: Annotated[int, keep_new] = 0
    assert ran(lambda: 1, State) == 1


def resource():
    @asynccontextmanager
    async def opened() -> AsyncIterator[Decimal]:
        yield 3
    def node(number: Decimal) -> int:
        return number
    graph = Graph("resources", Plain, resources={"number": opened})
    graph.add_node("n", node, writes="x")
    graph.add_path(START, "n", END)
    assert graph.check() == []
    assert graph.run_sync(Plain()).state.x == 3


def prompt():
    def text(x: Decimal) -> Decimal:
        return f"Count from {x}."
    assert ran(Agent("counter", prompt=text, output=int, model=ScriptedModel(["1"]))) == 1


def tool_that_a_model_fills():
    def pay(amount: Decimal) -> Decimal:
        """Pay.

        Args:
            amount: How much.
        """
    graph = Graph("paying", Plain)
    graph.add_node("n", Agent("payer", prompt="Pay.", tools=[tool(pay, effect="read")], output=int), writes="x")
    graph.add_path(START, "n", END)
    (problem,) = graph.check()
    assert "'amount' has the annotation 'Decimal', which cannot be evaluated: name 'Decimal' is not" in problem.message


def tool_that_the_run_fills():
    def pay(amount: Decimal, to: str) -> Decimal:
        """Pay.

        Args:
            to: Whom.
        """
        return "paid"
    class State(BaseModel):
        x: int = 0
        amount: int = 2
    script = ScriptedModel([calls(("pay", {"to": "Ada"})), "3"])
    paying = tool(pay, inputs=["amount"], effect="read")
    assert ran(Agent("payer", prompt="Pay.", tools=[paying], output=int, model=script), State) == 3


def external():
    from graphengine.agents import external_tool
    def seat(flight: str) -> Decimal:
        """Show the seats.

        Args:
            flight: Its number.
        """
    assert external_tool(seat).spec().schema["required"] == ["flight"]


@dataclass
class Part:
    score: int
    price: Decimal


def part_of_a_result():
    def node() -> Part:
        return Part(3, 1)
    graph = Graph("parts", Plain)
    graph.add_node("n", node, writes={"x": "score"})
    graph.add_path(START, "n", END)
    assert graph.run_sync(Plain()).state.x == 3


class Keys(TypedDict):
    score: int
    price: Decimal


class Fields(BaseModel):
    score: int = 0
    price: Decimal = 0


def refused(state: type) -> None:
    graph = Graph("refused", state)
    graph.add_node("n", lambda: 1, writes="score")
    graph.add_path(START, "n", END)
    (problem,) = graph.check()
    assert "Decimal" in problem.message, problem


def dataclass_as_state():
    refused(Part)


def typed_dict_as_state():
    refused(Keys)


def model_as_state():
    refused(Fields)
'''


def program(*, is_deferred: bool) -> dict[str, Callable[[], None]]:
    """Return the functions of the program, by name; deferred, its annotations are evaluated by whoever looks."""
    begin = "" if is_deferred and sys.version_info >= (3, 14) else "from __future__ import annotations\n"
    module = sys.modules["deferred"] = ModuleType("deferred")
    exec(compile(begin + PROGRAM, "deferred.py", "exec", dont_inherit=True), vars(module))  # noqa: S102 - our own
    return vars(module)


NAMES: Final = [
    name
    for name, made in program(is_deferred=False).items()
    if inspect.isfunction(made) and made.__module__ == "deferred" and not inspect.signature(made).parameters
]


@pytest.fixture(params=["future", "deferred"])
def functions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], None]]:
    """The program's functions; before Python 3.14 an imitation of its `inspect.signature` comes with them."""
    is_deferred = request.param == "deferred"
    if is_deferred and sys.version_info < (3, 14):
        real = inspect.signature

        def signature(function: Any) -> inspect.Signature:
            plain = inspect.unwrap(getattr(function, "func", function))
            typing.get_type_hints(plain if inspect.isroutine(plain) else type(plain).__call__)
            return real(function)

        monkeypatch.setattr(inspect, "signature", signature)
    return program(is_deferred=is_deferred)


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_evaluated_is_unknown(functions: dict[str, Callable[[], None]], name: str) -> None:
    """A name that only type checkers import makes one type unknown; where that one is needed, a problem names it."""
    functions[name]()
