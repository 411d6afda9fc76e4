"""A secret in any argument of any method of the Context is neither recorded nor shown."""

import asyncio
import inspect
import json
import logging
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import pytest
from pydantic import BaseModel, SecretStr

pytest.importorskip("cryptography")

from graphengine import END, START, Context, Graph, RunFailed, Runner, Secret
from graphengine.agents.node_scope import Question
from graphengine.databases.sqlite import SQLiteStore
from graphengine.records import event_document
from graphengine.runner.scope import StepResult
from tests.cli.programs import Invoke
from tests.cli.secret_graph import CANARY, KEY
from tests.cli.test_secrets_never_seen import files_of, seen_in

PIN = 7_341_905_288


class Holder(BaseModel):
    token: SecretStr
    pin: Annotated[int, Secret]
    method: str
    parameter: str
    shape: str
    full: bool
    told: str = ""


class Carrier(BaseModel):
    text: str


@dataclass(frozen=True)
class Record:
    text: str


class Plain:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"Plain({self.text!r})"


Pair = namedtuple("Pair", "left right")  # noqa: PYI024 - as callers write it
SHAPES: Mapping[str, Callable[[str], object]] = {
    "text": "about {}".format,
    "list": lambda secret: [secret],
    "tuple": lambda secret: Pair("left", secret),
    "set": lambda secret: {secret},
    "value": lambda secret: {"key": secret},
    "key": lambda secret: {secret: 1},
    "bytes": str.encode,
    "bytes inside": lambda secret: {"key": [bytearray(secret.encode())]},
    "number": lambda _: {"key": [PIN]},
    "type": lambda secret: Literal[secret],
    "model": lambda secret: Carrier(text=secret),
    "dataclass": lambda secret: [Record(secret)],
    "object": lambda secret: [Plain(secret)],
    "exception": ValueError,
    "function": lambda secret: lambda *_, **__: secret,
}
"""How a node can hand over a text."""


def greet(*_: object, **__: object) -> str:
    """Return a result that is not secret."""
    return "hello"


async def done() -> StepResult:
    """Return a piece of work that is not secret."""
    return StepResult("done", 6)


async def to_ask(*, was_asked: bool) -> Question:
    """Return a question that is not secret."""
    return Question("which?", {"type": "string"}, str, 60, "none")


NEEDED: Mapping[str, object] = {
    "function": greet,
    "make": done,
    "ask": to_ask,
    "record": ("name", "key"),
    "seconds": 60.0,
    "when": 0.0,
    "usage": {},
}
"""Required arguments that are no texts."""
FULL: Mapping[str, object] = {"timeout_seconds": 60.0, "record": True}
"""Options that lead further than their defaults."""
OWN: Final = {"paid": "its keys are the engine's names of figures"}
"""Methods whose arguments come from the engine alone, with the reason."""


def cases() -> Iterator[tuple[str, str, str, bool]]:
    """Yield each parameter of each public method, with each shape of a value, with and without further options."""
    for name, method in inspect.getmembers(Context, inspect.isfunction):
        parameters = list(inspect.signature(method).parameters)[1:]
        for parameter in () if name.startswith("_") or name in OWN else parameters:
            for shape in SHAPES:
                yield from ((name, parameter, shape, full) for full in {False, not FULL.keys().isdisjoint(parameters)})


async def hand_over(ctx: Context, state: Holder) -> str:
    """Call a method of the Context with the secret in one of its arguments."""
    args: list[object] = []
    kwargs: dict[str, object] = {}
    method = getattr(ctx, state.method)
    for each in inspect.signature(method).parameters.values():
        has_default = each.default is not each.empty or each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        if each.name == state.parameter:
            given = SHAPES[state.shape](state.token.get_secret_value())
        elif state.full and has_default and each.name in FULL:
            given = FULL[each.name]
        elif not has_default:
            given = NEEDED.get(each.name, "plain")
        else:
            continue
        if each.kind in (each.KEYWORD_ONLY, each.VAR_KEYWORD):
            kwargs[each.name] = given
        else:
            args.append(given)
    made = method(*args, **kwargs)
    if isinstance(made, AbstractContextManager):
        with made:
            await ctx.call(greet)
    elif inspect.isawaitable(made):
        await made
    return "done"


async def drive(database: Path) -> dict[str, list[str]]:
    """Run every case, and return what its events and history show of the secrets, by case."""
    graph = Graph("holder", Holder, secret_key=KEY)
    graph.add_node("hand_over", hand_over, writes="told")
    graph.add_path(START, "hand_over", END)
    found: dict[str, list[str]] = {}
    async with Runner(SQLiteStore(database, synchronous="NORMAL")) as runner:
        for method, parameter, shape, full in cases():
            case = Holder(token=SecretStr(CANARY), pin=PIN, method=method, parameter=parameter, shape=shape, full=full)
            run = runner.start(graph, case, run_id=f"{method}-{parameter}-{shape.replace(' ', '-')}-{full}")
            shown: list[object] = []
            with suppress(RunFailed):
                async for event in run.events():
                    shown += [event, json.dumps(event_document(event, await runner.info(run.id)))]
            shown += await runner.history(run.id)
            if seen := seen_in(repr(shown).encode(), str(PIN)):
                found[run.id] = seen
    return found


def test_no_argument_of_a_method_of_the_context_is_recorded_or_shown(
    here: Path, invoke: Invoke, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a node hands to its context, in whatever shape: events, history, files, log and `show` are clean.

    A new method or parameter needs no change here.
    """
    caplog.set_level(logging.DEBUG, "graphengine")
    database = here / "runs.db"
    assert asyncio.run(drive(database)) == {}
    assert {name: seen_in(body) for name, body in files_of(here).items() if seen_in(body)} == {}
    assert seen_in(caplog.text.encode()) == []
    for run in ("ask-default-text-True", "emit-data-key-True", "send-topic-text-False"):
        shown = invoke("show", run, "--store", str(database))
        assert "hand_over" in shown.stdout
        assert seen_in((shown.stdout + shown.stderr).encode()) == []
