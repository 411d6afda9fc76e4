"""Arguments that do not fit: each public class, function and method refuses them with what to write instead."""

import asyncio
import contextlib
import inspect
import pickle
import re
import subprocess
import sys
from collections import UserDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from pydantic import BaseModel, field_validator

from graphengine import (
    END,
    START,
    Agent,
    Budgets,
    Graph,
    Limits,
    Once,
    Retention,
    Retry,
    Runner,
    TextFile,
    Worker,
    ask,
    changed,
    iterations,
    plateau,
    value,
)
from graphengine.errors import DefinitionError, GraphEngineError
from graphengine.testing import preflight
from scripts import site_pages

ELSEWHERE = ("reducers.", "kernel.", "errors.", "wings.", "cli.", "serve.Opening", "serve.PublicRoute")
"""The engine calls reducers, the package makes errors, and the rest is for authors of stores and wings."""
CALLED_BACK = tuple(
    f"graphengine.{name}" for name in ("databases", "executors", "models", "serve", "stores", "telemetry")
)
"""Where classes are whose methods the engine calls: models, stores and extensions."""


def is_checked(path: str, given: Any) -> bool:
    """Whether a program calls this, and it takes arguments: no event, document, protocol or constant."""
    if path.startswith(ELSEWHERE) or getattr(given, "__module__", "").endswith(("run_events", "live_events")):
        return False
    if not isinstance(given, type):
        return inspect.isroutine(given)
    made: Any = given
    takes_none = made.__init__ in (object.__init__, list.__init__)
    is_ours = not issubclass(given, msgspec.Struct | BaseException)
    return is_ours and not takes_none and not getattr(given, "_is_protocol", False)


PUBLIC = {path.removeprefix("graphengine."): given for path, given in site_pages.public().items()}
CALLED = {path: given for path, given in PUBLIC.items() if is_checked(path, given)}


def methods() -> Iterator[tuple[str, Callable[..., object]]]:
    """Yield each public method, and its path, of the classes that are no data, model or store."""
    for path, given in CALLED.items():
        if not isinstance(given, type) or given.__module__.startswith(CALLED_BACK):
            continue
        for name, member in inspect.getmembers(given, inspect.isfunction):
            home = getattr(member, "__module__", None) or ""
            if not name.startswith("_") and home.startswith("graphengine"):
                yield f"{path}.{name}", member


METHODS = dict(methods())


def called(function: Callable[..., Any], *args: object, **kwargs: object) -> BaseException | None:
    """Call it, and await what it returns; return what that raises."""

    async def awaited() -> None:
        result = function(*args, **kwargs)
        if inspect.isawaitable(result):
            await result
        elif inspect.isasyncgen(result):
            async for _ in result:
                break

    try:
        with contextlib.redirect_stdout(None):
            asyncio.run(awaited())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is looked at
        return error
    return None


