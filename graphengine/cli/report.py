"""The report of a run: its result, why it ended, what it cost, and the commands that continue from here."""

from __future__ import annotations

import json
import os
import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json, to_jsonable_python

from graphengine.cli.context import Exit
from graphengine.cli.places import can_inspect, program, shown
from graphengine.cli.steps import all_waits, explained, is_offline, show_waits
from graphengine.cli.terminal import STATUS_STYLES, OutputFailed
from graphengine.errors import GraphEngineError
from graphengine.kernel.inside import (
    RESERVED,
    is_user_code,
    met_limit,
    progress_in,
    refusals_in,
    values_in,
)
from graphengine.kernel.reader import losses_of
from graphengine.models.errors import ModelUnavailable, PriceUnknown
from graphengine.output_file import write_file
from graphengine.records.words import clean, compact, counted, loss_words, one_line, seconds, usd, used

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from graphengine.agents.model_routing import AsBegun
    from graphengine.cli.context import CommandContext
    from graphengine.cli.models import Chosen
    from graphengine.cli.project import Found
    from graphengine.cli.terminal import Channel
    from graphengine.kernel.extension import Effects, JsonValue, Limits, Plan, Result
    from graphengine.kernel.reader import FailureRecord, GraphSpec, Snapshot, Step
    from graphengine.kernel.store import RunInfo
    from graphengine.models.base import Model
    from graphengine.records.base_documents import Document
    from graphengine.records.spending import SpentBelow

OFFLINE: Final = "no model wrote this: rules or placeholders answered"
_WITHOUT: Final = "no model could answer"
_OFFLINE_FIRST: Final = "offline: rules answer, no language model"
PLACEHOLDERS: Final = "dry run: placeholders answer, no model"

CODES: Final = {
    "finished": Exit.FINISHED,
    "failed": Exit.FAILED,
    "waiting": Exit.WAITING,
    "stopped": Exit.STOPPED,
    "cancelled": Exit.STOPPED,
    "running": Exit.DRIVEN,
}
_LAST_LINES: Final = 8
_VALUES: Final = 20
"""The maximum number of names of published values that are shown."""
_FIRST_LINES: Final = 16
"""The maximum number of lines of a text that are printed if the text is also written to a file."""
_RESULT_LINES: Final = 40
"""The maximum number of lines of a result that are printed as JSON on a terminal."""
_SCREEN_LINES: Final = 3
"""The maximum number of lines of a value on a terminal."""
_PIPE_LINES: Final = 24
_PIPE_COLUMNS: Final = 500
_INDENT: Final = 4
_AGENTS: Final = 5
"""The maximum number of agents that are listed with their costs, the most expensive first. `show --usage` lists all."""
_UNKNOWN_COST: Final = ["--limit", "unknown_cost=yes"]


