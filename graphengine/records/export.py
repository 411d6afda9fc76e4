"""A run as one JSON file: everything recorded about it, to keep, send, replay or continue elsewhere.

The file holds its format's number, the version that wrote it, a digest over its content, the facts of the run, every
graph spec that its log names, the messages in its inbox, and its steps, one per line; a branch includes the steps that
it shares with its parents. `parse` trusts nothing that it reads: it raises `BadExport` with the place, or returns a
run that folds. Nothing in a file is executed, imported or used as a path.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NoReturn, cast, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, ValidationError, convert, structs, to_builtins
from pydantic_core import from_json, to_json

from graphengine.errors import GraphEngineError, RunExists, UnknownRun
from graphengine.kernel.extension import is_tag
from graphengine.kernel.inside import Begun, check_graph_spec, copy_of, is_name, ready
from graphengine.kernel.reader import (
    AnswerRecord,
    Branched,
    Continued,
    Recorded,
    RunStatus,
    Snapshot,
    Step,
    Waiting,
    decode_step,
    encode_step,
    fold,
)
from graphengine.kernel.store import (
    DEFAULT_QUEUE,
    LARGEST_PRIORITY,
    Append,
    RunInfo,
    Summary,
    begun_as,
    evolve,
    next_due,
    summary_of,
)
from graphengine.records.step_queries import fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from graphengine.kernel.extension import JsonValue
    from graphengine.kernel.reader import GraphSpec
    from graphengine.kernel.store import Code, RunStore

FORMAT: Final = 3
"""The version of the format; it rises when a reader of the old format would misread the new one."""
FORMAT_WITH_FIELDS: Final = 4
"""The version of a file that has the fields by which searches find the run: an older version refuses them."""
OLDEST: Final = 2
"""The oldest format that is read. Those before it are of development versions."""

_SENT: Final = "message "
"""How the key begins of a message that its sender can send again, as `Run.send` makes it."""
_TAKEN: Final = {"topic": "imported", "payload": None}
"""What stands under the key of a message that was taken where the run comes from, until this is taken too."""
_REPAIR: Final = "export the run again from where it is recorded"


class BadExport(GraphEngineError):
    """The file is not an exported run, or its content was changed after it was written."""

    code = "bad_export"


class ExportTooNew(BadExport):
    """A newer version of graphengine wrote the file."""

    code = "export_too_new"


class ExportTooOld(BadExport):
    """A development version of graphengine wrote the file, before the first release."""

    code = "export_too_old"


class FilePart(Struct, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """A part of an exported run. A file that is imported is checked against these structs."""


class FileParent(FilePart):
    """The run from which an exported branch was started.

    Attributes:
        run_id: The id of the parent run.
        seq: The number of the last step that the branch shares with its parent.
    """

    run_id: str
    seq: Annotated[int, Meta(ge=1)]


class FileQueue(FilePart):
    """The queue from which a worker takes the exported run.

    Attributes:
        name: The name of the queue.
        priority: The priority; runs with a higher number are taken earlier.
        tenant: The tenant for whom the run is executed.
        queued: Whether no process has driven the run yet.
    """

    name: str = DEFAULT_QUEUE
    priority: Annotated[int, Meta(ge=-LARGEST_PRIORITY, le=LARGEST_PRIORITY)] = 0
    tenant: str | None = None
    queued: bool = False


class FileRun(FilePart):
    """What the store's list of runs contains about the exported run.

    Attributes:
        id: The id of the run.
        graph: The name of its graph.
        fingerprint: The fingerprint of its graph.
        status: The status of the run.
        seq: The number of its last step.
        created_at: When the run began, epoch seconds.
        parent: The run from which it was branched; null if it is no branch.
        due_at: When the first timer of the run is due, epoch seconds.
        tags: The tags of the run, sorted.
        queue: The place of the run in a queue; omitted for a run that was started without a queue.
        fields: The recorded fields by which searches find the run, as texts by name.
    """

    id: Annotated[str, Meta(min_length=1, max_length=200)]
    graph: Annotated[str, Meta(min_length=1)]
    fingerprint: Annotated[str, Meta(min_length=1)]
    status: RunStatus
    seq: Annotated[int, Meta(ge=1)]
    created_at: float
    parent: FileParent | None
    due_at: float | None
    tags: list[str] = []
    queue: FileQueue | UnsetType = UNSET
    fields: dict[str, str] = {}


class FileMessage(FilePart):
    """A message in the inbox of the exported run, which no step of the run contains yet.

    Attributes:
        kind: The kind of the message.
        payload: The content of the message.
        key: The key by which a repeated message of the same sender is recognised; "" if the message has none.
    """

    kind: Literal["answer", "message", "stop"]
    payload: Any
    key: str = ""


class FileStep(FilePart):
    """A step in the form in which the log contains it; `graphengine.engine.steps` describes the kinds of steps.

    Attributes:
        seq: The number of the step, from 1.
        kind: The kind of the step.
        at: When the step was recorded, epoch seconds.
        frame: The frame to which the step belongs; "" for the run's own graph.
        node: The name of the node.
        visit: The number of the visit of the node.
        attempt: The number of the attempt of the visit.
        began: When the work of the step began, epoch seconds.
        update: Operations on fields of the state.
        data: What else the kind of step records.
    """

    seq: int
    kind: str
    at: float
    frame: str = ""
    node: str = ""
    visit: Annotated[int, Meta(ge=0)] = 0
    attempt: Annotated[int, Meta(ge=0)] = 0
    began: float = 0.0
    update: list[Annotated[list[Any], Meta(min_length=3, max_length=4)]] = []
    data: dict[str, Any] = {}


class RunFile(FilePart):
    """The content of a file with an exported run.

    Attributes:
        format: The version of the format.
        version: The version of graphengine that wrote the file.
        digest: A digest of all other members of the file.
        run: The row of the run.
        graph_specs: The specs of the run's graph, by fingerprint.
        codes: What is recorded about the code of the nodes, by id: the first version, and one for each change.
        inbox: The messages that the run has not taken yet, oldest first.
        keys: The keys of the messages that the run has taken. A message that is sent again under one of these keys is
            ignored.
        steps: The steps of the run, including those that it shares with its parents.
    """

    format: int
    version: str
    digest: str
    run: FileRun
    graph_specs: dict[str, dict[str, Any]]
    inbox: list[FileMessage]
    steps: list[FileStep]
    keys: list[str] = []
    codes: dict[str, dict[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class Exported:
    """An exported run in memory: everything that is recorded about the run.

    Attributes:
        info: The row of the run. `parent` names the run from which it was branched, although `steps` is complete.
        steps: The steps of the run, including those that it shares with its parents.
        graph_specs: The specs of its graph by fingerprint: the first one, and one for each change.
        inbox: The messages that the run has not taken yet, as (kind, payload), oldest first.
        version: The version of graphengine that wrote the file; "" if the run comes from a store.
        inbox_keys: For each message in `inbox`, the key by which a repeated message is recognised; "" for none.
        keys: The keys of the messages that the run has taken, sorted.
        codes: What is recorded about the code of the nodes, by id: the first version, and one for each change.
    """

    info: RunInfo
    steps: Sequence[Step]
    graph_specs: Mapping[str, GraphSpec] = field(default_factory=dict)
    inbox: Sequence[tuple[str, Any]] = ()
    version: str = ""
    inbox_keys: Sequence[str] = ()
    keys: Sequence[str] = ()
    codes: Mapping[str, Code] = field(default_factory=dict)


async def export_run(store: RunStore, run_id: str) -> Exported:
    """Read everything that is recorded about a run from an open store, so that the run can be exported to a file.

    Raises:
        UnknownRun: The run does not exist.
        StoreError: The run cannot be read.
    """
    info = await store.info(run_id)
    steps = [*await store.steps(run_id, 0, info.seq)]
    found = await store.message_keys(run_id)
    graph_specs: dict[str, GraphSpec] = {}
    named = [fingerprint for step in steps if (fingerprint := fingerprint_of(step))]
    for fingerprint in dict.fromkeys([*named, info.fingerprint]):
        graph_spec = await store.graph_spec(fingerprint)
        if graph_spec is not None:
            graph_specs[fingerprint] = graph_spec
    named_codes = [step.data.code for step in steps if isinstance(step.data, Begun | Recorded | Waiting | Continued)]
    codes = {code: await store.code(code) for code in dict.fromkeys([*named_codes, info.code]) if code}
    keys = {number: key for key, number in found.items() if number}
    messages = await store.inbox([run_id])
    inbox = [(message.kind, message.payload) for message in messages]
    open_keys = [keys.pop(message.id, "") for message in messages]
    return Exported(
        _with_parent(info, steps),
        steps,
        graph_specs,
        inbox,
        inbox_keys=[key if key.startswith(_SENT) else "" for key in open_keys],
        keys=sorted(key for key in found.keys() - {*open_keys} if key.startswith(_SENT)),
        codes={code: body for code, body in codes.items() if body is not None},
    )


def _with_parent(info: RunInfo, steps: Sequence[Step]) -> RunInfo:
    """Return the row of a run in the form in which it is exported.

    The exported row contains the parent that the run's log names, and no driver, because no process drives an exported
    run.
    """
    info = structs.replace(info, driver=None, held=False, parent=None, parent_seq=0)
    for step in reversed(steps):
        if isinstance(step.data, Branched):
            return structs.replace(info, parent=step.data.parent, parent_seq=step.seq - 1)
    return info


def to_json_text(run: Exported, version: str) -> str:
    """Return an exported run as the text of a file, with one step per line. The same run always gives the same text.

    Args:
        run: The run.
        version: The version of graphengine that writes the file.
    """
    facts = _file_facts(run)
    has_fields = "fields" in facts["run"]
    head: dict[str, JsonValue] = {"format": FORMAT_WITH_FIELDS if has_fields else FORMAT, "version": version}
    lines: list[str] = []

    def rows() -> Iterator[dict[str, JsonValue]]:
        for row in _file_rows(run):
            lines.append(f"  {_compact(row)}")
            yield row

    head["digest"] = _digest_by_step({**head, **facts}, rows())
    parts = [f" {_compact(name)}: {_compact(value)}" for name, value in {**head, **facts}.items()]
    parts.append(' "steps": [\n' + ",\n".join(lines) + "\n ]")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _file_facts(run: Exported) -> dict[str, Any]:
    """Return the parts of an exported file that describe the run.

    The steps are left out, and so are the parts that describe the file: the format, the version and the digest.
    """
    info = run.info
    place = FileQueue(name=info.queue, priority=info.priority, tenant=info.tenant, queued=info.queued)
    facts = FileRun(
        id=info.id,
        graph=info.graph,
        fingerprint=info.fingerprint,
        status=cast("RunStatus", info.status),
        seq=info.seq,
        created_at=info.created_at,
        parent=FileParent(run_id=info.parent, seq=info.parent_seq) if info.parent is not None else None,
        due_at=info.due_at,
        tags=list(info.tags),
        queue=UNSET if place == FileQueue() else place,
        fields={} if info.summary is None else info.summary.fields,
    )
    keys = run.inbox_keys or [""] * len(run.inbox)
    inbox = [FileMessage(kind=k, payload=p, key=key) for (k, p), key in zip(run.inbox, keys, strict=True)]  # type: ignore[arg-type]
    found: dict[str, Any] = to_builtins({"run": facts, "graph_specs": run.graph_specs, "inbox": inbox})
    return {**found, **({"keys": list(run.keys)} if run.keys else {}), **({"codes": run.codes} if run.codes else {})}


def _file_rows(run: Exported) -> Iterator[dict[str, JsonValue]]:
    """Yield the steps in the form in which a file contains them."""
    return ({"seq": step.seq, **from_json(encode_step(step))} for step in run.steps)


def digest_of_content(content: Mapping[str, JsonValue]) -> str:
    """Return the digest of a file's content, which does not depend on blanks or on the order of keys."""
    return f"sha256:{hashlib.sha256(_canonical(content)).hexdigest()}"


