"""Every reader of stored or user data, as a function of bytes that returns, or raises an error of graphengine.

Hypothesis and a coverage-guided fuzzer call the same functions. Any other exception than a `GraphEngineError` is a
defect.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel
from pydantic_core import from_json

from graphengine import END, START, Context, Graph, Limits, Runner, ask, value
from graphengine.cli.answer import value_from
from graphengine.cli.inputs import forms_of, parse_pairs, state_from
from graphengine.cli.places import graph_files
from graphengine.cli.steps import arrow, is_offline
from graphengine.cli.terminal import Channel
from graphengine.databases.sqlite import SQLiteStore
from graphengine.engine.reasons import InForce
from graphengine.engine.step_json import decode_step, encode_step
from graphengine.engine.steps import Step, usage_of
from graphengine.errors import GraphEngineError
from graphengine.history.load import load_snapshot, snapshot_of
from graphengine.migration.compatibility import field_changes
from graphengine.records.account import account_of_step, changes_in
from graphengine.records.base_documents import plain
from graphengine.records.json_document import run_document
from graphengine.reducers import append
from graphengine.render import render_graph_spec
from graphengine.runner.result import result_of
from graphengine.schemas.words import choices, in_words, whats_wrong
from graphengine.state.path import parse
from graphengine.stores.base import Loaded, RunInfo

FOLDER: Final = Path(tempfile.gettempdir())


class State(BaseModel):
    n: int = 0
    text: str = ""
    maybe: float | None = None
    words: list[str] = []
    log: Annotated[list[str], append] = []
    by_name: dict[str, Any] = {}
    fine: bool = False


def graph() -> Graph[State]:
    """Return a graph with a loop, a fork, a map, an inner graph and a question."""
    inner = Graph("inner", State, result="n")
    inner.add_node("more", lambda n: {"n": n + 1, "log": "in"}, thread=False)
    inner.add_path(START, "more", END)
    made = Graph("outer", State)

    async def work(ctx: Context, n: int) -> int:
        return await ctx.call(lambda: n + 1, key="plus")

    made.add_node("work", work, writes="n")
    made.add_node("left", lambda: "l", writes="log", thread=False)
    made.add_node("right", lambda: {"a": 1}, writes="by_name", thread=False)
    made.add_node("each", lambda word: word * 2, each={"word": "words"}, writes="log", thread=False)
    made.add_node("inside", inner, writes="n")
    made.add_node("question", ask("is {n} fine?", bool), writes="fine")
    made.add_edge(START, "work")
    made.add_fork("work", ["left", "right"], join="each", when=value("n") >= 2)
    made.add_edge("work", "work")
    made.add_edge("left", "each")
    made.add_edge("right", "each")
    made.add_path("each", "inside", "question", END)
    return made


GRAPH: Final = graph()


def recorded() -> tuple[list[bytes], bytes, Any]:
    """Return the steps of a real run as stored, its database, and its graph spec."""
    path = Path(tempfile.mkdtemp()) / "runs.db"

    async def run() -> list[bytes]:
        async with Runner(path) as runner:
            await runner.start(GRAPH, State(words=["a", "b"]), run_id="r").result()
            await runner.send("r", "topic", {"a": 1})
            await runner.answer("r", value=True)
            await runner.start(GRAPH, run_id="other", limits=Limits(visits=2)).result()
            return [encode_step(step) for step in await runner.history("r")]

    steps = asyncio.run(run())
    return steps, path.read_bytes(), dict(GRAPH.compile().graph_spec)


STEPS, DATABASE, OUTLINE = recorded()
FINGERPRINT: Final = GRAPH.compile().fingerprint


def as_text(data: bytes) -> str:
    """Decode bytes like the arguments of a command: invalid UTF-8 becomes surrogates."""
    return data.decode("utf-8", "surrogateescape")


def step(data: bytes) -> None:
    """Read one row of a log."""
    try:
        found = decode_step(1, data)
    except (ValueError, KeyError, TypeError):  # what the store treats as damage
        return
    shown([found])


def log(data: bytes) -> None:
    """Read a log, as a list of rows in JSON: fold it, show it, and fit it to its graph."""
    try:
        rows = from_json(data)
    except ValueError:
        return
    steps = []
    for seq, row in enumerate(rows if isinstance(rows, list) else [rows], 1):
        try:
            steps.append(decode_step(seq, json.dumps(row)))
        except (ValueError, KeyError, TypeError):
            return
    info = RunInfo("r", "outer", "f", "running", len(steps) + 1, 1.0, 1.0)  # the row agrees with any log up to there
    found = snapshot_of(Loaded(info, None, steps), "r")
    shown(steps)
    plain(run_document(info, found, steps, None, specs={FINGERPRINT: OUTLINE}))
    if found.frames:
        field_changes(GRAPH.compile(), found, OUTLINE)
        result_of(GRAPH.compile(), found)


def shown(steps: Sequence[Step]) -> None:
    """Write what `show` says of steps."""
    out, reasons = Channel(io.StringIO(), must_arrive=False), InForce({FINGERPRINT: OUTLINE}, FINGERPRINT)
    for each in steps:
        account = account_of_step(each, reasons.why(each))
        out.prose(account.error, *arrow(account))
        for line in (*account.lines, *changes_in(each, 80), *account.shifts, account.why):
            out.prose(line)
        is_offline(usage_of(each))


def snapshot(data: bytes) -> None:
    """Read a stored snapshot, and the rows after it."""
    info = RunInfo("r", "outer", "f", "running", 1, 1.0, 1.0)
    found = snapshot_of(Loaded(info, data, []), "r")
    plain(run_document(info, found, [], None))


def graph_spec(data: bytes) -> None:
    """Read a stored graph spec, and draw it with the steps of a real run."""
    try:
        record = from_json(data)
    except ValueError:
        return
    if isinstance(record, dict):
        broken: Any = record
        steps = [decode_step(seq, body) for seq, body in enumerate(STEPS, 1)]
        render_graph_spec(broken, FOLDER / f"fuzz-{os.getpid()}.dot", steps=steps, specs={FINGERPRINT: broken})


def schema(data: bytes) -> None:
    """Read a stored schema of an answer, and a value."""
    try:
        record = from_json(data)
    except ValueError:
        return
    found = record if isinstance(record, list) and len(record) == 2 else [record, 1]
    whats_wrong(found[0], found[1])
    in_words(found[0])
    choices(found[0])


def pairs(data: bytes) -> None:
    """Read `--input` and `--set`."""
    text = as_text(data)
    if "@" in text:
        return  # it names a file, as the user intends
    state_from(State, parse_pairs(text.split("\n"), forms_of(State), "--input"))


def answer(data: bytes) -> None:
    """Read the VALUE of `answer` and `send`."""
    text = as_text(data)
    if text[:1] not in ("@", "-"):
        value_from(text, {"anyOf": [{"type": "integer"}, {"enum": ["a"]}]})
        value_from(text, None)


def path(data: bytes) -> None:
    """Read a path of the state, as conditions and inputs take it."""
    text = as_text(data)
    parse(text)
    value(text).is_none()


def project(data: bytes) -> None:
    """Read a project's pyproject.toml."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pyproject.toml").write_bytes(data)
        graph_files(Path(folder))