@dataclass(slots=True)
class DriveJob:
    """What a command needs to drive one run and to report its outcome.

    Attributes:
        context: The context of the command.
        found: The graph of the run.
        run_id: The id of the recorded run that the command continues; "" if the command starts a run.
        snapshot: The current state of the recorded run.
        limits: The limits that replace the run's own limits; None if the command gives none.
        sleeps: Whether to wait while the whole run sleeps, instead of leaving the run to a worker.
        notes: Lines to show before the run begins.
        is_in_file: Whether other commands can find the graph in a file. The graph of an evaluation is in no file.
        chosen: The models that the run's agents were given. Agents that are not among these keys use their own models.
        models: The models of the command, in the form that a Runner accepts.
        is_known_offline: Whether all agents of the graph are known to answer without a language model.
        is_announced: Whether the user was shown which run is driven.
        effects: Whether effects outside the run happen, in the form that a Runner accepts.
    """

    context: CommandContext
    found: Found
    run_id: str = ""
    snapshot: Snapshot | None = None
    limits: Limits | None = None
    sleeps: bool = True
    notes: list[str] = field(default_factory=list)
    is_in_file: bool = True
    chosen: Chosen = field(default_factory=dict)
    models: Chosen | AsBegun = field(default_factory=dict)
    is_known_offline: bool = False
    is_announced: bool = False
    effects: Effects = "act"

    def __post_init__(self) -> None:
        from graphengine.cli.models import as_begun, in_force  # `show` needs no models

        if self.is_in_file:
            self.models = as_begun(self.context.models, {self.found.graph.name: self.found})
            self.chosen = in_force(self.models, self.found, self.snapshot)

    @property
    def needs_steps(self) -> bool:
        return self.context.json or not self.is_in_file

    @property
    def graph_words(self) -> list[str]:
        """The `--graph` option with which a suggested command finds the graph; empty if the graph's name is enough."""
        return ["--graph", self.found.reference] if self.found.reference else []

    @property
    def words(self) -> list[str]:
        """The options with which a suggested command continues the run in the same way."""
        output = ["-o", str(self.context.output)] if self.context.output is not None else []
        return [*self.model_words, *output, *self.graph_words]

    @property
    def model_words(self) -> list[str]:
        """The `--model` options of this command, so that a suggested command uses the same models."""
        return [word for name in self.context.models for word in ("--model", name)]

    def resume_command(self, run_id: str, *more: str) -> str:
        """Return the command that resumes the run with the options `more`."""
        return self.context.place.command("resume", run_id, *more)

    def announce(self, run_id: str) -> None:
        """Show the user which run this process drives, with notes and warnings.

        It is called when the start of the run is recorded.
        """
        self.is_announced = True
        err = self.context.err
        plan = self.found.graph.compile()
        err.prose("run ", (run_id, "bold"), f" of {plan.graph}, stored in {shown(self.context.place.database)}")
        self.is_known_offline = _has_offline_agents_only(plan, self.chosen)
        if not self.show_placeholders() and self.is_known_offline:
            err.line((_OFFLINE_FIRST, "yellow"))
        for note in self.notes:
            err.prose(note)
        for problem in () if self.run_id else plan.warnings:  # already shown when the run was started
            err.prose(("warning ", "bold yellow"), f"{problem.code} at {problem.where}: {problem.message}")

    def show_placeholders(self) -> bool:
        """If placeholders answer instead of models, tell the user, and show the options that choose real models.

        Returns:
            Whether placeholders answer.
        """
        from graphengine.cli.models import placeholders, ways_to_a_model

        if not placeholders(self.chosen):
            return False
        self.context.err.prose((PLACEHOLDERS, "yellow"), f"; for answers: {ways_to_a_model(self.found)}")
        return True


@dataclass(frozen=True, slots=True)
class StoredOutcome:
    """A run as it is stored after this process has stopped driving it.

    Attributes:
        result: The result of the run.
        info: What the database lists about the run.
        snapshot: The state of the run.
        asked_by: The signal that stopped the run; "" if no signal did.
        steps: The steps of the run, if the job needs them.
        before_last: Where a suggested branch would begin: the number of the step before the last visit that ended in
            this process, and a field that this step wrote. It is 0 and "" if no visit ended here.
        below: The costs of the child runs; None if they were not requested.
        specs: The specs of the graph, by fingerprint, if the job needs them.
    """

    result: Result[Any]
    info: RunInfo
    snapshot: Snapshot
    asked_by: str = ""
    steps: Sequence[Step] = ()
    before_last: tuple[int, str] = (0, "")
    below: SpentBelow | None = None
    specs: Mapping[str, GraphSpec] | None = None