def _digest_by_step(facts: Mapping[str, JsonValue], rows: Iterable[dict[str, JsonValue]]) -> str:
    """Compute the digest of an exported file without holding all steps in memory as one text.

    The result is the same as that of `digest_of_content`.
    """
    before = _canonical({name: fact for name, fact in facts.items() if name < "steps"})
    after = _canonical({name: fact for name, fact in facts.items() if name > "steps"})
    found = hashlib.sha256(before[:-1] + b',"steps":[')
    for number, row in enumerate(rows):
        found.update(b"," * bool(number) + _canonical(row))
    found.update(b"]," + after[1:] if len(after) > len(b"{}") else b"]}")
    return f"sha256:{found.hexdigest()}"


_sorted: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
_compact: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def _canonical(value: JsonValue) -> bytes:
    return _sorted(value).encode()


def read_file(path: Path) -> Exported:
    """Read an exported run from a file, and check the content as `parse` does.

    Raises:
        BadExport: The file cannot be read, or is not an exported run.
    """
    try:
        body = path.read_bytes()
    except OSError as error:
        message = f"the file {path.name!r} cannot be read: {error.strerror or error}"
        raise BadExport(
            message, where=str(path), repair="give the path of a file that `graphengine export` wrote"
        ) from error
    return parse(body, str(path))


