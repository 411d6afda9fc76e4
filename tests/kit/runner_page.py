"""Golden pages of sessions with a Runner: what a person calls, and what comes of each call.

A page is a title (lines with `#`), Python under `== kit`, and cases. A case is its truth after `==`, and calls, each a
line that begins with `>`, with what it returns or raises below. Each case has a store, a Runner on a fake clock and the
kit's names of its own. The methods of the Runner and its `admin` are names (`> start(graph, run_id="r")`), beside the
public API, errors, `clock`, `runner`, and `store`, what another Runner can open. What can be awaited is awaited; of a
run that is its result. `NAME = …` keeps what comes of a call and shows nothing; after ` | ` are the parts that are
shown. `each(call, …)` calls with each of these, and after `> Runner(…)` this one is used. A line that begins with `#`
is a comment. `UPDATE_PAGES=1` rewrites the pages.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack
from pathlib import Path
from typing import Any, Final

from graphengine import Result, Run, RunFailed, Runner, errors, runner
from graphengine.engine.steps import Step
from graphengine.errors import GraphEngineError
from graphengine.kernel.fake_clock import FakeClock
from graphengine.runner.run import Posted
from graphengine.stores.base import QueueLimits, RunInfo
from tests.kit import golden, runs
from tests.kit.facts import said
from tests.kit.runs import SOON
from tests.kit.scenario import namespace

MODULES: Final = (errors, runner)
FACTS: Final = ("name", "value", "answer", "topic", "payload", "message", "error", "sent", "cancelled", "unused")
"""Facts of a step that are shown."""

Store = Path | str | None


async def check_page(path: Path, fresh: Callable[[], AbstractContextManager[Store]]) -> None:
    """Fail unless a Runner does what a page says; `fresh` gives the store of a case."""
    title, *cases = re.split(r"^(?=== )", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    shown, kit = [title], ""
    for case in cases:
        truth, _, body = case.partition("\n")
        if truth == "== kit":
            kit = body
            shown.append(case)
            continue
        with fresh() as store:
            shown.append("\n".join([truth, *await _played(body.splitlines(), kit, store), "\n"]))
    golden.check(path, "".join(shown).rstrip("\n") + "\n")


async def _played(lines: Iterable[str], kit: str, store: Store) -> list[str]:
    """Return a case as it should read."""
    clock = FakeClock(start=1000.0)
    shown = list[str]()
    async with asyncio.timeout(SOON), AsyncExitStack() as stack:
        names: dict[str, Any] = {name: getattr(module, name) for module in MODULES for name in dir(module)}
        names |= {name: getattr(runs, name) for name in ("alone", "arms", "repeated", "row")}
        names |= namespace(kit, "kit", **names)
        names |= {"clock": clock, "store": store, "QueueLimits": QueueLimits, "each": _each}
        names |= _methods(await stack.enter_async_context(Runner(store, clock=clock)))
        for line in lines:
            if line.startswith((">", "#")):
                made = await _called(line, names)
                if isinstance(made, Runner):
                    names |= _methods(await stack.enter_async_context(made))
                    made = None
                shown += [line, *(part for text in _lines(made) for part in _wrapped(text))]
    return shown


def _methods(own: Runner) -> dict[str, Any]:
    """Return what calls a Runner."""
    names = {
        name: getattr(each, name)
        for each in (own, getattr(own, "admin", own))
        for name in dir(each)
        if not name.startswith("_")
    }
    return names | {"runner": own}


def _each(call: Callable[[Any], Any], *values: object) -> Iterator[Any]:
    """Yield what a call returns or raises for each value; the next one is made when this one is over."""
    for value in values:
        try:
            yield call(value)
        except GraphEngineError as error:
            yield error


async def _called(line: str, names: dict[str, Any]) -> object:
    """Call what a line says; return what is shown of it."""
    call, _, wanted = line.removeprefix("> ").partition(" | ")
    if line.startswith("#"):
        return None
    found = re.fullmatch(r"(\w+) = (.*)", call)
    try:
        made = await _settled(eval(found[2] if found else call, names))  # noqa: S307 - our own page
    except GraphEngineError as error:
        made = error
    except Exception as error:
        error.add_note(line)
        raise
    if found:
        names[found[1]] = made
        return None
    if wanted:
        parts = {path: eval(f"made{path}", names | {"made": made}) for path in wanted.split(", ")}  # noqa: S307
        return ", ".join(f"{path} {_value(part)}" for path, part in parts.items())
    return made


async def _settled(made: Any) -> Any:
    """Wait for what can be awaited."""
    if inspect.isgenerator(made):
        return [await _settled(each) for each in made]
    try:
        made = await made if inspect.isawaitable(made) and not isinstance(made, Run) else made
        return await made.result() if isinstance(made, Run) else made
    except RunFailed as failed:
        return failed.result
    except GraphEngineError as error:
        return error


def _lines(made: object) -> Iterable[str]:
    """Yield what is shown of a value: a list has a line for each item."""
    if isinstance(made, GraphEngineError):
        yield from f"{type(made).__name__}: {made.message}".splitlines()
    elif isinstance(made, Mapping):
        yield ", ".join(f"{name}: {_value(value)}" for name, value in made.items()) or "nothing"
    elif isinstance(made, Sequence) and not isinstance(made, str):
        yield from [line for each in made for line in _lines(each)] or ["nothing"]
    elif made is not None and not isinstance(made, Posted):  # the receipt of an answer says nothing of the run
        yield from made.splitlines() if isinstance(made, str) else [_value(made)]
    if repair := getattr(made, "repair", ""):
        yield f"  repair: {repair}"


def _value(made: object) -> str:
    """Return a value in a few words."""
    for kind in type(made).__mro__:
        if kind.__name__ in SHOWN:
            return SHOWN[kind.__name__](made)
    return made if isinstance(made, str) and made.isidentifier() else repr(made)


def _result(result: Result[Any]) -> str:
    """Return how a run stands, with what it asks or what of its state is no default."""
    if result.error is not None and result.status == "failed":
        return f"failed: {result.error.kind} at {result.error.path}: {result.error.message}"
    fields = type(result.state).model_fields
    state = [f"{name} {value!r}" for name, value in result.state if value != fields[name].default]
    ending = [f"why {result.ending.why!r}"] if result.status == "stopped" and result.ending is not None else []
    shown = ", ".join([*(_value(wait) for wait in result.waits), *ending, *(state if not result.waits else [])])
    return f"{result.status}: {shown}" if shown else result.status


def _step(step: Step) -> str:
    facts = {name: value for name, value in said(step).items() if name in FACTS}
    if "error" in facts:
        facts["error"] = f"{facts['error']['kind']}: {facts['error']['message']}"
    return " ".join([str(step.seq), step.kind, step.path, *([str(facts)] if facts else [])])


def _info(info: RunInfo) -> str:
    return " ".join([info.id, "queued" if info.queued else info.status, *(f"tag:{tag}" for tag in info.tags)])


SHOWN: Final[Mapping[str, Callable[[Any], str]]] = {
    "Result": _result,
    "Step": _step,
    "RunInfo": _info,
    "Difference": str,
    "Wait": lambda wait: f"{wait.name} {wait.question!r}",
    "Took": lambda took: f"took {took.info.id}, {took.why}",
    "RunOutcome": lambda left: f"left {left.info.id}, {_result(left.result)}",
    "list": lambda items: f"[{', '.join(map(_value, items))}]",
}
"""What is shown of values of these types, by name: most are none of the core, which has these pages too."""


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 118, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)
