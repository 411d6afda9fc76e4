"""Tracebacks of graphengine's errors end at the line of the user that caused them."""

import asyncio
import inspect
import subprocess
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import graphengine
from graphengine import (
    END,
    FAIL,
    START,
    Agent,
    Graph,
    Limits,
    RateLimiter,
    Retry,
    Router,
    Runner,
    Sizes,
    SyncRunner,
    Window,
    ask,
    ended_with,
    failed,
    iterations,
    mcp,
    patterns,
    tool,
    usage,
    value,
)
from graphengine.agents import guard
from graphengine.calls.caller_line import ends_at_caller
from graphengine.errors import CompileError, DefinitionError, GraphEngineError
from graphengine.models import as_model, model_of
from graphengine.testing import FakeClock, run_node, walk


class State(BaseModel):
    n: int = 0
    text: str = ""


def broken() -> Graph[State]:
    """Return a graph with one problem."""
    graph = Graph("broken", State)
    graph.add_edge(START, "nowhere")
    return graph


def sound() -> Graph[State]:
    """Return a graph that can run."""
    graph = Graph("sound", State)
    graph.add_node("a", lambda n: n, writes="n")
    graph.add_path(START, "a", END)
    return graph


def started(graph: Graph[State], state: Any = None) -> None:
    """Start a run from a thread without a loop."""
    with SyncRunner() as runner:
        runner.start(graph, state)


def any_(given: object) -> Any:
    """Pass an argument of a wrong type."""
    return given


CALLS: dict[str, Callable[[], object]] = {
    "compile": lambda: broken().compile(),
    "run_sync": lambda: broken().run_sync(),
    "render": lambda: broken().render("graph.svg"),
    "to_dot": lambda: broken().to_dot(),
    "to_mermaid": lambda: broken().to_mermaid(),
    "to_networkx": lambda: broken().to_networkx(),
    "SyncRunner.start": lambda: started(broken()),
    "an invalid state": lambda: sound().run_sync({"m": 1}),
    "an invalid state of a SyncRunner": lambda: started(sound(), {"m": 1}),
    "a name of another library": lambda: any_(sound()).invoke({}),
    "a keyword of another library": lambda: any_(sound()).compile(checkpointer=1),
    "too many arguments": lambda: any_(sound()).add_edge("a", "b", "c", "d"),
    "add_edge": lambda: sound().add_edge(any_(["a"]), "b"),
    "when=": lambda: sound().add_edge("a", "b", when=any_(3)),
    "add_path": lambda: sound().add_path("a"),
    "Limits": lambda: Limits(steps=-1),
    "Retry": lambda: Retry(attempts=0),
    "Sizes": lambda: Sizes(update_bytes=-1),
    "ask": lambda: ask("?", any_(3)),
    "usage": lambda: usage(any_("x")),
    "failed": lambda: failed(any_(3)),
    "ended_with": ended_with,
    "and": lambda: iterations("a") > 3 and FAIL,
    "==": lambda: value("a") == value("b"),
    "|": lambda: any_(value("a")) | 1,
    "Agent": lambda: Agent("a", turns=-1),
    "Window": lambda: Window(-1),
    "tool": lambda: tool(any_(3)),
    "mcp": lambda: mcp([]),
    "guard": lambda: guard(str.strip, on=any_("x")),
    "Router": lambda: Router([]),
    "RateLimiter": lambda: RateLimiter(calls_at_once=0),
    "model_of": lambda: model_of("nobody:model"),
    "as_model": lambda: as_model(any_(3)),
    "Runner": lambda: Runner(sizes=any_(3)),
    "a Runner's model": lambda: Runner(models={"a": "nobody:model"}),
    "FakeClock": lambda: FakeClock().move(-1),
    "escalation": lambda: patterns.escalation(State, {}, answer="text", accept=value("n") > 1),
    "voting": lambda: patterns.voting({}, []),
}

AWAITS: dict[str, Callable[[Runner], Awaitable[object]]] = {
    "run": lambda _: broken().run(),
    "an invalid state": lambda _: sound().run({"m": 1}),
    "start": lambda runner: runner.start(broken()).result(),
    "resume": lambda runner: runner.resume(broken(), "r").result(),
    "branch": lambda runner: runner.branch(broken(), "r", 1).result(),
    "start_or_send": lambda runner: runner.start_or_send(broken(), "r", "m", 1),
    "info": lambda runner: runner.info("r"),
    "history": lambda runner: runner.history("r"),
    "run_node": lambda _: run_node(sound(), "nowhere"),
    "walk": lambda _: walk(broken(), {}),
}


def foreign(error: BaseException) -> list[str]:
    """Return the files of the frames that a traceback shows besides this one, and the words of a second error."""
    lines = traceback.format_exception(error)
    shown = [line for line in lines if "During handling" in line]
    while True:
        frames = traceback.extract_tb(error.__traceback__)
        shown += [f"{frame.filename}:{frame.lineno}" for frame in frames if frame.filename != __file__]
        cause = error.__cause__
        if cause is None:
            return shown
        error = cause


@pytest.mark.parametrize("entry", CALLS)
def test_a_traceback_ends_at_the_line_of_the_call(entry: str) -> None:
    """No frame of graphengine or of a library that it uses, and no other exception that it handled."""
    with pytest.raises((GraphEngineError, TypeError)) as caught:
        CALLS[entry]()
    assert caught.value.__traceback__ is not None
    assert foreign(caught.value) == []


