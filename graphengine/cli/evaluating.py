"""`graphengine eval`: run a graph on a data set, and score and compare the results."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from typing_extensions import override

from graphengine.cli import options
from graphengine.cli.context import Exit, as_json
from graphengine.cli.places import program
from graphengine.cli.report import DriveJob
from graphengine.cli.terminal import OutputFailed, text_columns
from graphengine.errors import GraphNotFound, InputError
from graphengine.records.words import counted, seconds, usd

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.api.runner import Runner
    from graphengine.cli.context import CommandContext
    from graphengine.cli.models import Chosen
    from graphengine.cli.project import Found
    from graphengine.cli.report import StoredOutcome
    from graphengine.kernel.extension import Run, Runnable
    from graphengine.testing.evaluation import Report, TrialReport

SCORERS: Final = "SCORERS"
"""The variable of a file that contains its scorers: a dict by name, or a list."""
_NO_RESUME: Final = "--no-resume"
_EXITS: Final[Mapping[int, str]] = {
    **options.DRIVES,
    Exit.FINISHED: "every threshold is reached, or no threshold is given",
    Exit.FAILED: "a threshold is not reached, or the evaluation failed",
}


@options.command(
    "eval",
    *options.DRIVING,
    examples="""
        graphengine eval review --data cases.jsonl
        graphengine eval review --data cases.jsonl --scorers scorers.py -o report.json
        graphengine eval review --data cases.jsonl --threshold brief=0.5
        graphengine eval review --data cases.jsonl --against flows/review.py
        graphengine eval review --data cases.jsonl --run-id night
    """,
    exits=_EXITS,
)
@click.argument("reference", metavar="FILE[:NAME]|NAME", shell_complete=options.complete_graphs)
@click.option(
    "--data",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path, readable=False),
    help='The file with the cases, one JSON object per line: {"name": "…", "input": {…}, "expected": …}. An '
    "item @file or @folder in a list of the input stands for the contents of the files. Its path is relative to "
    "the file with the cases.",
)
@click.option(
    "--scorers",
    metavar="FILE[:NAME]",
    help=f"The Python file that defines the scorers in the variable {SCORERS}, or NAME. The variable is a dict or a "
    "list of functions and agents. By default, this is the graph's file.",
)
@click.option(
    "--against",
    metavar="FILE[:NAME]|[WHO=]MODEL",
    multiple=True,
    help="Compare with another version of the graph, or with other models in the form of --model. May be "
    "repeated for models.",
)
@click.option(
    "--threshold",
    "thresholds",
    metavar="[SCORER=]NUMBER",
    multiple=True,
    help="The lowest acceptable mean of one scorer, or of all scorers, from 0 to 1. If a mean is lower, the "
    "command exits with code 1. May be repeated.",
)
@click.option(
    "--concurrency", type=click.IntRange(min=1), default=8, show_default=True, help="How many cases run at a time."
)
@click.option(
    "--run-id", metavar="ID", help="The id of the evaluation's run. If this run exists, the evaluation is resumed."
)
@click.option(
    "--act", is_flag=True, help="Let the graph's effects on the outside world happen. By default, they are refused."
)
@options.tags
def eval_(  # noqa: PLR0913 - one for each option
    context: CommandContext,
    reference: str,
    data: Path,
    scorers: str | None,
    against: tuple[str, ...],
    thresholds: tuple[str, ...],
    concurrency: int,
    run_id: str | None,
    act: bool,  # noqa: FBT001 - as click gives it
    tags: tuple[str, ...],
) -> int:
    """Run a graph on every case of a data set, score the results, and compare two versions.

    A scorer is a function or an agent that judges the result of a case of the data set. The names of its parameters say
    what the scorer reads: fields of the graph's final state, `output`, `label`, `expected` or `case`. A scorer returns
    a number from 0 to 1, a bool, a `Score`, or None if it does not apply to the case.

    The evaluation is itself a run, which records every step and every cost. After an interruption, the same command
    with --run-id resumes the evaluation. A case whose graph fails counts as 0, and the other cases still run. An
    evaluation cannot pause, so the command refuses --pause-before.

    With --model, you choose the models of the graph. If a scorer is an agent, --model WHO=NAME chooses the model of the
    scorer whose name is WHO.
    """
    from graphengine.cli.driving import drive_to_rest
    from graphengine.cli.report import check_output, report
    from graphengine.testing.evaluation import EvaluationState, check_cases, evaluation, read_cases
    from graphengine.testing.evaluation.evaluating import begin

    if context.pauses:
        raise click.UsageError(
            "an evaluation cannot pause before a node; use `run --pause-before` with the input of one case"
        )
    if context.output is not None:
        check_output(context.output)
    plan = _plan_evaluation(reference, scorers, against, context.models)
    least = _parse_thresholds(thresholds, plan.scorers)
    cases = read_cases(data)
    for found in filter(None, (plan.found, plan.other)):
        found.graph.compile()
        check_cases(found.graph, cases, str(data))
    other = None if plan.other is None else plan.other.graph.but()
    evaluation_graph = evaluation(plan.found.graph, plan.scorers, against=other, concurrency=concurrency)
    context.use(plan.found.file, writes=True)
    again = _remove_option(context.words[1:], "--run-id")
    job = _EvaluationJob(context, replace(plan.found, graph=evaluation_graph), is_in_file=False, again=again)
    job.models = job.chosen = plan.chosen
    job.effects = "act" if act else {}
    limits = options.limits_from(context.limits, evaluation_graph.limits) if context.limits else None
    state = EvaluationState(cases=list(cases), versions=list(plan.names))

    async def start(runner: Runner) -> Run[Any]:
        return await begin(runner, evaluation_graph, state, run_id, limits=limits, tags=tags)

    ended = drive_to_rest(job, start)
    return _show_scores(job, ended, least) if ended.result.status == "finished" else report(job, ended)


@dataclass(slots=True)
class _EvaluationJob(DriveJob):
    """The run in which `graphengine eval` evaluates a graph.

    Only the `eval` command can resume this run, because the command makes the graph of the run, which is in no file.

    Attributes:
        again: The words of this command line, without `--run-id`. The suggested command that continues the run repeats
            them.
    """

    again: Sequence[str] = ()

    @override
    def resume_command(self, run_id: str, *more: str) -> str:
        """Return the command that continues the evaluation: this command with the id of the run.

        A limit in `more` replaces the same limit of this command.
        """
        words, again = [word for word in more if word != _NO_RESUME], self.again
        for name in (word.partition("=")[0] for word in words if "=" in word):
            again = _remove_option(again, "--limit", f"{name}=")
        return shlex.join([*program(), "eval", *again, *words, "--run-id", run_id])

    @property
    @override
    def words(self) -> list[str]:
        """The option that a suggested `answer` command needs, because `answer` cannot find the graph."""
        return [_NO_RESUME]


@dataclass(frozen=True, slots=True)
class _EvaluationPlan:
    """What `graphengine eval` runs: the graphs, the scorers and the models.

    Attributes:
        found: The graph under test.
        scorers: The scorers by name.
        other: The version with which the graph is compared; it can be the same graph with other models. None without a
            comparison.
        names: The names of the versions.
        chosen: The models. Each key names an agent and the version of the graph in which the model is used.
    """

    found: Found
    scorers: Mapping[str, Runnable]
    other: Found | None
    names: Sequence[str]
    chosen: Chosen


def _plan_evaluation(
    reference: str, scorers: str | None, against: Sequence[str], models: Sequence[str]
) -> _EvaluationPlan:
    """Find the graphs, the scorers and the models that the options of the command name.

    Raises:
        GraphEngineError: A file, a graph, a scorer or a model does not exist.
    """
    from graphengine.cli.models import models_for, split
    from graphengine.cli.project import find
    from graphengine.testing.evaluation.evaluating import routes
    from graphengine.testing.evaluation.graph import AGAINST, SUBJECT

    found = find(reference)
    named = scorers_of(found, scorers)
    judges = judges_in(named)
    for_judges = [text for text in models if split(text)[0] in judges]
    own = [text for text in models if text not in for_judges]
    chosen = routes(SUBJECT, models_for(own, found))
    chosen |= dict(map(split, for_judges))
    subject = " ".join((found.graph.name, *own))
    if not against:
        return _EvaluationPlan(found, named, None, [subject], chosen)
    graphs = [text for text in against if _names_graph(text, found)]
    others = [text for text in against if text not in graphs]
    if len(graphs) > 1 or (graphs and others):
        raise click.BadParameter("give either one graph, or one or more models", param_hint="--against")
    other = find(graphs[0]) if graphs else found
    replaced = {split(text)[0] for text in others}
    theirs = [*others, *(text for text in own if split(text)[0] not in replaced)]
    chosen |= routes(AGAINST, models_for(theirs, other))
    return _EvaluationPlan(
        found, named, other, [subject, " ".join((graphs or [found.graph.name])[:1] + theirs)], chosen
    )


def _names_graph(text: str, found: Found) -> bool:
    """Return whether the value of `--against` names a graph to compare with. Otherwise it names a model.

    Raises:
        InputError: The text names neither a graph nor a model.
    """
    from graphengine.cli.models import models_for
    from graphengine.cli.project import file_of, find

    if file_of(text) is not None and "@http" not in text:
        return True
    try:
        models_for([text], found)
    except InputError as not_a_model:
        try:
            find(text)
        except GraphNotFound as error:
            message = f"{text} is neither a model ({not_a_model.message}) nor a graph ({error.message})"
            raise InputError(message, where=f"--against {text}", repair=not_a_model.repair) from None
        return True
    return False


def scorers_of(found: Found, given: str | None) -> Mapping[str, Runnable]:
    """Return the scorers in the file that `--scorers` names, or else in the graph's file.

    Raises:
        InputError: The file contains no scorers.
        GraphNotFound: The file does not exist.
        GraphFileBroken: The file cannot be run.
        DefinitionError: The scorers are invalid.
    """
    from collections.abc import Mapping as AnyMapping

    from graphengine.cli.project import load
    from graphengine.testing.evaluation.graph import named_scorers

    file, _, name = (given or "").partition(":")
    module = load(Path(file)) if given else found.module
    value: object = getattr(module, name or SCORERS, None)
    if not isinstance(value, (AnyMapping, list, tuple)):
        where = str(module.__file__)
        message = f"{Path(where).name} has no variable {name or SCORERS} that contains a dict or a list of scorers"
        repair = f"write {name or SCORERS} = [function, agent] in this file, or name another file with --scorers FILE"
        raise InputError(message, where=where, repair=repair)
    return named_scorers(value)


def judges_in(scorers: Mapping[str, Runnable]) -> set[str]:
    """Return the names of those scorers that are agents. The option `--model` can choose models for them."""
    from graphengine.agents import Agent
    from graphengine.kernel.extension import Node

    inner = [scorer.runnable if isinstance(scorer, Node) else scorer for scorer in scorers.values()]
    return {scorer.name for scorer in inner if isinstance(scorer, Agent)}


def _parse_thresholds(given: Sequence[str], scorers: Mapping[str, Runnable]) -> dict[str, float]:
    """Parse the values of `--threshold`, which set the lowest acceptable mean of a scorer's scores.

    The result contains the means by the names of the scorers. The mean under the key "" applies to all scorers.

    Raises:
        click.BadParameter: A number is not from 0 to 1, or there is no such scorer.
    """
    least: dict[str, float] = {}
    for text in given:
        name, _, number = text.rpartition("=")
        if name and name not in scorers:
            raise click.BadParameter(
                f"{name!r} is not a scorer; the scorers are {', '.join(map(repr, scorers))}", param_hint="--threshold"
            )
        try:
            least[name] = float(number)
        except ValueError:
            least[name] = -1.0
        if not 0 <= least[name] <= 1:
            raise click.BadParameter(f"{number!r} is not a number from 0 to 1", param_hint="--threshold")
    return least


def _remove_option(words: Sequence[str], option: str, start: str = "") -> list[str]:
    """Remove an option from the words of a command line, wherever its value begins with the given text."""
    rest, kept = iter(words), list[str]()
    for word in rest:
        option_words = (word, next(rest, "")) if word == option else (word,)
        if not "=".join(option_words).startswith(f"{option}={start}"):
            kept += option_words
    return kept


# --- the report ---

_REASONS: Final = 10
"""The maximum number of reasons of low scores that are shown. `--json` contains all reasons."""


def _show_scores(job: DriveJob, ended: StoredOutcome, least: Mapping[str, float]) -> int:
    """Show the scores of a finished evaluation, and return the exit code.

    Raises:
        OutputFailed: The report cannot be written to its file.
    """
    from msgspec.structs import replace as changed

    from graphengine.testing.evaluation import report_of

    report = report_of(ended.result, ended.steps)
    report = changed(report, below=report.missed(least))
    out, err = job.context.out, job.context.err
    if job.context.json:
        job.context.document(report)
    else:
        rows = [_build_case_row(report, each) for each in zip(*(v.trials for v in report.versions), strict=True)]
        means = [_format_score_arrow([v.means[scorer] for v in report.versions]) for scorer in report.scorers]
        rows.append(["mean", *means, _format_cost_arrow([version.cost_usd for version in report.versions]), "", ""])
        out.table(text_columns(["case", *report.scorers, "cost", "time", "failed"], "time", "cost"), rows)
        for line in _iter_report_lines(report):
            out.line(line)
    if job.context.output is not None:
        _write_report(job.context.output, as_json(report) + "\n")
        err.line(f"the report is in {job.context.output}")
    err.line(("look:   ", "dim"), job.context.place.command("show", report.run_id))
    for reason in report.below:
        err.prose(("below the threshold", "bold red"), f": {reason}")
    return Exit.FAILED if report.below else Exit.FINISHED


def _write_report(path: Path, text: str) -> None:
    from graphengine.output_file import write_file

    try:
        write_file(path, text.encode())
    except OSError as error:
        message = f"the report cannot be written: {error.strerror}"
        raise OutputFailed(message, where=str(path), repair="name another file with -o FILE") from error


def _iter_report_lines(report: Report) -> Iterator[str]:
    yield ""
    if report.against is not None:
        yield f"{report.subject.name} (right) against {report.against.name} (left)"
    for scorer in report.scorers:
        yield from _iter_differences(report, scorer)
    for version in report.versions:
        calls, offline = (sum(getattr(one, name) for one in version.trials) for name in ("calls", "offline_calls"))
        paid = f"{counted(calls, 'model call')}, " + (
            "all offline" if calls == offline else _format_case_cost(version.cost_usd)
        )
        yield f"{version.name}: {paid if calls else 'no model calls'}, {counted(len(version.failed), 'case')} failed"
    if report.scoring_usd is None or report.scoring_usd:
        yield f"the scorers: {_format_case_cost(report.scoring_usd)}"
    yield from _iter_lowest_reasons(report)


def _build_case_row(report: Report, trials: tuple[TrialReport, ...]) -> list[str]:
    scores = [_format_score_arrow([trial.value(scorer) for trial in trials]) for scorer in report.scorers]
    took = " → ".join(seconds(trial.seconds) for trial in reversed(trials))
    failed = "; ".join(dict.fromkeys(trial.failure for trial in trials if trial.failure))
    return [trials[0].case, *scores, _format_cost_arrow([trial.cost_usd for trial in trials]), took, failed]


def _format_score_arrow(values: list[float | None]) -> str:
    """Format the scores of the versions, such as `0.60 → 0.80`. The version to compare with comes first."""
    return " → ".join("none" if value is None else f"{value:.2f}" for value in reversed(values))


def _format_cost_arrow(values: list[float | None]) -> str:
    from graphengine.kernel.extension import dollars

    if not any(value is None or value for value in values):
        return ""
    return " → ".join("unknown" if value is None else f"${dollars(value)}" for value in reversed(values))


def _format_case_cost(value: float | None) -> str:
    return usd(value) or "cost unknown"


def _iter_differences(report: Report, scorer: str) -> Iterator[str]:
    found = report.differences.get(scorer)
    if found is not None:
        yield f"{scorer}: {found.text()}"
    for version in report.versions:
        unjudged = version.unjudged(scorer)
        if unjudged:
            why = unjudged[0].scores[scorer].failure
            yield f"{scorer} gave no score in {counted(len(unjudged), 'case')} of {version.name}: {why}"


def _iter_lowest_reasons(report: Report) -> Iterator[str]:
    found = [
        (score.value, trial.case, scorer, score.why)
        for trial in report.subject.trials
        for scorer, score in trial.scores.items()
        if score.value is not None and score.value < 1 and score.why and not trial.failure
    ]
    for value, case, scorer, why in sorted(found)[:_REASONS]:
        yield f"{case}, {scorer} {value:.2f}: {why}"
    if len(found) > _REASONS:
        yield f"{len(found) - _REASONS} more reasons with --json"