def report(job: DriveJob, ended: StoredOutcome) -> int:
    """Write the result of a run, report its outcome, and return the exit code.

    Raises:
        OutputFailed: The result cannot be written.
    """
    from graphengine.cli.models import placeholders, ways_to_a_model

    context = job.context
    result = ended.result
    is_finished, is_cut = result.status == "finished", False
    if context.json:
        context.document(_build_run_document(job, ended))
    elif is_finished and (isinstance(result.output, str) or job.context.output is None):
        is_cut = _print_output(context.out, _cut_to_beginning(job, result.output))
    try:
        if job.context.output is not None and is_finished:
            _write_output(job, ended)
    finally:
        if context.debug and result.error is not None and result.error.traceback:
            context.err.line(result.error.traceback.rstrip())
        show_end(context.err, ended.snapshot, ended.asked_by)
        show_reasons(context.err, ended)
        if ended.snapshot.status == "waiting":
            show_waits(context.err, ended.snapshot, job.words, job.context.place)
            show_kept(context.err, ended.snapshot)
        show_refused(context.err, ended.snapshot)
        show_cost(context.err, ended.snapshot, ended.below)
        wants_model = result.error is not None and result.error.kind == ModelUnavailable.code
        if not placeholders(job.chosen) and (is_offline(ended.snapshot.usage) or wants_model):
            ways = f"; with a key or a local server: {ways_to_a_model(job.found)}" if job.is_in_file else ""
            context.err.prose((_WITHOUT if wants_model else OFFLINE, "yellow"), ways)
        if is_cut:
            whole_command = job.context.place.command("resume", result.run_id, "-o", "result.json", *job.graph_words)
            context.err.line(("whole:  ", "dim"), whole_command)
        show_next(job, ended)
        job.show_placeholders()
    if job.context.output is not None:
        done = f"the result is in {context.output}"
        context.err.prose(done if is_finished else f"{context.output} is not written: the run has no result")
    return Exit.STOPPED if _is_released(ended) else CODES[result.status]


def show_reasons(err: Channel, ended: StoredOutcome) -> None:
    """Show the result of a run that ended at FAIL, if the result is a text.

    The graph may explain in this text why the run failed.
    """
    failure, output = ended.snapshot.failure, ended.result.output
    if failure is not None and failure.kind == "fail" and isinstance(output, str):
        for line in output.splitlines():
            err.line("  ", line)


def _is_released(ended: StoredOutcome) -> bool:
    """Return whether a signal made this process release the run, so that a worker or `resume` can continue it."""
    return ended.result.status == "running" and bool(ended.asked_by)


def _build_run_document(job: DriveJob, ended: StoredOutcome) -> Document:
    """Return the JSON document about the run. Its output is the value that the graph declares with `result=`."""
    from graphengine.records.json_document import run_document

    facts = ended.info, ended.snapshot, ended.steps, ended.below
    if job.found.graph.result is None:
        return run_document(*facts, specs=ended.specs)
    output = ended.result.output if ended.result.status == "finished" else None
    output = to_jsonable_python(output, by_alias=False, fallback=str)
    return run_document(*facts, output, ended.specs)


def show_end(err: Channel, snapshot: Snapshot, asked_by: str = "") -> None:
    """Show how a run ended and why. If a signal stopped the run, `asked_by` names the signal."""
    stop, failure = snapshot.ending, snapshot.failure
    is_edge = failure is None or failure.kind == "fail"  # an edge to END or FAIL needs no further text
    why = explained(stop.why if stop is not None else "", 1000)
    if stop is not None and stop.reason == "asked" and asked_by:
        why = f"asked by {asked_by}"
    parts = [f" [{stop.label}]"] if stop is not None and stop.label else []
    if failure is not None and failure.path:
        parts += [f" at {failure.path}"]
    if is_edge and why:
        parts += [f": {why}"]
    if snapshot.status == "running" and asked_by:
        err.prose(("released", "bold yellow"), f": asked by {asked_by}; a worker or `resume` continues the run")
        return
    err.prose((snapshot.status, STATUS_STYLES.get(snapshot.status, "bold")), *parts)
    if failure is not None and not is_edge:
        show_failure(err, failure)


def show_kept(out: Channel, snapshot: Snapshot) -> None:
    """Show the messages that were sent to a run and that no node has received yet."""
    for topic, payloads in snapshot.mailbox.items():
        if payloads and not topic.startswith(RESERVED):
            out.line(f"  kept: {counted(len(payloads), 'message')} on {topic!r}, not received yet")