def required(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return the parameters that a call needs."""
    parameters = inspect.signature(function).parameters.values()
    many = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return [one for one in parameters if one.default is one.empty and one.kind not in many]


def with_nothing_of_value(function: Callable[..., Any], wrong: object) -> BaseException | None:
    """Call it with a wrong object for each argument that it needs."""
    by_name = {one.name: wrong for one in required(function) if one.kind is one.KEYWORD_ONLY}
    return called(function, *[wrong for one in required(function) if one.name not in by_name], **by_name)


def is_bare(error: BaseException | None) -> bool:
    """Return whether an error is one of Python's own, without a place and a repair."""
    return isinstance(error, TypeError | AttributeError) and not isinstance(error, GraphEngineError)


@pytest.mark.parametrize("path", CALLED | METHODS)
def test_what_does_not_fit_is_no_internal_error(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt, a missing and a surplus argument, and one of another type."""
    monkeypatch.chdir(tmp_path)
    function = (CALLED | METHODS)[path]
    kinds = {one.kind for one in inspect.signature(function).parameters.values()}
    found = {"missing": called(function)}
    if inspect.Parameter.VAR_KEYWORD not in kinds:
        found["misspelt"] = called(function, *[None for _ in range(path in METHODS)], misspelt_name=1)
    if inspect.Parameter.VAR_POSITIONAL not in kinds:
        found["surplus"] = called(function, *[None for _ in range(60)])
    if path in CALLED:
        found |= {repr(wrong): with_nothing_of_value(function, wrong) for wrong in (object(), 7, "text", None)}
    assert {kind: error for kind, error in found.items() if is_bare(error)} == {}


HANDED_OUT = """
import asyncio
from graphengine import END, START, Graph, GraphEngineError, Runner
from pydantic import BaseModel

async def main():
    graph = Graph("g", type("State", (BaseModel,), {}))
    graph.add_node("n", lambda ctx: ctx.emit(1, recorded=True))
    graph.add_path(START, "n", END)
    async with Runner() as runner:
        run = runner.start(graph)
        for call in (run.result, lambda: run.result(timeout=1), lambda: runner.admin.prune(days=7)):
            try:
                await call()
            except GraphEngineError as error:
                print(error.message)

asyncio.run(main())
"""


def test_what_a_runner_hands_out_is_checked() -> None:
    """Its runs, its admin and the context of a node, whose classes a program does not import."""
    ran = subprocess.run([sys.executable, "-c", HANDED_OUT], capture_output=True, text=True, check=True)
    assert re.findall(r"\w+ has no option '\w+'", ran.stdout) == [
        "emit has no option 'recorded'",
        "result has no option 'timeout'",
        "prune has no option 'days'",
    ]


class State(BaseModel):
    """A state."""

    text: str = ""


GRAPH: Any = Graph("g", State)
SAID: dict[str, tuple[Callable[[], Any], str]] = {
    "near": (lambda: one(Once)(reconcil=print), "repair: did you mean 'reconcile'?"),
    "a part": (lambda: one(Limits)(cost=1), "repair: limits = Limits(cost_usd=1.0)"),
    "not near": (
        lambda: one(Retention)(days=7),
        "use one of: keep_days, keep_failed_days, keep_last, keep_steps",
    ),
    "not so near": (
        lambda: one(Retry)(delay_secs=1),
        "use one of: afresh, attempts, initial_seconds, jitter, max_seconds",
    ),
    "another call's": (lambda: one(value)("text", default=""), "use one of: source"),
    "another library's": (lambda: one(Retry)(delay_seconds=1), "repair: retry = Retry(attempts=3, initial_seconds=1)"),
    "of an argument": (lambda: one(Graph)("g", State, keep_days=1), "repair: retention=Retention(keep_days=…)"),
    "of settings": (lambda: one(Agent)("a", temperature=1), "settings=Settings(temperature=…)"),
    "no list": (lambda: one(Runner)(extensions=Budgets()), "repair: write a list: extensions=[…]"),
    "turned round": (lambda: one(Worker)(GRAPH, Runner()), "repair: give a value of type CoreRunner"),
    "awaited": (lambda: asyncio.run(one(preflight)(GRAPH, "x.db")), "repair: write a list: graphs=[…]"),
    "a method": (lambda: GRAPH.require("n", after="m", at_moost=1), "repair: did you mean 'at_most'?"),
}


def one(given: Any) -> Any:
    """Return a public name as one that type checkers know nothing of, so that the mistakes above are accepted."""
    return given


@pytest.mark.parametrize("kind", SAID)
def test_what_does_not_fit_says_what_to_write(kind: str) -> None:
    """The nearest name only if it is near; else where the option is, or all names."""
    call, repair = SAID[kind]
    with pytest.raises(DefinitionError, match=re.escape(repair)):
        call()


def made(what: str, option: str, wrong: object) -> Any:
    """Return a graph that is given a wrong option: of its own, of a node, of an agent or of a question."""
    given: dict[str, Any] = {option: wrong}
    graph = one(Graph)(**{"name": "g", "state": State} | (given if what == "graph" else {}))
    runnable: Any = (lambda text: text) if what in ("graph", "node") else ask("text?", str)
    if what == "agent":
        runnable = one(Agent)(**{"name": "m", "prompt": "{text}", "model": "placeholder"} | given)
    if what == "question":
        runnable = one(ask)(**{"question": "text?"} | given)
    graph.add_node("n", runnable, **{"writes": "text"} | (given if what == "node" else {}))
    graph.add_edge(START, "n")
    graph.add_edge("n", END)
    return graph


WRONG: Any = (
    3,
    True,
    ["a"],
    {"a": 1},
    value("text"),
    value("text") > "",
    Retry(attempts=2),
    State,
    len,
    "text",
    object(),
)
OPTIONS = {
    f"{what}, {name}": (what, name)
    for what, taken in (("graph", Graph), ("node", Graph.add_node), ("agent", Agent), ("question", ask))
    for name in list(inspect.signature(one(taken)).parameters)[what == "node" :]
    if (what, name) not in {("node", "name"), ("node", "runnable")}
}


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_of_another_type_is_refused_before_a_run(option: str) -> None:
    """What takes an option may only keep it: then compile refuses it, and no error of Python comes out."""
    what, name = OPTIONS[option]
    found = {repr(wrong): called(lambda wrong=wrong: made(what, name, wrong).check()) for wrong in WRONG}
    assert {wrong: each for wrong, each in found.items() if not isinstance(each, GraphEngineError | None)} == {}


@pytest.mark.parametrize("make", [Limits, Retry, one(Agent)])
def test_a_text_is_not_true(make: Any) -> None:
    """Any text is true in Python, also "false"."""
    name = {Limits: "unknown_cost", Retry: "afresh"}.get(make, "batch")
    with pytest.raises(DefinitionError, match=f"{name}='false'"):
        make(**{name: "false"} | ({"name": "m"} if make is Agent else {}))


def test_a_node_of_a_condition_is_named_as_in_an_edge() -> None:
    """By its function too."""
    assert str(iterations(called) >= 3) == "iterations of called >= 3"
    assert str(changed("text", since=called)) == "text changed since called"
    with pytest.raises(DefinitionError, match="must be a node, not 3"):
        one(plateau)("text", since=3)


def test_what_fails_for_another_reason_keeps_its_error() -> None:
    """An error of a user's own code passes, whatever it is."""

    def question() -> str:
        raise TypeError("mine")

    graph = Graph("g", State)
    graph.add_node("n", question, writes="text")
    graph.add_path(START, "n", END)
    with pytest.raises(GraphEngineError, match="mine"):
        graph.run_sync()


def test_another_error_than_the_checks_is_kept() -> None:
    """An argument that could be better never hides the traceback of a mistake in a user's own code."""

    class Broken(BaseModel):
        count: int = 0

        @field_validator("count")
        @classmethod
        def longer(cls, value: int) -> int:
            return value + "s"  # type: ignore[operator]

    graph = Graph("broken", Broken)
    graph.add_node("a", lambda: None)
    graph.add_path(START, "a", END)
    with pytest.raises(TypeError, match="unsupported operand"):
        graph.run_sync({"count": 7}, resources=UserDict())
    with pytest.raises(DefinitionError) as raised:
        graph.run_sync({"count": 7}, resources=5)  # type: ignore[arg-type]
    assert isinstance(raised.value.__cause__, TypeError)


def test_a_mixin_of_a_users_model_is_made_too() -> None:
    """The check stands in the place of the `__init__` that a class inherits, and calls the next one."""

    class Stamped(BaseModel):
        made: ClassVar[int] = 0

        def __init__(self, **values: Any) -> None:
            super().__init__(**values)
            Stamped.made += 1

    class File(TextFile, Stamped):
        pass

    File(path="a", text="b")
    assert Stamped.made == 1


def test_a_checked_function_is_the_same_everywhere() -> None:
    """It is one object in its module and in each module that offers it, so that it can be pickled."""
    import graphengine.testing.walks as home  # noqa: PLC0415
    from graphengine.testing import walk  # noqa: PLC0415

    assert home.walk is walk
    assert pickle.loads(pickle.dumps(walk)) is walk  # noqa: S301 - made here


@pytest.mark.parametrize("grace", [-1.0, float("nan"), float("inf"), "5"])
def test_a_grace_period_is_a_number_of_seconds(grace: Any) -> None:
    """A grace period that is not a number of seconds is refused."""
    with pytest.raises(DefinitionError, match="grace_seconds"):
        Runner(grace_seconds=grace)
