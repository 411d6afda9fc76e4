"""Texts about steps and waits, which the live progress of a run and the later report of a run share."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from graphengine.kernel.inside import OTHERWISE, wait_of
from graphengine.kernel.reader import show
from graphengine.records.account import due_words, wait_line
from graphengine.records.words import cost, one_line, when
from graphengine.schemas.examples import example as an_example
from graphengine.schemas.words import choices
from graphengine.schemas.words import in_words as wanted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.cli.places import DatabaseOption
    from graphengine.cli.terminal import Channel, Part
    from graphengine.kernel.reader import AnswerRecord, Snapshot, Usage, WaitRecord
    from graphengine.records.account import Account
    from graphengine.records.visit_tree import Entry

_MOST: Final = 12
_SCHEMA_COLUMNS: Final = 300
_ALTERNATIVE: Final = 120
"""The maximum number of characters of an alternative answer that is shown as an example."""
_LINE: Final = 500
"""The maximum number of characters of a question that is shown on one line."""
_QUESTION: Final = 20_000
"""The maximum number of characters of a question that are shown, which is about ten screens."""


def arrow(account: Account) -> Sequence[Part]:
    """Return the end of a step's line: an arrow, the nodes that the step leads to, and the label of its edge."""
    if not account.targets:
        return ()
    parts: list[Part] = [" -> ", (", ".join(account.targets), "bold")]
    if account.edge:
        parts += [" ", (f"[{account.edge}]", "cyan")]
    return parts


def is_reported_at_end(entry: Entry, account: Account) -> bool:
    """Return whether the summary at the end of the run shows the failure of this step.

    The line of the step then leaves out the error, so that the error is not shown twice. The summary does not show
    failures in one arm of a fork.
    """
    return account.tone == "failed" and not account.targets and "~" not in entry.step.frame.rpartition("/")[2]


def explained(why: str | None, limit: int = 300) -> str:
    """Return the reason why a step took its edge, on one line. Returns "" if no condition was evaluated."""
    return one_line(why, limit) if why and why != OTHERWISE else ""


def is_offline(usage: Usage) -> bool:
    """Return whether models were called, but all of them answered without a language model, for example by rules."""
    return cost(usage) == "offline"


# --- what a run waits for ---


@dataclass(frozen=True, slots=True)
class OpenWait:
    """A question, a message or a time that a run waits for.

    Attributes:
        name: The name that the node gave to the wait.
        facts: The recorded wait, with its kind and its question or topic.
        since: When the wait began, in epoch seconds.
        answered: The recorded answer or message, if the run has not continued with it yet.
    """

    name: str
    facts: WaitRecord
    since: float
    answered: AnswerRecord | None = None


def all_waits(snapshot: Snapshot) -> list[OpenWait]:
    """Return everything that a run waits for, including the waits of nested graphs and of map items."""
    every = [(frame, *wait) for frame in snapshot.frames.values() for wait in frame.waits.items()]
    return [OpenWait(name, facts, frame.since, snapshot.posted.get(facts.id)) for frame, name, facts in every]


def show_waits(out: Channel, snapshot: Snapshot, graph: Sequence[str], place: DatabaseOption) -> None:
    """Show what a run waits for, and how each wait is answered.

    Args:
        out: The channel to write to.
        snapshot: The current state of the run.
        graph: Options such as `--graph FILE`, with which the suggested commands find the run's graph.
        place: The database of the run, which the suggested commands name if necessary.
    """
    waits = all_waits(snapshot)
    for wait in waits[:_MOST]:
        kind = wait.facts.kind
        first, *others = _format_whole_wait(wait, snapshot.run_id)
        out.prose("  ", (wait.name, "bold"), f": {first}", indent=2)
        for line in others:
            out.prose(f"    {line}".rstrip(), indent=0)
        out.line(("    since: ", "dim"), when(wait.since))
        if (given := wait.answered) is not None:
            value = one_line(json.dumps(given.value, ensure_ascii=False), _LINE)
            out.line(("    answered: ", "dim"), f"{value}, {f'by {given.by}, ' if given.by else ''}{when(given.at)}")
            words = place.command("resume", snapshot.run_id, *graph)
            out.line(("    waits for a worker, or: ", "dim"), words)
        elif wait_of(wait.name, wait.facts).answerable:
            value, alternatives = example(wait.facts)
            words = place.command("answer", snapshot.run_id, "--wait", wait.facts.id, *graph, arguments=[value])
            out.line(("    answer: ", "dim"), words, alternatives)
        elif kind == "receive":
            sent = [str(wait.facts.topic), "VALUE"]
            words = place.command("send", snapshot.run_id, *graph, arguments=sent)
            out.line(("    send: ", "dim"), words)
    if len(waits) > _MOST:
        out.line(f"  … {len(waits) - _MOST} more; show {snapshot.run_id} --json has them all")


def _format_whole_wait(wait: OpenWait, run_id: str) -> list[str]:
    """Return the lines that describe a wait.

    A long question is not cut to one line, because a person must read the question before they answer it.
    """
    question = show(wait.facts.question).strip()
    if wait.facts.kind != "ask" or (len(question) <= _LINE and "\n" not in question):
        return [wait_line(wait.name, wait.facts, wait.name)]
    lines = question[:_QUESTION].splitlines()
    if len(question) > _QUESTION:
        lines[-1] += f"… show {run_id} --json has all {len(question):,} characters"
    due = due_words(wait.facts)
    return [*lines, *([f"({due})"] if due else [])]


def example(facts: WaitRecord) -> tuple[str, str]:
    """Return an example of a valid answer to a question, and a note that describes other valid answers.

    A suggested `graphengine answer` command contains the example, and the note stands after the command.
    """
    if facts.kind == "pause":
        return "true", ""
    if facts.kind == "unknown":
        return "rerun", """  (if it did not happen; or fail, or '{"result": …}')"""
    return _suggest_fitting_answer(facts.schema or {})


def _suggest_fitting_answer(schema: Mapping[str, Any]) -> tuple[str, str]:
    if schema.get("type") == "boolean":
        return "yes", "  (or no)"
    if any(branch.get("type") == "boolean" for branch in schema.get("anyOf", ())):
        return "yes", f"  (or {', '.join(['no', *_iter_other_answers(schema)])})"
    if "enum" in schema or "const" in schema:
        first, *others = choices(schema)
        return first, f"  (or {', '.join(others)})" if others else ""
    fitting = an_example(schema)
    plain = fitting == "TEXT" or not schema
    return fitting or "JSON", "" if plain else f"  ({one_line(wanted(schema), _SCHEMA_COLUMNS)})"


def _iter_other_answers(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield examples of valid answers to a question, one for each kind of answer, except for yes and no.

    An example that is too long is replaced by a description.
    """
    for branch in schema["anyOf"]:
        fitting = None if branch.get("type") == "boolean" else an_example({**branch, "$defs": schema.get("$defs", {})})
        if fitting is not None:
            yield shlex.quote(fitting) if len(fitting) <= _ALTERNATIVE else one_line(wanted(branch), _SCHEMA_COLUMNS)
