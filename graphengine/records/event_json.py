"""Convert events to JSON documents for programs in any language, as `graphengine watch --json` prints them.

`graphengine schema watch` prints the JSON Schema of these documents.
"""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, cast

from msgspec import defstruct
from pydantic_core import from_json, to_json

from graphengine.kernel.extension import Emitted, NodeBegan, RunEnded, StatusChanged, StepRecorded, hints_of
from graphengine.records.base_documents import plain
from graphengine.records.json_document import StatusReported, Stepped, WatchEnded, WatchLine
from graphengine.records.step_document import failure_document, step_document
from graphengine.wings import guarded, load, wings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import DataclassInstance

    from graphengine.kernel.extension import Event, JsonValue
    from graphengine.kernel.store import RunInfo


def event_document(event: Event, info: RunInfo) -> dict[str, JsonValue]:
    """Convert an event of a run to JSON values, for example to send it as the data of a server-sent event.

    The command `graphengine schema watch` prints the JSON Schema of what `event_document` returns. To convert a single
    step of a run in the same way, import `step_document` from `graphengine.records.step_document`, and call
    `plain(step_document(step, why))`.

    Args:
        event: The event.
        info: The run, as `Runner.info` returned it. Only its id and graph are used, so an old one is good enough.

    Example:
        >>> async def main() -> None:
        ...     async with Runner() as runner:
        ...         await runner.start(count, run_id="first").result()
        ...         info = await runner.info("first")
        ...         async for event in runner.watch("first", after=3):
        ...             document = event_document(event, info)
        ...             print(document["event"], document.get("state"))
        >>> asyncio.run(main())
        step None
        ended {'n': 3}
    """
    found: dict[str, JsonValue] = plain(line_of(event, info))
    return found


def line_of(event: Event, info: RunInfo) -> WatchLine:
    """Convert an event of a run to the struct that `graphengine watch --json` prints as one line of JSON."""
    run_id, graph = info.id, info.graph
    match event:
        case StepRecorded():
            return Stepped(run_id=run_id, graph=graph, step=step_document(event.step, event.why))
        case StatusChanged():
            return StatusReported(
                run_id=run_id, graph=graph, status=event.status, driver=event.driver, waits=event.waits
            )
        case RunEnded():
            result = event.result
            return WatchEnded(
                run_id=run_id,
                graph=graph,
                status=result.status,
                seq=result.seq,
                ending=result.ending,
                error=None if result.error is None else failure_document(result.error),
                waits=result.waits,
                state=result.values,
                usage=result.usage,
            )
        case _:
            facts = {each.name: getattr(event, each.name) for each in fields(cast("DataclassInstance", event))}
            if isinstance(event, Emitted):
                facts["data"] = from_json(to_json(event.data, inf_nan_mode="strings", serialize_unknown=True))
            line: WatchLine = line_type(cast("Any", type(event)))(run_id=run_id, graph=graph, **facts)
            return line


def live_lines() -> Sequence[type[Any]]:
    """Return the structs for events that a process shows live but does not record, such as data that a node emits.

    Only the process that drives the run sees these events. Extensions of graphengine (wings) can define more of them.
    """
    found = [line_type(NodeBegan), line_type(Emitted)]
    for wing in wings():
        if wing.events:
            with guarded(wing):
                found += [line_type(event) for event in load(wing.events)]
    return found


@cache
def line_type(event: type[Any]) -> type[Any]:
    """Return the struct type with which a live event, which is shown but not recorded, is written as JSON.

    The struct contains the name of the event, the run, and all fields of the event's class.
    """
    hints = hints_of(event, include_extras=False)
    members = [(each.name, hints.get(each.name, Any)) for each in fields(event)]
    name = ("event", Literal[event.event], event.event)
    about = {"__doc__": event.__doc__, "__module__": event.__module__, "EVENT": event}
    return defstruct(event.__name__, [name, *members], bases=(WatchLine,), kw_only=True, namespace=about)
