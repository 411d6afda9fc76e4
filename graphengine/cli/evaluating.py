"""`graphengine eval`: run a graph on a data set, and score and compare the results."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from typing_extensions import override

from graphengine.cli import completing, helping, options
from graphengine.cli.places import place_of, program
from graphengine.cli.report import Job
from graphengine.cli.session import Exit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphengine.agents import Agent
    from graphengine.api.graph import Graph
    from graphengine.api.runner import Runner
    from graphengine.cli.models import Chosen
    from graphengine.cli.options import Given
    from graphengine.cli.project import Found
    from graphengine.cli.session import Session
    from graphengine.evaluation import Case, EvaluationState
    from graphengine.graph.definition import Runnable
    from graphengine.runner import Run

SCORERS: Final = "SCORERS"
"""The variable of a file that holds its scorers: a dict by name, or a list."""
_NO_RESUME: Final = "--no-resume"
_EXITS: Final[Mapping[int, str]] = {
    **helping.DRIVES,
    Exit.FINISHED: "every threshold is reached, or none is given",
    Exit.FAILED: "a threshold is not reached, or the evaluation failed",
}


@click.command(
    "eval",
    cls=helping.Command,
    examples="""
        graphengine eval review --data cases.jsonl
        graphengine eval review --data cases.jsonl --scorers scorers.py -o report.json
        graphengine eval review --data cases.jsonl --threshold brief=0.5
        graphengine eval review --data cases.jsonl --against flows/review.py
        graphengine eval review --data cases.jsonl --picture scores.svg --run-id night
    """,
    exits=_EXITS,
)
@click.argument("reference", metavar="FILE[:NAME]|NAME", shell_complete=completing.graphs)
@click.option(
    "--data",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path, readable=False),
    help='The cases, a JSON object on each line: {"name": "…", "input": {…}, "expected": …}. In a list of input, '
    "@file and @folder are read, relative to the data.",
)
@click.option(
    "--scorers",
    metavar="FILE[:NAME]",
    help=f"The scorers: a Python file with a dict or a list of functions and agents named {SCORERS}, or NAME. If not "
    "given, the graph's file.",
)
@click.option(
    "--against",
    metavar="FILE[:NAME]|[WHO=]MODEL",
    multiple=True,
    help="What to compare with: another version of the graph, or other models as --model takes them. May be repeated "
    "for models.",
)
@click.option(
    "--threshold",
    "thresholds",
    metavar="[SCORER=]NUMBER",
    multiple=True,
    help="The lowest acceptable mean, from 0 to 1, of one scorer or of all; below it the command exits with 1. May be "
    "repeated.",
)
@click.option("--concurrency", type=click.IntRange(min=1), default=8, show_default=True, help="Cases at a time.")
@click.option(
    "--picture",
    metavar="FILE",
    type=click.Path(path_type=Path, readable=False),
    help="Draw the scores of all cases into this file: .svg, .html, .png or .txt.",
)
@click.option("--run-id", metavar="ID", help="The run's id. If it is recorded, that evaluation is resumed.")
@options.tags
@click.pass_obj
@options.driving
def command(  # noqa: PLR0913 - one for each option
    session: Session,
    reference: str,
    data: Path,
    scorers: str | None,
    against: tuple[str, ...],
    thresholds: tuple[str, ...],
    concurrency: int,
    picture: Path | None,
    run_id: str | None,
    tags: tuple[str, ...],
    given: Given,
) -> int:
    """Run a graph on every case of a data set, score the results, and compare two versions.

    A scorer is a function or an agent that reads, by name, fields of the graph's final state, `output`, `label`,
    `expected` and `case`, and returns a number from 0 to 1, a bool, a `Score`, or None if it does not apply.

    The evaluation is a run: it is recorded with every step and every cost, and the same command with --run-id resumes
    it after an interruption. A case whose graph fails counts as 0 and does not stop the others. --model is for the
    graph, and for a scorer that is an agent of that name.
    """
    from graphengine.cli.driving import driven
    from graphengine.cli.report import check_output, report
    from graphengine.cli.scores import Wanted, show_scores
    from graphengine.evaluation import read_cases
    from graphengine.evaluation.evaluating import begin

    if given.pauses:
        raise click.UsageError("an evaluation pauses before no node; use `run --pause-before` on one case")
    for path in (given.output, picture):
        if path is not None:
            check_output(path)
    plan = _plan(reference, scorers, against, given.models)
    wanted = Wanted(_thresholds(thresholds, plan.scorers), picture, given.output)
    cases = read_cases(data)
    plan.check(cases, str(data))
    whole = plan.graph(concurrency)
    job = _Job(
        session, plan.as_found(whole), place_of(given.database, plan.found.file), is_in_file=False, again=_again()
    )
    job.chosen = plan.chosen
    limits = options.limits_from(given.limits, whole.limits) if given.limits else None
    state = plan.state(cases)

    async def start(runner: Runner) -> Run[Any]:
        return await begin(runner, whole, state, run_id, limits=limits, tags=tags)

    ended = driven(job, start)
    return show_scores(job, ended, wanted) if ended.result.status == "finished" else report(job, ended)


@dataclass(slots=True)
class _Job(Job):
    """An evaluation, which only its own command resumes: no file has its graph.

    Attributes:
        again: The words of this command without `--run-id`.
    """

    again: Sequence[str] = ()

    @override
    def resume_command(self, run_id: str, *more: str) -> str:
        """Return this command with the run's id."""
        words = [word for word in more if word != _NO_RESUME]
        return shlex.join([*program(), "eval", *self.again, *words, "--run-id", run_id])

    @property
    @override
    def words(self) -> list[str]:
        """Record an answer without resuming: `answer` cannot find the graph of an evaluation."""
        return [_NO_RESUME]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is evaluated.

    Attributes:
        found: The graph under test.
        scorers: The scorers by name.
        other: The other version, which can be the same graph; None without one.
        names: The names of the versions.
        chosen: The models, by keys that apply to one version.
    """

    found: Found
    scorers: Mapping[str, Runnable]
    other: Found | None
    names: Sequence[str]
    chosen: Chosen

    def graph(self, concurrency: int) -> Graph[EvaluationState]:
        """Return the graph of the evaluation."""
        from graphengine.evaluation import evaluation

        other = None if self.other is None else self.other.graph.but()
        return evaluation(self.found.graph, self.scorers, against=other, concurrency=concurrency)

    def check(self, cases: Sequence[Case], where: str) -> None:
        """Check the graphs and the cases before anything runs."""
        from graphengine.evaluation import check_cases

        for found in (self.found, self.other):
            if found is not None:
                found.graph.compile()
                check_cases(found.graph, cases, where)

    def state(self, cases: Sequence[Case]) -> EvaluationState:
        """Return the initial state of the evaluation."""
        from graphengine.evaluation import EvaluationState

        return EvaluationState(cases=list(cases), versions=list(self.names))

    def as_found(self, graph: Graph[EvaluationState]) -> Found:
        """Return the graph of the evaluation as one that was found in the file of the graph under test."""
        return replace(self.found, graph=graph)


def _plan(reference: str, scorers: str | None, against: Sequence[str], models: Sequence[str]) -> _Plan:
    """Return what to evaluate.

    Raises:
        GraphEngineError: A file, a graph, a scorer or a model does not exist.
    """
    from graphengine.cli.models import models_for, split
    from graphengine.cli.project import find
    from graphengine.evaluation.evaluating import routes
    from graphengine.evaluation.graph import AGAINST, SUBJECT

    found = find(reference)
    named = _scorers(found, scorers)
    judges = {agent.name for agent in _agents(named.values())}
    for_judges = [text for text in models if split(text)[0] in judges]
    own = [text for text in models if text not in for_judges]
    chosen = routes(SUBJECT, models_for(own, found))
    chosen |= dict(map(split, for_judges))
    subject = " ".join((found.graph.name, *own))
    if not against:
        return _Plan(found, named, None, [subject], chosen)
    graphs = [text for text in against if _is_graph(text, found)]
    others = [text for text in against if text not in graphs]
    if len(graphs) > 1 or (graphs and others):
        raise click.BadParameter("compare with one graph, or with models", param_hint="--against")
    other = find(graphs[0]) if graphs else found
    replaced = {split(text)[0] for text in others}
    theirs = [*others, *(text for text in own if split(text)[0] not in replaced)]
    chosen |= routes(AGAINST, models_for(theirs, other))
    return _Plan(found, named, other, [subject, " ".join((graphs or [found.graph.name])[:1] + theirs)], chosen)


def _is_graph(text: str, found: Found) -> bool:
    """Return whether `--against` names a graph; otherwise it names a model.

    Raises:
        InputError: It names neither.
    """
    from graphengine.cli.models import models_for
    from graphengine.cli.project import file_of, find
    from graphengine.errors import GraphNotFound, InputError

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


def _scorers(found: Found, given: str | None) -> Mapping[str, Runnable]:
    """Return the scorers of a file.

    Raises:
        InputError: The file has none.
        GraphNotFound, GraphFileBroken, DefinitionError: It cannot be read, or they are invalid.
    """
    from collections.abc import Mapping as AnyMapping

    from graphengine.cli.project import load
    from graphengine.errors import InputError
    from graphengine.evaluation.graph import named_scorers

    file, _, name = (given or "").partition(":")
    module = load(Path(file)) if given else found.module
    value: object = getattr(module, name or SCORERS, None)
    if not isinstance(value, (AnyMapping, list, tuple)):
        where = str(module.__file__)
        message = f"there are no scorers: {Path(where).name} has no {name or SCORERS} that is a dict or a list"
        raise InputError(message, where=where, repair=f"write {SCORERS} = [function, agent], or give --scorers FILE")
    return named_scorers(value)


def _agents(scorers: Iterable[object]) -> list[Agent[Any]]:
    from graphengine.agents import Agent
    from graphengine.graph.definition import Node

    inner = [scorer.runnable if isinstance(scorer, Node) else scorer for scorer in scorers]
    return [scorer for scorer in inner if isinstance(scorer, Agent)]


def _thresholds(given: Sequence[str], scorers: Mapping[str, Runnable]) -> dict[str, float]:
    """Return the least mean by scorer; "" for all.

    Raises:
        click.BadParameter: A number is not from 0 to 1, or there is no such scorer.
    """
    least: dict[str, float] = {}
    for text in given:
        name, _, number = text.rpartition("=")
        if name and name not in scorers:
            raise click.BadParameter(f"{text!r}: there are {', '.join(scorers)}", param_hint="--threshold")
        try:
            least[name] = float(number)
        except ValueError:
            least[name] = -1.0
        if not 0 <= least[name] <= 1:
            raise click.BadParameter(f"{text!r}: give a number from 0 to 1", param_hint="--threshold")
    return least


def _again() -> list[str]:
    """Return the words that this command was called with, without `--run-id`."""
    context = click.get_current_context()
    words = [str(context.params["reference"])]
    for param in context.command.params:
        name = str(param.name)
        if not isinstance(param, click.Option) or name == "run_id" or name not in context.params:
            continue
        if context.get_parameter_source(name) is not click.core.ParameterSource.COMMANDLINE:
            continue
        value = context.params[name]
        for one in value if isinstance(value, tuple) else (value,):
            words += [max(param.opts, key=len), str(one)]
    return words