def show_refused(out: Channel, snapshot: Snapshot) -> None:
    """Show the newest messages that the nodes of a run refused, with the reasons."""
    for each in refusals_in(snapshot):
        where = f"the message on {each.topic!r} by {one_line(each.path)} (step {each.seq})"
        out.line(("refused", "yellow"), f": {where}: {one_line(each.reason)}")


def show_published(out: Channel, snapshot: Snapshot) -> None:
    """Show how far the maps of a run are, by their finished items, and the newest value under each published name."""
    for each in progress_in(snapshot):
        failed = f", {each.failed:,} failed" if each.failed else ""
        waiting = f", {each.waiting:,} wait" if each.waiting else ""
        out.line(f"{one_line(each.path)}: {each.done:,} of {each.of:,} items done{failed}{waiting}")
    newest = {each.name: each for each in reversed(values_in(snapshot))}
    for name, each in [*newest.items()][-_VALUES:]:
        place = f" in {one_line(each.item)}" if each.item else ""
        out.line(f"published {one_line(name)}{place}: {compact(each.value)} (step {each.seq})")


def show_failure(err: Channel, failure: FailureRecord) -> None:
    """Show a failure: its last lines, its location in the user's code, and the repair."""
    lines = f"{failure.kind}: {failure.message}".splitlines()
    left_out = len(lines) - _LAST_LINES
    shown_lines = lines if left_out <= 0 else [lines[0], f"… {left_out} lines left out", *lines[1 - _LAST_LINES :]]
    for line in shown_lines:
        err.prose("  ", (line[:500], "red"))
    named = failure.where if failure.where != f"node {failure.path}" else ""
    place = ", ".join(filter(None, (place_in_user_code(failure.traceback), named)))
    for word, text in (("at", place), ("repair", failure.repair)):
        if text:
            err.prose((f"  {word}: ", "dim"), text)


def place_in_user_code(traceback_text: str) -> str:
    """Find the last line of a traceback that is in the user's code, and return it as `file:line in function`.

    Returns "" if the traceback contains no user code.
    """
    found = ""
    for file, line, function in re.findall(r'^[ |+]*File "(.+)", line (\d+), in (.+)$', traceback_text, re.MULTILINE):
        if is_user_code(file):
            found = f"{file}:{line} in {function}"
    return found


def show_cost(err: Channel, snapshot: Snapshot, below: SpentBelow | None) -> None:
    """Show how many visits a run made, how long it took, and what its models and its child runs cost."""
    took = f"{counted(snapshot.steps, 'visit')} in {seconds(snapshot.elapsed_seconds)}"
    err.prose(f"{took}, {used(snapshot.usage)}")
    if len(snapshot.agents) > 1 and any(amount != 0 for amount in snapshot.agents.values()):
        dearest = sorted(snapshot.agents.items(), key=lambda each: (-(each[1] or 0.0), each[0]))
        more = f" and {len(dearest) - _AGENTS} more agents" if len(dearest) > _AGENTS else ""
        costs = [f"{name} {usd(amount) or 'an unknown amount'}" for name, amount in dearest[:_AGENTS]]
        err.prose(f"by agent: {', '.join(costs)}{more}")
    if snapshot.deaths and (snapshot.usage.get("calls") or 0):
        err.prose(f"not counted: model calls in flight, if any, at {counted(snapshot.deaths, 'death')} of its process")
    if words := loss_words(losses_of(snapshot.usage, snapshot.losses)):
        err.prose(f"losses on the way: {words}")
    if snapshot.inherited and any(snapshot.inherited.values()):
        err.prose(f"of that inherited from the parent: {used(snapshot.inherited)}")
    if below is not None and below.cost_usd != 0:
        amount = usd(below.cost_usd) or "an unknown amount"
        err.prose(f"besides, {counted(below.runs, 'child run')} cost {amount}")
    if below is not None and below.failed:
        err.prose((f"{below.failed:,} of {counted(below.runs, 'run')} below failed", "red"))


