"""`graphengine answer` and `graphengine send`: record an answer or a message, then resume the run in this process.

Recording needs no graph, and cannot be undone. Afterwards the run is driven until it ends or waits: these commands do
not wait while the run sleeps. If the run cannot be resumed here, for example because its graph is not found, the error
is reported, and a worker or a later `resume` continues the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from graphengine.cli import options
from graphengine.cli.context import Exit
from graphengine.cli.places import graph_words
from graphengine.errors import (
    CompileError,
    GraphChanged,
    GraphEngineError,
    GraphNotFound,
    InputError,
    RunIsDriven,
    RunNotResumable,
    SecretKeyWrong,
)
from graphengine.wings import ProjectBroken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from graphengine.api.runner import Runner
    from graphengine.cli.context import CommandContext
    from graphengine.kernel.extension import JsonValue
    from graphengine.kernel.reader import Snapshot
    from graphengine.kernel.store import RunInfo, Store
    from graphengine.runner.answers import Asked


@options.command(
    "answer",
    *options.DRIVING,
    cls=options.ValueCommand,
    examples="""
        graphengine answer post yes
        graphengine answer post-2 no --no-resume     # for a worker, or a later resume
        graphengine answer post-3 @answer.txt --wait approve@2
    """,
    exits={
        **options.DRIVES,
        0: "the run finished; or the answer is recorded, and another process continues the run",
        2: "the answer does not fit; or the graph asks a different question now, which the run then asks",
        3: "the run waits; or the answer is recorded, but the run could not be resumed here",
    },
)
@options.run_id
@click.argument("value", metavar="VALUE|@FILE|-", required=False)
@click.option(
    "--wait",
    metavar="ID",
    help="The id of the question, as `show` names it. The name of the question is enough if the run has asked "
    "no other question of this name. Required if the run asks several questions.",
)
@click.option("--by", metavar="NAME", default="", help="Who answers. The name is recorded as given, and shown.")
@options.no_resume
@options.graph
def answer(  # noqa: PLR0913 - one for each option
    context: CommandContext,
    run_id: str,
    value: str | None,
    wait: str | None,
    by: str,
    no_resume: bool,  # noqa: FBT001 - as click gives it
    reference: str | None,
) -> int:
    """Answer a run's question, and resume the run as `resume` does.

    To see the question, use `graphengine show`. Your answer, VALUE, is parsed as JSON if that is valid and fits the
    question. Otherwise, VALUE is text. A value that does not fit the question is refused, and nothing is recorded. Some
    values have a special meaning:

    - yes, no, true and false answer questions that ask for yes or no. They also answer questions that ask for a text.
    - 5 answers a question that asks for a number, and also one that asks for a text.
    - @FILE reads the value from a file, and - reads the value from stdin. The final line break is left out.
    - @@ at the beginning stands for a literal @.

    The command first records the answer, for which it does not need the run's graph. Then it resumes the run, and the
    exit code is that of `resume`. There are three exceptions:

    - The graph was changed and asks a different question now. The command does not record the answer, the run asks the
      new question, and the exit code is 2.
    - The run cannot be resumed here, for example because its graph is not found. The answer stays recorded, a worker or
      a later `resume` continues the run, and the exit code is 3.
    - --no-resume is given, or another process drives the run. The command only records the answer, and the exit code is
      0.
    """
    from graphengine.kernel.inside import question_of

    info, snapshot = _find_waiting_run(context, run_id, reference, resumes=not no_resume)
    asked = context.read(lambda store: question_of(store, snapshot, wait, snapshot.posted))
    if value is None:
        raise _build_missing_value_error(context, asked, info.id, wait, reference)
    payload = value_from(value, asked.facts.schema)

    async def send(runner: Runner) -> None:
        await runner.answer(info.id, payload, wait=asked.facts.id, by=by, through="cli")

    delivery = _Delivery(context, info.id, reference, send, "answer", "recorded", asked=asked)
    return delivery.record_only() if no_resume or info.driver is not None else delivery.record_and_resume(snapshot)


@options.command(
    "send",
    *options.DRIVING,
    cls=options.ValueCommand,
    examples="""
        graphengine send desk tips "Ants swim"
        graphengine send desk-2 tips @tip.txt --idempotency-key tip-1 --no-resume
    """,
    exits={
        **options.DRIVES,
        0: "the run finished; or the message is recorded, and another process continues the run",
        3: "the run waits; or the message is recorded, but the run could not be resumed here",
    },
)
@options.run_id
@click.argument("topic", metavar="TOPIC")
@click.argument("value", metavar="VALUE|@FILE|-")
@click.option(
    "--idempotency-key",
    metavar="KEY",
    help="Send at most one message with this key, so that you can safely repeat the command.",
)
@options.no_resume
@options.graph
def send(  # noqa: PLR0913 - one for each option
    context: CommandContext,
    run_id: str,
    topic: str,
    value: str,
    idempotency_key: str | None,
    no_resume: bool,  # noqa: FBT001 - as click gives it
    reference: str | None,
) -> int:
    """Send a message to a run, and resume the run as `resume` does if it waits and no process drives it.

    The message is kept until a node of the run receives its topic. The content of the message, VALUE, is parsed as JSON
    if that is valid. Otherwise, VALUE is text. Some values have a special meaning:

    - @FILE reads the value from a file, and - reads the value from stdin. The final line break is left out.
    - @@ at the beginning stands for a literal @.

    The command records the message first, which does not need the run's graph. The exit code depends on what follows:

    - If the command resumes the run, the exit code is that of `resume`.
    - If the run cannot be resumed here, for example because its graph is not found, a worker or a later `resume`
      continues the run, and the exit code is 3.
    - With --no-resume, or if the run does not wait, or if another process drives it, the exit code is 0.
    """
    info, snapshot = _find_waiting_run(context, run_id, reference, resumes=not no_resume)
    payload = value_from(value, None)

    async def post_it(runner: Runner) -> None:
        await runner.send(info.id, topic, payload, idempotency_key=idempotency_key)

    note = _note_of_unawaited_topic(snapshot, topic) if info.status == "waiting" else ""
    delivery = _Delivery(context, info.id, reference, post_it, "message", "sent", note)
    is_resumed = info.status == "waiting" and info.driver is None and not no_resume
    return delivery.record_and_resume(snapshot) if is_resumed else delivery.record_only()


def _find_waiting_run(
    context: CommandContext, run_id: str, reference: str | None, *, resumes: bool
) -> tuple[RunInfo, Snapshot]:
    """Check the options of `answer` or `send`, and return the run with its current state.

    Raises:
        click.UsageError: Some options have no effect with --no-resume.
        GraphEngineError: The run does not exist, or the result cannot be written.
    """
    from graphengine.cli.project import file_of
    from graphengine.cli.report import check_output
    from graphengine.records.now import load_now

    if not resumes and (context.limits or context.pauses or context.output is not None or context.models):
        raise click.UsageError(
            "--no-resume does not resume the run, so --limit, --model, --pause-before and --output have no effect: "
            "leave out --no-resume, or the other options"
        )
    if context.output is not None:
        check_output(context.output)
    context.use(file_of(reference), writes=True)
    full_id = context.find(run_id).id

    async def reading(store: Store) -> tuple[RunInfo, Snapshot]:
        snapshot = await load_now(store, full_id)
        return await store.info(full_id), snapshot

    return context.read(reading)


def _build_missing_value_error(
    context: CommandContext, asked: Asked, run_id: str, wait: str | None, reference: str | None
) -> InputError:
    """Return the error to show if the user gave no VALUE: it contains the question, and an example of an answer."""
    from graphengine.cli.steps import example
    from graphengine.records.account import wait_line

    value, others = example(asked.facts)
    words = [
        *(["--wait", wait] if wait is not None else []),
        *(["--graph", reference] if reference else []),
    ]
    repair = context.place.command("answer", run_id, *words, arguments=[value]) + others
    message = f"the command contains no answer to the run's question: {wait_line(asked.name, asked.facts, asked.name)}"
    return InputError(message, where=f"wait {asked.name}", repair=repair)


def _note_of_unawaited_topic(snapshot: Snapshot, topic: str) -> str:
    """Return a note for the sender if the run does not wait for a message on this topic; otherwise "".

    The topic can be misspelt, or the run can ask for the message later.
    """
    from graphengine.cli.steps import all_waits

    topics = [str(wait.facts.topic) for wait in all_waits(snapshot) if wait.facts.kind == "receive"]
    if topic in topics:
        return ""
    others = f"; the run waits for a message on {', '.join(map(repr, dict.fromkeys(topics)))}" if topics else ""
    return f"the run does not wait for a message on {topic!r} at present, and keeps the message for later{others}"


def value_from(raw: str, schema: Mapping[str, JsonValue] | None) -> JsonValue:
    """Parse the argument VALUE of `answer` and `send`, which is JSON or text, or names a file (`@FILE`) or stdin (`-`).

    Args:
        raw: The argument; a leading `@@` means a literal `@`.
        schema: The JSON Schema that the value must fit; None if any value is valid.

    Raises:
        InputError: A file cannot be read, or stdin is not text.
    """
    from graphengine.kernel.inside import parse_answer
    from graphengine.records.whole_characters import with_whole_characters

    text = read_answer(raw)
    if text.startswith(('"', "[", "{")):
        text = with_whole_characters(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
    return parse_answer(text, schema)


def read_answer(raw: str) -> str:
    """Return the text of the argument VALUE, or of the file (`@FILE`) or of stdin (`-`).

    Raises:
        InputError: A file cannot be read.
    """
    from graphengine.cli.inputs import read_text

    if raw.startswith("@@"):
        return raw[1:]
    if raw != "-" and not raw.startswith("@"):
        return raw
    return read_text(raw.removeprefix("@"), f"VALUE {raw}").removesuffix("\n").removesuffix("\r")


def _is_left_to_others(error: GraphEngineError) -> bool:
    """Return whether another process may be able to resume a run that this process could not resume.

    `error` tells why this process could not. For example, the graph's file is missing on this machine, but a worker on
    another machine may have it.
    """
    from graphengine.cli.project import GraphFileBroken

    own = (SecretKeyWrong, CompileError, GraphChanged, GraphNotFound)
    return isinstance(error, (*own, InputError, RunNotResumable, GraphFileBroken, ProjectBroken))


@dataclass(frozen=True, slots=True)
class _Delivery:
    """The job of `graphengine answer` or `graphengine send`: record an answer or a message for a run, then resume it.

    Attributes:
        context: The context of the command.
        run_id: The id of the run.
        reference: The value of `--graph`; None without the option.
        send: A function that records the answer or the message with a given runner.
        name: What is recorded, as the user reads it: "answer" or "message".
        outcome: What was done, as the JSON document states it: "recorded" or "sent".
        note: A note to show to the user; "" if there is none.
        asked: The question that is answered; None for a message.
    """

    context: CommandContext
    run_id: str
    reference: str | None
    send: Callable[[Runner], Awaitable[None]]
    name: str
    outcome: str
    note: str = ""
    asked: Asked | None = None

    def record_and_resume(self, snapshot: Snapshot) -> int:
        """Record the answer or message, resume the run, and return the exit code.

        If this process cannot resume the run, but another process may be able to, the command only reports that the
        answer or message is recorded.

        Raises:
            GraphEngineError: The answer or message was refused, or the store failed.
        """
        from graphengine.cli.driving import limits_of, resume
        from graphengine.cli.models import models_for
        from graphengine.cli.project import graph_of
        from graphengine.cli.report import DriveJob

        context = self.context
        limits = limits_of(context, snapshot)
        if context.models:  # fail before the answer is recorded
            models_for(context.models, graph_of(snapshot.graph, self.reference))
        if self.asked is not None:
            self._check_question(self.asked, snapshot)
        self._record()
        try:
            found = graph_of(snapshot.graph, self.reference)
            found.graph.compile()
            return resume(DriveJob(context, found, self.run_id, snapshot, limits, sleeps=False))
        except RunIsDriven:  # another process, such as a worker, was faster
            return self._report()
        except GraphEngineError as error:
            if not _is_left_to_others(error):
                raise
            return self._report(error)

    def _check_question(self, asked: Asked, snapshot: Snapshot) -> None:
        """Check that the run's graph, which can have changed, still asks the question which the user answers.

        If the graph now asks another question, the run is first resumed until it asks this question.

        Raises:
            QuestionChanged: The graph asks another question, so the answer is not recorded.
        """
        from graphengine.api.runner import Runner
        from graphengine.cli.driving import resume_to_rest
        from graphengine.cli.project import graph_of
        from graphengine.cli.report import DriveJob
        from graphengine.kernel.inside import asks_anew, lives_of
        from graphengine.kernel.reader import load_snapshot, waits_of

        context = self.context

        async def is_changed() -> bool:
            shared = lives_of(Runner(context.store)).shared  # this runner drives nothing, so it need not be closed
            return await asks_anew(shared, found.graph.compile(), self.run_id, asked.facts.id)

        try:
            found = graph_of(snapshot.graph, self.reference)
            if not context.run(is_changed()):
                return
        except GraphEngineError:  # the resume reports the error after the answer is recorded
            return
        resume_to_rest(DriveJob(context, found, self.run_id, snapshot, sleeps=False))
        now = context.read(lambda store: load_snapshot(store, self.run_id, None))
        raise asked.changed(self.run_id, waits_of(now))

    def record_only(self) -> int:
        """Record the answer or message without resuming the run, and return the exit code.

        The process that drives the run now or later continues with the answer or message.

        Raises:
            GraphEngineError: The answer or message was refused.
        """
        self._record()
        return self._report()

    def _record(self) -> None:
        from graphengine.api.runner import Runner

        async def recording() -> None:
            await self.send(Runner(self.context.store))  # this runner drives nothing, so it need not be closed

        self.context.run(recording())
        if self.note:
            self.context.err.prose(self.note)

    def _report(self, error: GraphEngineError | None = None) -> int:
        """Show that the answer or message is recorded, and which process or command continues the run.

        If an error kept this process from resuming the run, show the error too.
        """
        context = self.context
        code = Exit.FINISHED if error is None else Exit.WAITING
        if context.json:
            from msgspec import UNSET

            from graphengine.cli.documents import AnswerDocument, Sent
            from graphengine.records.base_documents import refusal_of

            kind = AnswerDocument if self.name == "answer" else Sent
            context.document(kind(run_id=self.run_id, error=UNSET if error is None else refusal_of(error)))
            return code
        info = context.read(lambda store: store.info(self.run_id))
        context.out.line(f"the {self.name} is {self.outcome}")
        if error is not None:
            context.err.prose(("not resumed here", "bold yellow"), f": {error.message}")
            if error.where:
                context.err.prose(("  at: ", "dim"), error.where)
            if error.repair and not isinstance(error, GraphNotFound):  # the resume command below is the repair
                context.err.prose(("  repair: ", "bold"), error.repair)
        if info.driver is not None:
            context.err.line(
                f"run {info.id} is driven by {self._describe_process(info) or 'a process'}, which continues it"
            )
        elif info.status == "waiting" and (worker := self._describe_process(info)):
            context.err.line(f"run {info.id} is taken by a worker, {worker}, which continues it")
        elif info.status != "finished":
            is_known = self.reference is not None and not isinstance(error, GraphNotFound)
            words = ["--graph", str(self.reference)] if is_known else graph_words(info.graph)
            resume = context.place.command("resume", info.id, *words)
            is_over = info.status not in ("waiting", "running")
            idle = f"no process drives run {info.id}; start `graphengine worker`, or resume: "
            context.err.line((f"run {info.id} is {info.status}; resume: " if is_over else idle, "dim"), resume)
        return code

    def _describe_process(self, info: RunInfo) -> str:
        """Describe the process that will go on with the run: the one that drives it, or a worker that can take it.

        The result is "" if there is no such process.
        """
        from graphengine.records.at_work import DrivingProcess, process_words

        owners = self.context.read(lambda store: store.owners())
        if info.driver is not None:
            takes = [each for each in owners if each.id == info.driver]
        else:
            takes = [each for each in owners if each.role is not None and info.graph in each.role.get("graphs", ())]
        return process_words(DrivingProcess(takes[0].host, takes[0].pid)) if takes else ""