def parse(body: bytes | str, where: str) -> Exported:
    """Parse and check the content of an exported file.

    The run is checked without its graph: the digest must match, and the steps must lead to a valid snapshot.

    Args:
        body: The content of the file.
        where: The name of the file, for error messages.

    Raises:
        ExportTooNew: A newer version of graphengine wrote the file.
        ExportTooOld: A development version of graphengine wrote the file.
        BadExport: The content is not an exported run, was changed since it was written, or has steps that do not follow
            each other.
    """
    content = _decode_file(body, where)
    try:
        run_file = convert(content, RunFile)
    except ValidationError as error:
        _refuse_export(f"the file is not an exported run: {str(error)[:500]}", where)
    if (found := digest_of_content({name: content[name] for name in content if name != "digest"})) != run_file.digest:
        _refuse_export(
            f"the content of the file was changed: its digest is {found}, but the file records {run_file.digest}", where
        )
    run = run_file.run
    _check_names_in_file(run, where)
    if run.parent is not None and run.parent.seq >= run.seq:
        _refuse_export(f"the run branched after step {run.parent.seq}, but has only {run.seq} steps", where)
    graph_specs: dict[str, Any] = dict(run_file.graph_specs)
    try:
        for graph_spec in graph_specs.values():
            check_graph_spec(graph_spec)
        steps = [
            decode_step(number, to_json({name: fact for name, fact in step.items() if name != "seq"}))
            for number, step in enumerate(content["steps"], start=1)
        ]
    except ValueError as error:
        _refuse_export(f"a step or a graph spec in the file cannot be read: {error}", where)
    count = len(run_file.steps)
    if run.seq != count or [step.seq for step in run_file.steps] != list(range(1, count + 1)):
        _refuse_export(f"the steps of the run are not numbered from 1 to {run.seq} without gaps", where)
    parent, parent_seq = (run.parent.run_id, run.parent.seq) if run.parent is not None else (None, 0)
    info = RunInfo(
        run.id, run.graph, run.fingerprint, run.status, run.seq, run.created_at, steps[-1].at, parent, parent_seq
    )
    queue = run.queue or FileQueue()
    _check_queue(queue, run_file, where)
    info = structs.replace(info, queue=queue.name, priority=queue.priority, tenant=queue.tenant, queued=queue.queued)
    summary = Summary(fields=run.fields) if run.fields else None
    info = structs.replace(info, due_at=run.due_at, tags=tuple(run.tags), summary=summary)
    _check_fold(info, steps, where)
    if info.fingerprint not in run_file.graph_specs:
        _refuse_export(f"the file contains no spec of the graph {info.fingerprint}", where)
    inbox = [(message.kind, message.payload) for message in run_file.inbox]
    _check_inbox(inbox, where)
    inbox_keys = [message.key for message in run_file.inbox]
    _check_keys([*filter(None, inbox_keys), *run_file.keys], where)
    return Exported(info, steps, graph_specs, inbox, run_file.version, inbox_keys, run_file.keys, run_file.codes)


