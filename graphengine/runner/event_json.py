"""Events as JSON documents, for programs in any language: the same as the lines of `graphengine watch --json`.

`graphengine schema watch` prints their JSON Schema.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from pydantic_core import from_json, to_json

from graphengine.history.json_document import EndDocument, event_line, step_document
from graphengine.runner.run_events import Emitted, NodeBegan, RunEnded, StatusChanged, StepRecorded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed import DataclassInstance

    from graphengine.runner.result import Result, Usage
    from graphengine.runner.run_events import Event
    from graphengine.state.amounts import Usage as RecordedUsage
    from graphengine.state.json_values import JsonValue
    from graphengine.stores.base import RunInfo


def event_document(event: Event, info: RunInfo) -> dict[str, JsonValue]:
    """Return an event of a run as JSON values, such as the data of a server-sent event.

    Args:
        event: The event.
        info: The run, as `Runner.info` returned it at any time.

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
    name, content = _content(event)
    return event_line(name, info, content)


def _content(event: Event) -> tuple[str, Mapping[str, JsonValue]]:
    match event:
        case StepRecorded():
            return "step", {"step": step_document(event.step)}
        case StatusChanged():
            waits = [asdict(wait) for wait in event.waits]
            return "stands", {"status": event.status, "driver": event.driver, "waits": waits}
        case RunEnded():
            return "ended", _ended(event.result)
        case NodeBegan():
            return "began", asdict(event)
        case Emitted():
            data = from_json(to_json(event.data, inf_nan_mode="strings", serialize_unknown=True))
            return "emitted", {"path": event.path, "data": data}
        case _:
            return event.event, asdict(cast("DataclassInstance", event))


def _ended(result: Result[Any]) -> Mapping[str, JsonValue]:
    waits: list[JsonValue] = [asdict(wait) for wait in result.waits]
    facts = result.status, result.seq, result.ending, result.error, waits, result.values, _usage(result.usage)
    return EndDocument(*facts).document()


def _usage(usage: Usage) -> RecordedUsage:
    """Return the figures that a run records: those that are not zero, and the priced part of an unknown cost."""
    kept = {"priced_usd"} if usage.cost_usd is None else ()
    found = {name: figure for name, figure in asdict(usage).items() if figure != 0 or name in kept}
    return cast("RecordedUsage", found)
