"""Inputs that are recorded before their run is started, by a debounced graph or by a schedule.

Such an input can wait for longer than the code that recorded it exists. So the input is kept as JSON, together with the
version of the graph for which it was given. No code reads the input by the types of the graph until the run is started.
Then the input is migrated in the same way as a recorded state, by the `migrate=` of the graph.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from msgspec import convert

from graphengine.compile.compiler import compiled
from graphengine.errors import GraphChanged, InputError
from graphengine.runner.other_forms import StateOf
from graphengine.state.declared import values_of
from graphengine.state.encoded import opened
from graphengine.state.json_values import JsonValue  # noqa: TC001 - msgspec reads it
from graphengine.state.marks import FIELDS_SET
from graphengine.state.path import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.engine.plan import Plan
    from graphengine.runner.shared import Shared

_MARK: Final = "ge:input"
"""The key that distinguishes a recorded input from plain fields. Callers cannot use names that begin with `ge:`."""


@dataclass(frozen=True, slots=True)
class RecordedInput:
    """The recorded input of a run that will be started later, for example by a schedule.

    Attributes:
        given: The records of the fields that the caller gave.
        version: The version of the graph for which the input was given.
        fingerprint: The fingerprint of that graph; "" if it is not known.
        others: The records with which the other fields would have begun at that time. Migrations read them, because a
            function of `migrate=` receives the whole state.
    """

    given: dict[str, JsonValue]
    version: int
    fingerprint: str = ""
    others: dict[str, JsonValue] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: Plan[Any], given: object, where: str) -> RecordedInput:
        """Check an input against the current graph, and return its record.

        Args:
            plan: The compiled graph to start. Its state has no secret fields.
            given: The initial state, or a mapping of its fields.
            where: The purpose of the input, for errors.

        Raises:
            InputError: The input does not fit the state of the graph.
        """
        initial = plan.state.initial({} if given is None else given, where)
        records = {name: opened(record) for name, record in initial.values.items()}
        own = {name: records.pop(name) for name in initial.given if name in records}
        return cls(own, plan.version, plan.fingerprint, records)

    @classmethod
    def find(cls, record: object) -> RecordedInput | None:
        """Return the recorded input that a JSON value contains, as written by `as_json`; None for any other value."""
        if not isinstance(record, dict) or _MARK not in record:
            return None
        try:
            return convert({**record, "given": record[_MARK]}, cls)
        except ValueError:
            return None

    @classmethod
    def of_state(cls, record: Any, version: int) -> RecordedInput:  # noqa: ANN401 - JSON
        """Convert the recorded state of a run to an input, with which another run of the same graph can be started.

        Fields that were not set explicitly in the state go to `others`.

        Args:
            record: The JSON object of the state, which has the marks of `graphengine.state.marks`.
            version: The version of the graph to which the state belongs.
        """
        others = {name: part for name, part in record.items() if name != FIELDS_SET}
        return cls({name: others.pop(name) for name in record.get(FIELDS_SET, list(others))}, version, "", others)

    def as_json(self) -> dict[str, Any]:
        return {
            _MARK: self.given,
            "version": self.version,
            "fingerprint": self.fingerprint,
            "others": self.others,
        }

    async def fields_for(self, shared: Shared[Any], plan: Plan[Any], run_id: str) -> Mapping[str, object]:
        """Migrate the input to the current graph, and return the fields with which to start the run.

        These are the fields that the caller gave, and the fields that a migration made or changed. A field that was not
        given and was not changed begins with its current default.

        Args:
            shared: The objects that the runs of the Runner share.
            plan: The compiled current graph.
            run_id: The run to which the input belongs, for errors and warnings.

        Raises:
            GraphChanged: The input does not fit the current graph, no migration leads to the current version, or the
                input was recorded under a newer version than the graph has here.
        """
        fields = plan.state.fields
        # Without a migration function, nothing reads the default of a field that no longer exists, so nothing is lost.
        others = {name: record for name, record in self.others.items() if name in fields or self.version < plan.version}
        before = {**others, **self.given}
        after, names = before, list(self.given)
        if self.fingerprint != plan.fingerprint:
            state = StateOf(run_id, plan.graph, 0, before, self.fingerprint, self.version)
            after = {**await state.migrate_to(plan, shared.store, shared.extensions)}
            names = [name for name in after if name in self.given or name not in before or after[name] != before[name]]
        unknown = sorted(name for name in names if name not in fields)
        if unknown:
            raise GraphChanged(
                f"the input has the field {unknown[0]!r}, which the state of graph {plan.graph!r} no longer has",
                where=f"input of run {run_id}",
                repair=did_you_mean(unknown[0], fields) or "write a migration: version=, migrate=",
            )
        typed = values_of(plan.state.rebuild({name: record for name, record in after.items() if name in fields}))
        return {name: typed[name] for name in names}


def as_input(plan: Plan[Any] | None, topic: str, payload: object, where: str) -> object:
    """Convert a message to a recorded input, if the receiving run collects inputs on this topic.

    A run whose graph has such a topic collects the inputs with which runs of another graph will be started. Messages on
    other topics are returned unchanged.

    A recorded input contains the version of its graph, because the message could otherwise be misread:

    1. A process with version 1 of the graph sends an input, and a process with version 2 drives the run that collects.
    2. If the message had no version, the receiver would read the input as an input of version 2.

    Args:
        plan: The compiled graph of the receiving run; None if this process does not know it.
        topic: The topic of the message.
        payload: The message. None, and an input that is recorded already, stay as they are.
        where: The run, for errors.

    Raises:
        InputError: The input does not fit the graph for which it is meant.
    """
    target = None if plan is None or payload is None else plan.collects.get(topic)
    if target is None or RecordedInput.find(payload) is not None:
        return payload
    try:
        return RecordedInput.of(compiled(target), payload, f"graph {target.name}").as_json()
    except InputError as error:
        text = f"this is not a message on {topic!r}: {error.message}"
        raise InputError(text, where=where, repair=error.repair) from error