def _check_names_in_file(run: FileRun, where: str) -> None:
    """Check the id, the tags and the search fields of a run that was read from an exported file.

    Raises:
        BadExport: A run cannot have this id, these tags or these fields.
    """
    if any(c.isspace() or ord(c) < ord(" ") for c in run.id):
        _refuse_export(f"{run.id!r} cannot be a run's id", where)
    if run.tags != sorted({*run.tags}) or not all(map(is_tag, run.tags)):
        _refuse_export(
            "the tags of the run are invalid: tags must be sorted, unique and made of printable characters", where
        )
    if not Summary.can_have(run.fields):
        _refuse_export("the search fields of the run do not have the form in which a run records them", where)


def _check_queue(queue: FileQueue, run_file: RunFile, where: str) -> None:
    """Check the queue and the tenant of a run that was read from an exported file.

    Raises:
        BadExport: The name of the queue or tenant is invalid, or the run is said to be queued although it was driven.
    """
    if not is_tag(queue.name) or not (queue.tenant is None or is_tag(queue.tenant)):
        _refuse_export("the queue or the tenant of the run is not made of printable characters", where)
    if queue.queued and (run_file.run.status != "running" or len(run_file.graph_specs) > 1):
        _refuse_export("the run is queued, but it has steps that only a process that drives the run records", where)
    if queue.queued and run_file.keys:
        _refuse_export("the run is queued, but it has taken messages, which only a driven run does", where)


