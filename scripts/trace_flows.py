"""Follow a value through the house: the functions and files that three common flows of the package run, once warm.

    python -m scripts.trace_flows [start | call | resume] [--list]

`start`: from `runner.start` over one node, one condition and the commit to `result.state`, in SQLite. `call`: one call
of an agent in a node, with one hook, to the SDK's request and back. `resume`: `graphengine resume` up to the first node
that runs again.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import threading
from collections import Counter
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from unittest.mock import patch

from pydantic import BaseModel

import graphengine
from benchmarks.model_server import serving
from graphengine import END, START, Agent, Graph, Runner, value
from graphengine.agents import Hooks
from graphengine.databases.sqlite import SQLiteStore
from graphengine.databases.sqlite import store as sqlite_store
from graphengine.models import AnthropicModel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from types import FrameType

    from graphengine.models import Request, Response

_PACKAGE: Final = f"{Path(graphengine.__file__).parent}/"
_AT_A_LIMIT: Final = 4
_GRAPH: Final = """
from pydantic import BaseModel
from graphengine import END, START, Graph, value
from scripts import trace_flows

class State(BaseModel):
    n: int = 0

def add(n: int) -> int:
    trace_flows.reached()
    return n + 1

graph = Graph("counter", State)
graph.add_node("add", add, writes="n")
graph.add_edge(START, "add")
graph.add_edge("add", END, when=value("n") >= 100)
graph.add_edge("add", "add")
"""


@dataclass
class Trace:
    """What of the package's code ran during a flow.

    Attributes:
        calls: How often each function ran, by its file and qualified name. Comprehensions count as part of their
            function.
        changes: How often a function was called that is in another file than the function called before.
        frames: How many functions of the package were on the stack between `Agent.run` and the SDK.
        opened: How many stores and event loops were opened, and how many runs were loaded.
    """

    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    changes: int = 0
    frames: int = 0
    opened: Counter[str] = field(default_factory=Counter)
    _last: str = ""

    @property
    def files(self) -> set[str]:
        """The files with functions that ran, relative to the package."""
        return {file for file, _ in self.calls}

    def counted(self, owner: object, name: str, word: str) -> AbstractContextManager[object]:
        """During the block, count the calls of a function in `opened`, under the given word."""
        function = getattr(owner, name)

        def counting(*arguments: object, **named: object) -> object:
            self.opened[word] += 1
            return function(*arguments, **named)

        return patch.object(owner, name, counting)

    def note(self, frame: FrameType, event: str, _argument: object) -> None:
        """Count one call. Python calls this function at each call in the program, as its profile function."""
        if event != "call":
            return
        code = frame.f_code
        if code.co_filename.startswith(_PACKAGE) and not code.co_qualname.endswith(("comp>", "genexpr>")):
            file = code.co_filename.removeprefix(_PACKAGE)
            self.calls[file, code.co_qualname] += 1
            self.changes += file != self._last
            self._last = file
        elif code.co_name == "post" and "anthropic" in code.co_filename:
            self.frames = _frames_from_run(frame)


def _frames_from_run(frame: FrameType) -> int:
    """Count the functions of the package on the stack that `Agent.run` has called, directly or indirectly.

    Return -1 if `Agent.run` is not on the stack.
    """
    count, at = 0, frame.f_back
    while at is not None and at.f_code.co_qualname != "Agent.run":
        count += at.f_code.co_filename.startswith(_PACKAGE)
        at = at.f_back
    return count if at is not None else -1


@contextmanager
def traced() -> Iterator[Trace]:
    """During the block, trace this thread and the threads that begin."""
    trace = Trace()
    threading.setprofile(trace.note)
    sys.setprofile(trace.note)
    try:
        yield trace
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


class _State(BaseModel):
    n: int = 0
    text: str = ""


async def trace_start() -> Trace:
    """Trace a run of one node and one condition in SQLite, from the start of the run to its result."""
    graph = Graph("one", _State)

    def add(n: int) -> int:
        return n + 1

    graph.add_node(add, writes="n")
    graph.add_edge(START, "add")
    graph.add_edge("add", END, when=value("n") >= 1)
    graph.add_edge("add", "add")

    async def run(runner: Runner) -> None:
        assert (await runner.start(graph, _State()).result()).state.n == 1  # noqa: S101 - else nothing was measured

    return await _traced_run(run)


async def trace_call() -> Trace:
    """Trace a node that calls an agent with one hook. A local server answers in place of Anthropic's API."""

    class Hook(Hooks):
        async def around_model(self, request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
            return await call(request)

    async with serving() as server:
        model = AnthropicModel("claude-haiku-4-5", base_url=f"http://127.0.0.1:{server.port}", api_key="none")
        writer = Agent("writer", model=model, prompt="Write.", hooks=[Hook()])
        graph = Graph("call", _State)

        async def write() -> str:
            if tracing:
                with traced() as trace:
                    text = await writer.run()
                found.append(trace)
                return text
            return await writer.run()

        graph.add_node(write, writes="text")
        graph.add_path(START, "write", END)
        tracing, found = False, list[Trace]()
        async with Runner() as runner:
            for last in (False, False, True):
                tracing = last
                await runner.start(graph, _State()).result()
        await model.close()
    return found[0]


async def _traced_run(run: Callable[[Runner], Awaitable[None]]) -> Trace:
    with tempfile.TemporaryDirectory() as folder:
        async with Runner(Path(folder) / "runs.db") as runner:
            traces: list[Trace] = []
            for _ in range(8):
                with traced() as trace:
                    await run(runner)
                traces.append(trace)
    return min(traces, key=lambda one: len(one.calls))  # another asks for a checkpoint, or is written by the thread


_in_resume: list[Trace] = []


def reached() -> None:
    """End the trace of a resume. The node of the traced run calls this function when it begins."""
    if _in_resume:
        sys.setprofile(None)
        threading.setprofile(None)


def trace_resume() -> Trace:
    """Trace `graphengine resume` of a run that had reached a limit, until the first node begins."""
    from graphengine.cli.main import main  # noqa: PLC0415 - only here is the command line needed

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "counter.py").write_text(_GRAPH, encoding="utf-8")
        graph, store = f"{folder / 'counter.py'}:graph", ["--store", str(folder / "runs.db")]
        resume = ["resume", "one", "--graph", graph, *store, "--limit"]
        sys.path.insert(0, name)
        try:
            _called(main, ["run", graph, "--run-id", "one", "--limit", "visits=2", *store])
            _called(main, [*resume, "visits=4"])
            with (
                traced() as trace,
                trace.counted(sqlite_store, "Reader", "stores"),  # a store has one while it is open
                trace.counted(SQLiteStore, "load", "loads"),
                trace.counted(asyncio.events, "new_event_loop", "loops"),
            ):
                _in_resume.append(trace)
                _called(main, [*resume, "visits=6"])
        finally:
            _in_resume.clear()
            sys.path.remove(name)
    return trace