def show_next(job: DriveJob, ended: StoredOutcome) -> None:
    """Show the commands with which the user can look at, resume, branch and draw the run, as far as they apply.

    The suggested branch of a finished run repeats the last node. It sets another value for a field that the step before
    the node wrote.
    """
    info, place, graph = ended.info, job.context.place, job.graph_words
    err = job.context.err
    if can_inspect():
        err.line(("look:   ", "dim"), shlex.join([*program(), "inspect", *place.words]))
    if _can_resume(ended):
        higher = raised_limit(ended.snapshot)
        err.line(("resume: ", "dim"), job.resume_command(info.id, *higher, *job.words))
    at, field = ended.before_last if info.status == "finished" else (info.seq, "")
    if at > 0 and job.is_in_file:
        changed = ["--set", f"{field}=…"] if field else []
        words = ["branch", info.id, "--at", str(at), *changed, *job.model_words, *graph]
        err.line(("branch: ", "dim"), place.command(*words))
    picture = f"{info.id.lstrip('-') or 'run'}.svg".replace("/", "_")
    err.line(("draw:   ", "dim"), place.command("render", info.id, "-o", picture))


def _can_resume(ended: StoredOutcome) -> bool:
    """Return whether to suggest the command `resume` to the user at the end of this command.

    If a run waits only for answers and messages, `show_waits` already suggests the commands that continue the run.
    """
    if ended.info.status == "waiting":
        has_failed = any(frame.failure is not None for frame in ended.snapshot.frames.values())
        return has_failed or any(wait.facts.due is not None for wait in all_waits(ended.snapshot))
    return ended.info.status not in ("finished", "running") or _is_released(ended)


def raised_limit(snapshot: Snapshot) -> list[str]:
    """Return the `--limit` option that lets `resume` continue a run which reached a limit.

    Returns an empty list if the run reached no limit.
    """
    if snapshot.failure is not None and snapshot.failure.kind == PriceUnknown.code:
        return _UNKNOWN_COST
    if snapshot.ending is None or snapshot.ending.reason != "limit":
        return []
    reached = met_limit(snapshot)
    if reached is None:
        return []
    name, limit, used = reached
    if used is None:  # raising the limit does not help
        return _UNKNOWN_COST
    higher = 2 * max(used, limit) or 1
    return ["--limit", f"{name}={higher:.0f}" if name in ("visits", "tokens") else f"{name}={higher:g}"]


def _cut_to_beginning(job: DriveJob, output: object) -> object:
    """Return a short form of a result for the terminal, if the whole result is written to a file.

    Of a text, only the first lines are kept. Other results are returned unchanged.
    """
    if job.context.output is None or not isinstance(output, str):
        return output
    lines = output.rstrip().splitlines()
    left_out = len(lines) - _FIRST_LINES
    return "\n".join([*lines[:_FIRST_LINES], f"… {left_out} more lines"]) if left_out > 1 else output


def _print_output(out: Channel, output: object) -> bool:
    """Print the result of a run, and return whether it was shortened.

    Only a long result that is not a text is shortened, and only on a terminal.
    """
    if isinstance(output, str):
        out.write(clean(output).rstrip("\n") + "\n")
        return False
    text = _dump_output(output)
    if out.columns is None or text.count("\n") <= _RESULT_LINES:
        out.write(clean(text))
        return False
    value = to_jsonable_python(output, by_alias=False, fallback=str)
    return show_state(out, value if isinstance(value, dict) else {"result": value})


def check_output(path: Path) -> None:
    """Check that the result of a run can be written to a file, before the run begins.

    Raises:
        GraphEngineError: The result cannot be written there.
    """
    folder = path.parent
    if path.is_dir():
        message, repair = f"{path} is a folder, and not a file", "name a file in this folder"
    elif not folder.is_dir():
        message, repair = f"the folder '{folder}' does not exist", f"create the folder: mkdir -p {folder}"
    elif not os.access(path if path.exists() else folder, os.W_OK):
        message, repair = f"{path} cannot be written", "name another file"
    else:
        return
    raise GraphEngineError(message, where=f"--output {path}", repair=repair, code="bad_output")


