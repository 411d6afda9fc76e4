"""A run as one JSON file: everything that is recorded of it, to be kept, sent, replayed, or gone on with elsewhere.

The file holds its format's number, the version that wrote it, a digest over its content, the facts of the run, every
outline that its log names, the messages that wait in its inbox, and its steps, one a line; a branch brings the steps
that it shares with its parents. `parse` believes nothing of what it reads: it raises `BadExport` with the place, or
gives a run that folds. Nothing in a file is executed, imported or used as a path.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NoReturn, get_args

from msgspec import structs
from pydantic_core import from_json, to_json

from graphengine.engine.fold import evolve
from graphengine.engine.outline_check import check_outline
from graphengine.engine.ready import next_due, ready
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.steps import Branched, Step, decode_step, encode_step, fingerprint_of
from graphengine.engine.stored import copy_of
from graphengine.errors import GraphEngineError, RunExists, UnknownRun
from graphengine.graph.options import is_tag
from graphengine.stores.base import Append, RunInfo, Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from graphengine.state.json_values import JsonValue
    from graphengine.stores.base import Store

FORMAT: Final = 1
"""The version of the file; it rises when a reader of the old ones would be wrong about the new ones."""

_REPAIR: Final = "export the run again from where it is recorded"


class BadExport(GraphEngineError):
    """A file is no exported run, or was changed since it was written."""

    code = "bad_export"


class ExportTooNew(BadExport):
    """A newer version of graphengine wrote the file."""

    code = "export_too_new"


@dataclass(frozen=True, slots=True)
class Exported:
    """A run, whole.

    Attributes:
        info: Its facts. `parent` and `parent_seq` tell what it branched from; its steps are all here all the same.
        steps: Its steps, those it shares with its parents included.
        outlines: What its graph looked like, by fingerprint: when it began, and since each change.
        inbox: The messages that nobody took yet, as (kind, payload), oldest first.
        version: The graphengine that wrote the file; "" where it comes from a store.
    """

    info: RunInfo
    steps: Sequence[Step]
    outlines: Mapping[str, Mapping[str, JsonValue]] = field(default_factory=dict)
    inbox: Sequence[tuple[str, JsonValue]] = ()
    version: str = ""


async def export_run(store: Store, run_id: str) -> Exported:
    """A run with all that is recorded of it, read from a store that is open.

    Raises:
        UnknownRun; StoreError: It cannot be read.
    """
    info = await store.info(run_id)
    steps = [structs.replace(step, typed=None) for step in await store.steps(run_id, 0, info.seq)]
    outlines: dict[str, Mapping[str, JsonValue]] = {}
    named = [found for step in steps if (found := fingerprint_of(step))]
    for fingerprint in dict.fromkeys([*named, info.fingerprint]):
        outline = await store.outline(fingerprint)
        if outline is not None:
            outlines[fingerprint] = outline
    inbox = [(message.kind, message.payload) for message in await store.inbox([run_id])]
    return Exported(_with_parent(info, steps), steps, outlines, inbox)


def _with_parent(info: RunInfo, steps: Sequence[Step]) -> RunInfo:
    """The facts of a run, with the parent that its log names; who drives it now is no fact of the run."""
    info = replace(info, driver=None, held=False, parent=None, parent_seq=0)
    for step in reversed(steps):
        if isinstance(step.data, Branched):
            return replace(info, parent=step.data.parent, parent_seq=step.seq - 1)
    return info


def to_json_text(run: Exported, version: str) -> str:
    """The file's text: readable, a step a line, the same for the same run.

    Args:
        run: The run.
        version: The version of graphengine that writes it.
    """
    content = _content(run)
    head: dict[str, JsonValue] = {"format": FORMAT, "version": version}
    head["digest"] = digest_of_content({**head, **content})
    parts = [f" {_compact(name)}: {_compact(value)}" for name, value in head.items()]
    parts += [f" {_compact(name)}: {_compact(content[name])}" for name in ("run", "outlines", "inbox")]
    steps = ",\n".join(f"  {_compact(step)}" for step in content["steps"])
    parts.append(f' "steps": [\n{steps}\n ]')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _content(run: Exported) -> dict[str, JsonValue]:
    info = run.info
    parent = {"run_id": info.parent, "seq": info.parent_seq} if info.parent is not None else None
    made: dict[str, JsonValue] = {
        "run": {
            "id": info.id,
            "graph": info.graph,
            "fingerprint": info.fingerprint,
            "status": info.status,
            "seq": info.seq,
            "created_at": info.created_at,
            "parent": parent,
            "due_at": info.due_at,
            **({"tags": list(info.tags)} if info.tags else {}),
        },
        "outlines": dict(run.outlines),
        "inbox": [{"kind": kind, "payload": payload} for kind, payload in run.inbox],
        "steps": [{"seq": step.seq, **from_json(encode_step(step))} for step in run.steps],
    }
    found: dict[str, JsonValue] = from_json(to_json(made))
    return found


def digest_of_content(content: Mapping[str, JsonValue]) -> str:
    """The digest of what a file says, whatever its blanks and the order of its keys."""
    body = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return f"sha256:{hashlib.sha256(body.encode()).hexdigest()}"


def _compact(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def read_file(path: Path) -> Exported:
    """The run in a file, checked.

    Raises:
        BadExport: The file cannot be read, or is no exported run.
    """
    try:
        body = path.read_bytes()
    except OSError as error:
        told = f"the file cannot be read: {error.strerror or error}"
        raise BadExport(told, where=str(path), repair="name a file that `graphengine export` wrote") from error
    return parse(body, str(path))


def parse(body: bytes | str, where: str) -> Exported:
    """The run that a file's content tells of, checked as far as anything can be without the graph.

    Args:
        body: The content.
        where: The file, for messages.

    Raises:
        ExportTooNew: A newer version wrote it.
        BadExport: It is no exported run, was changed since, or its steps do not fold.
    """
    from pydantic import ValidationError  # noqa: PLC0415 - who writes a file needs none of these

    from graphengine.history.export_file import RunFile  # noqa: PLC0415
    from graphengine.state.field import explain  # noqa: PLC0415

    content = _document(body, where)
    try:
        made = RunFile.model_validate(content)
    except ValidationError as error:
        told = explain(error)
        _refuse(f"it is no exported run: {told[:500]}", where)
    if (found := digest_of_content({name: content[name] for name in content if name != "digest"})) != made.digest:
        _refuse(f"its content was changed: its digest is {found}, and it says {made.digest}", where)
    run = made.run
    if any(c.isspace() or ord(c) < ord(" ") for c in run.id):
        _refuse(f"{run.id!r} cannot be a run's id", where)
    if run.tags != sorted({*run.tags}) or not all(map(is_tag, run.tags)):
        _refuse("its tags are not such as runs have: sorted, each once, each of characters that can be printed", where)
    if run.parent is not None and run.parent.seq >= run.seq:
        _refuse(f"it branched behind step {run.parent.seq}, and has {run.seq} steps", where)
    try:
        for outline in made.outlines.values():
            check_outline(outline)
        steps = [
            decode_step(number, to_json({name: fact for name, fact in step.items() if name != "seq"}))
            for number, step in enumerate(content["steps"], start=1)
        ]
    except ValueError as error:
        _refuse(f"a step or an outline of it cannot be read: {error}", where)
    count = len(made.steps)
    if run.seq != count or [step.seq for step in made.steps] != list(range(1, count + 1)):
        _refuse(f"its steps are not 1 to {run.seq} without gaps", where)
    parent, parent_seq = (run.parent.run_id, run.parent.seq) if run.parent is not None else (None, 0)
    info = RunInfo(
        run.id, run.graph, run.fingerprint, run.status, run.seq, run.created_at, steps[-1].at, parent, parent_seq
    )
    info = replace(info, due_at=run.due_at, tags=tuple(run.tags))
    _check_fold(info, steps, where)
    if info.fingerprint not in made.outlines:
        _refuse(f"it has no outline of the graph {info.fingerprint}", where)
    inbox = [(message.kind, message.payload) for message in made.inbox]
    _check_inbox(inbox, where)
    return Exported(info, steps, made.outlines, inbox, made.version)


def _document(body: bytes | str, where: str) -> dict[str, JsonValue]:
    """The JSON of a file of our format.

    Raises:
        BadExport, ExportTooNew.
    """
    try:
        text = body.decode() if isinstance(body, bytes) else body
        content = json.loads(text, parse_constant=_no_constant, parse_float=_float, object_pairs_hook=_once)
        to_json(content)  # texts that no database can keep, numbers that no reader takes
    except (ValueError, RecursionError, UnicodeError) as error:
        _refuse(f"it is no JSON that can be kept: {str(error).splitlines()[0][:200]}", where)
    if not isinstance(content, dict) or not {"format", "steps", "run"} <= set(content):
        _refuse("it is JSON, and no exported run", where)
    number = content["format"]
    if type(number) is not int or number < 1:
        _refuse(f"its format is {str(number)[:40]!r}, which was never one", where)
    if number > FORMAT:
        told = f"it has format {number}; this version of graphengine reads up to {FORMAT}"
        raise ExportTooNew(told, where=where, repair="update graphengine")
    return content


def _refuse(told: str, where: str) -> NoReturn:
    raise BadExport(told, where=where, repair=_REPAIR)


def _no_constant(name: str) -> NoReturn:
    message = f"{name} is no JSON"
    raise ValueError(message)


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        message = f"{text[:40]} is too large"
        raise ValueError(message)
    return number


def _once(pairs: Sequence[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    found = dict(pairs)
    if len(found) != len(pairs):
        message = "a key stands twice in one object"
        raise ValueError(message)
    return found


def _check_fold(info: RunInfo, steps: Sequence[Step], where: str) -> None:
    """See that the steps fold, and to what the facts say.

    Raises:
        BadExport: They do not.
    """
    snapshot = Snapshot()
    for step in steps:
        if (step.kind == "started") != (step.seq == 1):
            _refuse(f"step {step.seq} is of kind {step.kind!r}: a run begins with 'started', once", where)
        try:
            evolve(snapshot, step)
        except (KeyboardInterrupt, SystemExit):
            raise
        except Exception as error:
            told = f"step {step.seq} does not fold: {type(error).__name__}: {str(error)[:200]}"
            raise BadExport(told, where=where, repair=_REPAIR) from error
        snapshot.touched.clear()
    facts = {"id": snapshot.run_id, "graph": snapshot.graph, "fingerprint": snapshot.fingerprint}
    for name, fact in facts.items():
        if fact != getattr(info, name):
            _refuse(f"its steps are of {name} {fact!r}, and it says {getattr(info, name)!r}", where)
    try:
        ready(copy_of(snapshot))
        next_due(snapshot)
    except Exception as error:
        told = f"it cannot be gone on with behind its last step: {type(error).__name__}: {str(error)[:200]}"
        raise BadExport(told, where=where, repair=_REPAIR) from error
    if snapshot.status not in get_args(Status) or info.status not in (snapshot.status, "running"):
        _refuse(f"its steps leave it {snapshot.status}, and it says {info.status}", where)


def _check_inbox(inbox: Sequence[tuple[str, JsonValue]], where: str) -> None:
    """See that the messages are such as a run can take.

    Raises:
        BadExport: One is not.
    """
    needed = {"answer": ("wait", "id", "value"), "message": ("topic", "payload"), "stop": ()}
    for kind, payload in inbox:
        names = needed[kind]
        texts = names[:-1]
        if names and (
            not isinstance(payload, dict)
            or set(payload) != set(names)
            or any(not isinstance(payload[name], str) for name in texts)
        ):
            _refuse(f"a message of kind {kind!r} has not {', '.join(names)}", where)


async def import_run(store: Store, run: Exported) -> bool:
    """Record an exported run in a store that is open, under its own id, with nobody who drives it.

    Args:
        store: Where it goes.
        run: What `parse` gave.

    Returns:
        Whether it was recorded; false where the very same run was there already.

    Raises:
        RunExists: Another run has the id.
        StoreError: It could not be recorded.
    """
    if await _is_there(store, run):
        return False
    await _record(store, run)
    return True


async def check_ids(store: Store, runs: Sequence[Exported]) -> None:
    """See that no other run in a store that is open has the id of one of these, nor two of them the same.

    Raises:
        RunExists: One has.
    """
    ids: set[str] = set()
    for run in runs:
        if run.info.id in ids:
            told = f"two of the files hold a run {run.info.id}"
            raise RunExists(told, where=f"run {run.info.id}", repair="import each run once")
        ids.add(run.info.id)
        await _is_there(store, run)


async def _is_there(store: Store, run: Exported) -> bool:
    """Whether the very same run is recorded.

    Raises:
        RunExists: Another one is, under its id.
    """
    try:
        known = await export_run(store, run.info.id)
    except UnknownRun:
        return False
    if digest_of_content(_content(known)) == digest_of_content(_content(run)):
        return True
    told = f"a run {run.info.id} is already recorded, and is another one"
    repair = "import into another database with --db PATH, or leave the one that is there as it is"
    raise RunExists(told, where=f"run {run.info.id}", repair=repair)


async def _record(store: Store, run: Exported) -> None:
    """Write the run; from the first write on it is there as a whole, what follows adds what can be done without."""
    info = replace(run.info, parent=None, parent_seq=0, driver=None, held=False)
    fence = await store.create(replace(info, status="running"), run.steps, run.outlines[info.fingerprint])
    for number, (kind, payload) in enumerate(run.inbox, start=1):
        key = f"answer {payload['id']}" if kind == "answer" else f"imported {number}"
        await store.post(info.id, kind, payload, key)
    for fingerprint, outline in run.outlines.items():
        if fingerprint != info.fingerprint:
            await _append(store, Append(info.id, fence, [], "running", fingerprint=fingerprint, outline=outline))
    last = Append(info.id, fence, [], info.status, due_at=info.due_at)
    if len(run.outlines) > 1:
        last = replace(last, fingerprint=info.fingerprint, outline=run.outlines[info.fingerprint])
    await _append(store, last)
    await store.release(info.id, fence)


async def _append(store: Store, batch: Append) -> None:
    pending = store.append(batch)
    if pending is not None:
        await pending