@pytest.mark.parametrize("entry", AWAITS)
async def test_a_traceback_ends_at_the_line_of_the_await(runner: Runner, entry: str) -> None:
    """The same of errors that are raised when the caller awaits."""
    with pytest.raises(GraphEngineError) as caught:
        await AWAITS[entry](runner)
    assert foreign(caught.value) == []


MISSPELT: dict[str, Callable[[], object]] = {
    "writes": lambda: any_(sound()).add_node("b", len, write="text"),
    "carry_over": lambda: any_(Graph)("g", State, cary_over=["n"]),
    "steps": lambda: any_(Limits)(step=3),
    "attempts": lambda: any_(Retry)(attempt=3),
    "timeout_seconds": lambda: any_(ask)("?", bool, timeout_second=1),
    "sizes": lambda: any_(Runner)(size=None),
    "run_id": lambda: any_(Runner()).start(sound(), run_ids="r"),
    "question": lambda: asyncio.run(any_(Runner()).answer("r", 1, questoin="q")),
}


@pytest.mark.parametrize("meant", MISSPELT)
def test_a_misspelt_option_names_the_closest_one(meant: str) -> None:
    """A misspelt option raises a TypeError at the caller's line with the closest one, as Python 3.13 words it."""
    with pytest.raises(
        TypeError, match=f"got an unexpected keyword argument '[a-z_]+'. Did you mean '{meant}'"
    ) as caught:
        MISSPELT[meant]()
    assert [file for file in foreign(caught.value) if "graphengine" in Path(file).parts] == []


def test_a_type_error_from_inside_is_unchanged() -> None:
    """A TypeError from inside is unchanged, also one about a misspelt option of another call."""

    @ends_at_caller
    def public(run_id: str) -> None:
        any_(inner)(run_ids=run_id)

    def inner(run_id: str) -> None:
        """Take another name."""

    with pytest.raises(TypeError, match="inner") as caught:
        public("r")
    assert [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)][-1] == "public"


PLAIN = frozenset(
    (
        *("CompileError", "GraphEngineError", "RunFailed"),  # errors
        *("Condition", "Message", "Model", "Replace", "Secret", "TextFile"),  # protocols, and data that pydantic checks
        *("Ending", "Failure", "PastRun", "Pruned", "Result", "Usage", "Wait"),  # made by the engine
        "Context",  # used in nodes, whose tracebacks are cut when they are recorded
    )
)


def test_every_public_name_ends_its_tracebacks_there() -> None:
    """Every public function, and every public method of a class, passes through `ends_at_caller`."""
    owners = [(graphengine, name) for name in dir(graphengine)]
    owners += [(patterns, name) for name in dir(patterns) if name.islower()]
    left = []
    for owner, name in owners:
        found = getattr(owner, name)
        if name in PLAIN or isinstance(found, str) or not callable(found):
            continue
        members = vars(found) if isinstance(found, type) else {name: found}
        for method, function in members.items():
            is_own = inspect.isfunction(function) and (method == "__init__" or not method.startswith("_"))
            if is_own and not inspect.isasyncgenfunction(function) and not hasattr(function, "__wrapped__"):
                left.append(f"{name}.{method}")
    assert left == []


PROGRAM = """\
from pydantic import BaseModel
from graphengine import START, Graph

class State(BaseModel):
    n: int = 0

def main():
    graph = Graph("g", State)
    graph.add_edge(START, "x")
    graph.run_sync()

main()
"""


def test_a_program_prints_only_its_own_lines(tmp_path: Path) -> None:
    """Python itself prints the traceback here, of an error that is not caught."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    ended = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False)
    files = [line for line in ended.stderr.splitlines() if line.lstrip().startswith("File ")]
    assert files == [
        f'  File "{program}", line 12, in <module>',
        f'  File "{program}", line 10, in main',
    ]
    assert "During handling" not in ended.stderr
    assert "unknown_node" in ended.stderr


def test_an_exception_that_the_caller_handles_is_shown() -> None:
    """It is the context of the error, as Python has it."""

    def fallback() -> None:
        """Compile while an exception is handled."""
        try:
            int("mine")
        except ValueError:
            broken().compile()

    with pytest.raises(CompileError) as caught:
        fallback()
    assert isinstance(caught.value.__context__, ValueError)
    assert "During handling" in "".join(traceback.format_exception(caught.value))


async def test_frames_of_a_function_that_the_engine_called_are_kept(runner: Runner) -> None:
    """Those between the call and the function are not."""

    def tags() -> Iterator[str]:
        """Make a mistake in code that `start` runs."""
        Limits(steps=-1)
        yield "tag"

    with pytest.raises(DefinitionError) as caught:
        runner.start(sound(), tags=tags())
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "tags"
    assert foreign(caught.value) == []


async def test_what_a_node_raises_is_unchanged(runner: Runner) -> None:
    """The error of a failed run ends at the caller's line; its cause has the frames of the node."""
    graph = Graph("fails", State)
    graph.add_node("b", lambda n: 1 // n, writes="n")
    graph.add_path(START, "b", END)
    with pytest.raises(graphengine.RunFailed) as caught:
        await runner.start(graph).result()
    assert foreign(caught.value) == []
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert traceback.extract_tb(caught.value.__cause__.__traceback__)[-1].name == "<lambda>"