def _decode_file(body: bytes | str, where: str) -> dict[str, Any]:
    """Decode the JSON of a file, and check that this version of graphengine can read its format.

    Raises:
        BadExport: The content is not JSON, or not an exported run.
        ExportTooNew: A newer version of graphengine wrote the file.
        ExportTooOld: A development version of graphengine wrote the file.
    """
    try:
        text = body.decode() if isinstance(body, bytes) else body
        content = json.loads(
            text, parse_constant=_refuse_constant, parse_float=_float, object_pairs_hook=_refuse_repeated_keys
        )
        to_json(content)  # rejects text that no database can store and numbers that no reader accepts
    except (ValueError, RecursionError, UnicodeError) as error:
        _refuse_export(f"the file is not JSON that can be stored: {str(error).splitlines()[0][:200]}", where)
    if not isinstance(content, dict) or not {"format", "steps", "run"} <= set(content):
        _refuse_export("the file is JSON, but not an exported run", where)
    number = content["format"]
    if type(number) is not int or number < 1:
        _refuse_export(f"the format of the file is {str(number)[:40]!r}, which never existed", where)
    if number > FORMAT_WITH_FIELDS:
        message = f"the file has format {number}; this version of graphengine reads formats up to {FORMAT_WITH_FIELDS}"
        raise ExportTooNew(message, where=where, repair="update graphengine")
    if number < OLDEST:
        message = f"the file has format {number} of a development version; this version reads formats from {OLDEST} on"
        repair = "record the run again: what was recorded before version 0.1.0 is not converted"
        raise ExportTooOld(message, where=where, repair=repair)
    return content