def _called(main: Callable[[list[str]], object], words: list[str]) -> None:
    try:
        main(words)
    except SystemExit as ended:
        if ended.code != _AT_A_LIMIT:
            raise


FLOWS: Final = {
    "start": lambda: asyncio.run(trace_start()),
    "call": lambda: asyncio.run(trace_call()),
    "resume": trace_resume,
}


def main() -> None:
    """Trace the named flows, or all flows, and print how many functions and files each of them uses."""
    parser = argparse.ArgumentParser(prog="python -m scripts.trace_flows")
    parser.add_argument("flows", nargs="*", choices=[[], *FLOWS], metavar="FLOW", help=", ".join(FLOWS))
    parser.add_argument("--list", action="store_true", help="print each function and how often it ran")
    given = parser.parse_args()
    for name in given.flows or FLOWS:
        trace = FLOWS[name]()
        counts = {"functions": len(trace.calls), "files": len(trace.files), "changes of file": trace.changes}
        counts |= {"frames to the SDK": trace.frames} if trace.frames else {**trace.opened}
        print(f"{name}: {', '.join(f'{count} {word}' for word, count in counts.items())}")
        if given.list:
            for (file, function), times in sorted(trace.calls.items()):
                print(f"  {file:<36} {function} {times if times > 1 else ''}")


if __name__ == "__main__":
    main()