def _write_output(job: DriveJob, ended: StoredOutcome) -> None:
    output, path = ended.result.output, str(job.context.output)
    text = output if isinstance(output, str) else _dump_output(output)
    try:
        write_file(path, text.encode(), is_private=True)
    except OSError as error:
        again = job.context.place.command("resume", ended.info.id, "-o", path, *job.graph_words)
        raise OutputFailed(
            f"the result cannot be written: {error.strerror}",
            where=path,
            repair=f"the run is finished and recorded; this command writes the run's result again: {again}",
        ) from error


def _dump_output(output: object) -> str:
    return to_json(output, indent=2, by_alias=False, fallback=str).decode() + "\n"


def _has_offline_agents_only(plan: Plan[Any], chosen: Chosen) -> bool:
    """Return whether all agents of a graph are known to answer without a model: by rules or by placeholders.

    Return False if the graph has no agent.
    """
    from graphengine.agents.budget import AgentPlace
    from graphengine.agents.model_routing import Models, is_object

    if any(is_object(model) for model in chosen.values()):
        return False
    models = Models(chosen)
    found: list[Model] = []
    for name, node in plan.nodes.items():
        for call in (node.call, *node.choices.values(), node.fallback and node.fallback.call):
            agent = getattr(call.body, "agent", None) if call else None
            if agent is not None:
                found.append(models.of(plan.graph, AgentPlace(name, agent.name), agent.model))
    if not found:
        return False
    from graphengine.models.base import RulesModel

    return all(isinstance(model, RulesModel) for model in found)


def show_state(out: Channel, values: Mapping[str, JsonValue], *, is_whole: bool = False) -> bool:
    """Show the fields of a state, and return whether a long value was cut.

    Args:
        out: The channel to write to.
        values: The fields.
        is_whole: Whether to show long values uncut.
    """
    is_cut, columns = False, out.columns
    for name, value in values.items():
        left_out = ""
        if is_whole:
            text = whole(value)
        elif columns is None:
            text, left_out = _cut_for_pipe(value)
        else:
            text, left_out = _cut_for_screen(value, _SCREEN_LINES * (columns - 2 * _INDENT) - len(name))
        out.prose((name, "bold"), ": ", text, (f" … {left_out} more" if left_out else "", "dim"), indent=_INDENT)
        is_cut |= bool(left_out)
    return is_cut


def whole(value: JsonValue) -> str:
    """Format a value for output without cutting it. JSON is used for values that are not texts.

    A text of several lines begins on a new line.
    """
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    lines = value.splitlines()
    return value.strip("\n") if len(lines) <= 1 else "".join(f"\n{' ' * _INDENT}{line}" for line in lines)


def _cut_for_screen(value: JsonValue, room: int) -> tuple[str, str]:
    """Cut a value to one line of the terminal, between words. `room` is the number of characters.

    Returns the line, and a description of what is left out.
    """
    text = one_line(clean(value if isinstance(value, str) else whole(value)), 1_000_000_000)
    if len(text) <= room:
        return text, ""
    room -= len(f" … {len(text):,} characters more")
    cut = text[: text.rfind(" ", room // 2, room) if " " in text[room // 2 : room] else room]
    return cut, f"{len(text) - len(cut):,} characters"


def _cut_for_pipe(value: JsonValue) -> tuple[str, str]:
    """Cut a value for output that does not go to a terminal, to a limited number of lines and characters.

    Returns the text, and a description of what is left out.
    """
    if not isinstance(value, str):
        text = whole(value)
        left_out = len(text) - _PIPE_COLUMNS
        return text[:_PIPE_COLUMNS], f"{left_out:,} characters" if left_out > 0 else ""
    lines = value.splitlines()
    shown = [line[:_PIPE_COLUMNS] for line in lines[:_PIPE_LINES]]
    left_out = sum(map(len, lines)) - sum(map(len, shown))
    return whole("\n".join(shown)), f"{left_out:,} characters" if left_out else ""