def _refuse_export(message: str, where: str) -> NoReturn:
    raise BadExport(message, where=where, repair=_REPAIR)


def _refuse_constant(name: str) -> NoReturn:
    message = f"{name} is not JSON"
    raise ValueError(message)


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        message = f"{text[:40]} is too large"
        raise ValueError(message)
    return number


def _refuse_repeated_keys(pairs: Sequence[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    found = dict(pairs)
    if len(found) != len(pairs):
        message = "a key occurs twice in one object"
        raise ValueError(message)
    return found


def _check_fold(info: RunInfo, steps: Sequence[Step], where: str) -> None:
    """Check the steps of a run that was read from an exported file: they must lead to a valid snapshot.

    The snapshot must agree with the row of the run in the file.

    Raises:
        BadExport: A step does not follow the previous step, or the snapshot and the row differ.
    """
    snapshot = Snapshot()
    for step in steps:
        if (step.kind == "started") != (step.seq == 1):
            _refuse_export(
                f"step {step.seq} is of kind {step.kind!r}: only the first step of a run must be of kind 'started'",
                where,
            )
        try:
            evolve(snapshot, step)
        except (KeyboardInterrupt, SystemExit):
            raise
        except Exception as error:
            message = (
                f"step {step.seq} does not follow from the steps before it: {type(error).__name__}: {str(error)[:200]}"
            )
            raise BadExport(message, where=where, repair=_REPAIR) from error
    facts = {"id": snapshot.run_id, "graph": snapshot.graph, "fingerprint": snapshot.fingerprint}
    for name, fact in facts.items():
        if fact != getattr(info, name):
            _refuse_export(
                f"the steps of the run have {name} {fact!r}, but the file states {getattr(info, name)!r}", where
            )
    try:
        ready(copy_of(snapshot))
        next_due(snapshot)
    except Exception as error:
        message = f"the run cannot continue after its last step: {type(error).__name__}: {str(error)[:200]}"
        raise BadExport(message, where=where, repair=_REPAIR) from error
    if snapshot.status not in get_args(RunStatus) or info.status not in (snapshot.status, "running"):
        _refuse_export(
            f"the steps of the run lead to status {snapshot.status!r}, but the file states {info.status!r}", where
        )


def _check_inbox(inbox: Sequence[tuple[str, JsonValue]], where: str) -> None:
    """Check the messages in the inbox of a run that was read from an exported file.

    These are the messages that the run has not taken yet.

    Raises:
        BadExport: A message has keys that no message of its kind has.
    """
    needed = {"answer": ("wait", "id", "value"), "message": ("topic", "payload"), "stop": ()}
    for kind, payload in inbox:
        names = needed[kind]
        texts = names[:-1]
        if names and (
            not isinstance(payload, dict)
            or not set(names) <= set(payload)
            or (kind != "answer" and set(payload) != set(names))
            or any(not isinstance(payload[name], str) for name in texts)
        ):
            _refuse_export(f"a message of kind {kind!r} must have exactly {', '.join(names)}", where)
        if kind == "answer" and isinstance(payload, dict):
            try:  # who gave it, through which door, why and when
                msgspec.convert({name: payload[name] for name in payload if name not in texts}, AnswerRecord)
            except msgspec.ValidationError as error:
                _refuse_export(f"an answer that waits for the run cannot be read: {error}", where)


def _check_keys(keys: Sequence[str], where: str) -> None:
    """Check the keys of messages that were read from an exported file.

    Raises:
        BadExport: A key occurs twice, or is no valid key.
    """
    if len({*keys}) < len(keys):
        _refuse_export("two messages of the run have the same key", where)
    for key in keys:
        if not is_name(key) or not key.startswith(_SENT):
            _refuse_export(f"{key[:40]!r} cannot be the key of a message", where)


async def import_run(store: RunStore, run: Exported) -> bool:
    """Write an exported run to an open store, under the id that it had. No process drives the run afterwards.

    Args:
        store: The store to write to.
        run: The run that `parse` returned.

    Returns:
        Whether the run was written; false if the identical run was already in the store.

    Raises:
        RunExists: The store has another run with this id.
        StoreError: The run could not be written.
    """
    if await _is_recorded(store, run):
        return False
    await _write_run(store, run)
    return True


async def check_ids(store: RunStore, runs: Sequence[Exported]) -> None:
    """Check before an import that all ids differ, and that the store has no other run with one of these ids.

    Raises:
        RunExists: Two of the runs have the same id, or the store has another run with one of the ids.
    """
    ids: set[str] = set()
    for run in runs:
        if run.info.id in ids:
            message = f"two of the files contain a run {run.info.id!r}"
            raise RunExists(message, where=f"run {run.info.id}", repair="import each run once")
        ids.add(run.info.id)
        await _is_recorded(store, run)


async def _is_recorded(store: RunStore, run: Exported) -> bool:
    """Return whether the store already contains this run with the same content.

    Raises:
        RunExists: The store has another run with this id.
    """
    try:
        recorded = await export_run(store, run.info.id)
    except UnknownRun:
        return False
    # The fields are no part of what happened: they can be filled in later.
    recorded, exported = (replace(each, info=structs.replace(each.info, summary=None)) for each in (recorded, run))
    if _digest_by_step(_file_facts(recorded), _file_rows(recorded)) == _digest_by_step(
        _file_facts(exported), _file_rows(exported)
    ):
        return True
    message = f"the database already contains another run {run.info.id!r}"
    repair = "import into another database with --store PATH, or keep the recorded run"
    raise RunExists(message, where=f"run {run.info.id}", repair=repair)


async def _write_run(store: RunStore, run: Exported) -> None:
    """Write an exported run to the store, under the id that it had.

    The first write records all steps. Later writes add the messages of the inbox and the other versions of the graph
    spec.
    """
    end = fold(run.steps)
    info = structs.replace(run.info, parent=None, parent_seq=0, driver=None, held=False, summary=None, **begun_as(end))
    fields = {} if run.info.summary is None else run.info.summary.fields
    begun = structs.replace(info, status="running", summary=Summary(fields=fields) if fields else None)
    fence = await store.create(begun, run.steps, run.graph_specs[info.fingerprint], run.codes.get(info.code))
    for key in run.keys:
        await store.post(info.id, "message", _TAKEN, key)
    taken = [number for number in (await store.message_keys(info.id)).values() if number] if run.keys else []
    keys = run.inbox_keys or [""] * len(run.inbox)
    for number, ((kind, payload), own) in enumerate(zip(run.inbox, keys, strict=True), start=1):
        key = f"answer {payload['id']}" if kind == "answer" else own or f"imported {number}"
        await store.post(info.id, kind, payload, key)
    if info.queued:
        return  # a worker can have taken it already
    for fingerprint, graph_spec in run.graph_specs.items():
        if fingerprint != info.fingerprint:
            await _append(store, Append(info.id, fence, [], "running", fingerprint=fingerprint, graph_spec=graph_spec))
    for code, body in run.codes.items():
        if code != info.code:
            await _append(store, Append(info.id, fence, [], "running", code=code, code_body=body))
    summary = summary_of(end, None, fields)
    last = Append(info.id, fence, [], info.status, consume=taken, due_at=info.due_at, summary=summary)
    if len(run.graph_specs) > 1:
        last = structs.replace(last, fingerprint=info.fingerprint, graph_spec=run.graph_specs[info.fingerprint])
    if run.codes.keys() - {info.code}:
        last = structs.replace(last, code=info.code)
    await _append(store, last)
    await store.release(info.id, fence)


async def _append(store: RunStore, batch: Append) -> None:
    pending = store.append(batch)
    if pending is not None:
        await pending
