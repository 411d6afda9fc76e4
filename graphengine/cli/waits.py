"""What a run waits for, in words, each with the command that answers it, ready to be pasted into a shell."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET

from graphengine.cli.places import command
from graphengine.cli.terminal import one_line
from graphengine.cli.times import when
from graphengine.runner.answer_schema import choices
from graphengine.runner.answer_schema import example as an_example
from graphengine.runner.answer_schema import in_words as wanted
from graphengine.stores.summaries import wait_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.cli.places import Place
    from graphengine.cli.terminal import Channel
    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import WaitRecord
    from graphengine.state.json_values import JsonValue

ANSWERED: Final = ("ask", "pause", "crash")
"""The kinds of waits that an answer ends."""

_MOST: Final = 12
_SCHEMA_COLUMNS: Final = 300
_ALTERNATIVE: Final = 120
"""The most characters of another answer that is shown as an example."""
_LINE: Final = 500
"""The most characters of a question that is shown on one line."""
_QUESTION: Final = 20_000
"""The most characters of a question that are shown: some ten screens."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One thing that a run waits for: its name, its record, and since when, epoch seconds."""

    name: str
    facts: WaitRecord
    since: float

    @property
    def due(self) -> str:
        """When it ends by itself, and how; "" for never."""
        due, default = self.facts.due, self.facts.default
        if due is None:
            return ""
        if self.facts.kind == "sleep":
            return f"until {when(due)}"
        return f"until {when(due)}, then " + ("it fails" if default is UNSET else f"the answer is {_compact(default)}")


def all_waits(snapshot: Snapshot) -> list[Waiting]:
    """Return everything that a run waits for, in the order of its frames."""
    return [
        Waiting(name, facts, frame.since) for frame in snapshot.frames.values() for name, facts in frame.waits.items()
    ]


def in_words(name: str, facts: WaitRecord, path: str) -> str:
    """Return a wait on one line; its name is left out if it is the path."""
    kind, text = facts.kind, wait_words(name, facts, path=path, characters=_LINE)
    due = Waiting(name, facts, 0.0).due
    return text + (f" ({due})" if due and kind != "sleep" else f" {due}" if due else "")


def show_waits(out: Channel, snapshot: Snapshot, graph: Sequence[str], place: Place) -> None:
    """Show what a run waits for, and how each is answered.

    Args:
        out: The channel to write to.
        snapshot: The run.
        graph: The options that a command needs to find the graph.
        place: Where the run is stored.
    """
    waits = all_waits(snapshot)
    is_one = sum(wait.facts.kind in ANSWERED for wait in waits) == 1
    for wait in waits[:_MOST]:
        kind = wait.facts.kind
        first, *others = _whole(wait, snapshot.run_id)
        out.prose("  ", (wait.name, "bold"), f": {first}", indent=2)
        for line in others:
            out.prose(f"    {line}".rstrip(), indent=0)
        out.line(("    since: ", "dim"), when(wait.since))
        if kind in ANSWERED:
            value, alternatives = example(wait.facts)
            named = [*([] if is_one else ["--question", wait.name]), *graph]
            words = command("answer", snapshot.run_id, *named, place=place, arguments=[value])
            out.line(("    answer: ", "dim"), words, alternatives)
        elif kind == "receive":
            sent = [str(wait.facts.topic), "VALUE"]
            words = command("send", snapshot.run_id, *graph, place=place, arguments=sent)
            out.line(("    send: ", "dim"), words)
    if len(waits) > _MOST:
        out.line(f"  … {len(waits) - _MOST} more; show {snapshot.run_id} --json has them all")


def _whole(wait: Waiting, run_id: str) -> list[str]:
    """Return a wait as lines; a question is kept whole, since it has to be read before it is answered."""
    question = wait.facts.question.strip()
    if wait.facts.kind != "ask" or (len(question) <= _LINE and "\n" not in question):
        return [in_words(wait.name, wait.facts, wait.name)]
    lines = question[:_QUESTION].splitlines()
    if len(question) > _QUESTION:
        lines[-1] += f"… show {run_id} --json has all {len(question):,} characters"
    return [*lines, *([f"({wait.due})"] if wait.due else [])]


def example(facts: WaitRecord) -> tuple[str, str]:
    """Return an answer that fits, ready to be pasted, and a note on the alternatives."""
    if facts.kind == "pause":
        return "true", ""
    if facts.kind == "crash":
        return "rerun", """  (or fail, or '{"result": …}', the node's result)"""
    return _fitting(facts.schema or {})


def _fitting(schema: Mapping[str, Any]) -> tuple[str, str]:
    if schema.get("type") == "boolean":
        return "yes", "  (or no)"
    if any(branch.get("type") == "boolean" for branch in schema.get("anyOf", ())):
        return "yes", f"  (or {', '.join(['no', *_others(schema)])})"
    if "enum" in schema or "const" in schema:
        first, *others = choices(schema)
        return first, f"  (or {', '.join(others)})" if others else ""
    fitting = an_example(schema)
    plain = fitting == "TEXT" or not schema
    return fitting or "JSON", "" if plain else f"  ({one_line(wanted(schema), _SCHEMA_COLUMNS)})"


def _others(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield an answer that fits, as words of a shell, for each branch of a schema other than a yes-or-no question."""
    for branch in schema["anyOf"]:
        fitting = None if branch.get("type") == "boolean" else an_example({**branch, "$defs": schema.get("$defs", {})})
        if fitting is not None:
            yield shlex.quote(fitting) if len(fitting) <= _ALTERNATIVE else one_line(wanted(branch), _SCHEMA_COLUMNS)


def _compact(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False)