def database(data: bytes) -> None:
    """Read a whole database file: open it for reading and for writing, list the runs, and load each."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "runs.db"
        file.write_bytes(data)
        for read_only in (True, False):
            ours(partial(_opened, file, read_only))


def _opened(file: Path, read_only: bool) -> None:  # noqa: FBT001 - passed by position to partial
    asyncio.run(_read(file, read_only=read_only))


async def _read(file: Path, *, read_only: bool) -> None:
    store = SQLiteStore(file, read_only=read_only, synchronous="NORMAL")
    await store.open()
    try:
        for info in await store.runs():
            for reading in (store.info, store.load, store.steps, lambda run_id: load_snapshot(store, run_id, None)):
                try:
                    await reading(info.id)
                except GraphEngineError:
                    continue
            await store.graph_spec(info.fingerprint)
            await store.inbox([info.id])
    finally:
        await store.close()


def ours(call: Callable[[], object]) -> bool:
    """Return whether a call returned or raised an error of graphengine; raise any other error."""
    try:
        call()
    except GraphEngineError:
        return False
    return True


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "step": step,
    "log": log,
    "snapshot": snapshot,
    "graph_spec": graph_spec,
    "schema": schema,
    "pairs": pairs,
    "answer": answer,
    "path": path,
    "project": project,
    "database": database,
}
"""Each by its name."""
