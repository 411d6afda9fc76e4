"""The report of `graphengine eval`: a table of the cases, the means, the differences, and the costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphengine.cli.places import command
from graphengine.cli.session import Exit, as_json
from graphengine.cli.steps import counted
from graphengine.cli.tables import aligned
from graphengine.cli.terminal import OutputFailed
from graphengine.cli.times import seconds
from graphengine.evaluation import picture, report_of
from graphengine.output_file import write_file
from graphengine.state.amounts import dollars

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from graphengine.cli.report import Ended, Job
    from graphengine.evaluation import Report, TrialReport
    from graphengine.history.json_document import Document

_REASONS: Final = 10
"""The most reasons of low scores that are shown; `--json` has all."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to do with the report.

    Attributes:
        least: The least mean by scorer; "" for all.
        picture: The file of the picture, if any.
        output: The file for the report as JSON, if any.
    """

    least: Mapping[str, float]
    picture: Path | None
    output: Path | None


def show_scores(job: Job, ended: Ended, wanted: Wanted) -> int:
    """Show the report of a finished evaluation; return the exit code.

    Raises:
        OutputFailed, RenderError: The report or the picture cannot be written.
    """
    from graphengine.render.charts import write_chart

    report = report_of(ended.result, ended.steps)
    below = report.below(wanted.least)
    document = _document(report, below)
    out, err = job.session.out, job.session.err
    if job.session.json:
        job.session.document(document)
    else:
        for line in _lines(report, out.columns):
            out.line(line)
    if wanted.output is not None:
        _write(wanted.output, as_json(document) + "\n")
        err.line(f"the report is in {wanted.output}")
    if wanted.picture is not None:
        write_chart(wanted.picture, lambda: picture(report))
        err.line(f"drawn: {wanted.picture}")
    err.line(("look:   ", "dim"), command("show", report.run_id, place=job.place))
    for reason in below:
        err.prose(("below the threshold", "bold red"), f": {reason}")
    return Exit.FAILED if below else Exit.FINISHED


def _write(path: Path, text: str) -> None:
    try:
        write_file(path, text.encode())
    except OSError as error:
        message = f"the report cannot be written: {error.strerror}"
        raise OutputFailed(message, where=str(path), repair="name another file") from error


def _lines(report: Report, columns: int | None) -> Iterator[str]:
    headings = ["case", *report.scorers, "cost", "time", "failed"]
    rows = [_row(report, trials) for trials in zip(*(version.trials for version in report.versions), strict=True)]
    means = [_arrow([version.mean(scorer) for version in report.versions]) for scorer in report.scorers]
    rows.append(["mean", *means, _costs([version.cost_usd for version in report.versions]), "", ""])
    yield from aligned(headings, rows, columns=columns, expendable=("time", "cost"))
    yield ""
    if report.against is not None:
        yield f"{report.subject.name} (right) against {report.against.name} (left)"
    for scorer in report.scorers:
        yield from _differences(report, scorer)
    for version in report.versions:
        calls, offline = (sum(getattr(one, name) for one in version.trials) for name in ("calls", "offline_calls"))
        paid = f"{counted(calls, 'model call')}, " + ("all offline" if calls == offline else _cost(version.cost_usd))
        yield f"{version.name}: {paid if calls else 'no model calls'}, {counted(len(version.failed), 'case')} failed"
    if report.scoring_usd is None or report.scoring_usd:
        yield f"the scorers: {_cost(report.scoring_usd)}"
    yield from _reasons(report)


def _row(report: Report, trials: tuple[TrialReport, ...]) -> list[str]:
    scores = [_arrow([trial.value(scorer) for trial in trials]) for scorer in report.scorers]
    took = " → ".join(seconds(trial.seconds) for trial in reversed(trials))
    failed = "; ".join(dict.fromkeys(trial.failure for trial in trials if trial.failure))
    return [trials[0].case, *scores, _costs([trial.cost_usd for trial in trials]), took, failed]


def _arrow(values: list[float | None]) -> str:
    """Return the values as text: the other version's first, so that an arrow shows the change."""
    return " → ".join("none" if value is None else f"{value:.2f}" for value in reversed(values))


def _costs(values: list[float | None]) -> str:
    if not any(value is None or value for value in values):
        return ""
    return " → ".join("unknown" if value is None else dollars(value) for value in reversed(values))


def _cost(value: float | None) -> str:
    return "cost unknown" if value is None else f"{dollars(value)} USD"


def _differences(report: Report, scorer: str) -> Iterator[str]:
    found = report.difference(scorer)
    if found is not None:
        error = "" if found.error is None else f" ± {found.error:.2f} (standard error)"
        cases = f"better in {found.better}, worse in {found.worse}, equal in {found.equal}"
        yield f"{scorer}: {found.mean:+.2f}{error}; {cases}"
    for version in report.versions:
        unjudged = version.unjudged(scorer)
        if unjudged:
            why = unjudged[0].scores[scorer].failure
            yield f"{scorer} gave no score in {counted(len(unjudged), 'case')} of {version.name}: {why}"


def _reasons(report: Report) -> Iterator[str]:
    """Return the reasons of the lowest scores of the graph."""
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


def _document(report: Report, below: list[str]) -> Document:
    """Return the report as the document of `--json`."""
    from msgspec import convert

    from graphengine.cli.graph_documents import Evaluated, EvaluatedCase, EvaluatedVersion, ScoreDifference

    versions = [
        EvaluatedVersion(
            name=version.name,
            means={scorer: version.mean(scorer) for scorer in report.scorers},
            cost_usd=version.cost_usd,
            trials=[convert(trial.model_dump(mode="json"), EvaluatedCase) for trial in version.trials],
        )
        for version in report.versions
    ]
    differences = {scorer: report.difference(scorer) for scorer in report.scorers} if report.against else {}
    return Evaluated(
        run_id=report.run_id,
        graph=report.graph,
        scorers=report.scorers,
        subject=versions[0],
        against=versions[1] if report.against else None,
        differences={
            name: None if one is None else convert(one, ScoreDifference, from_attributes=True)
            for name, one in differences.items()
        },
        scoring_usd=report.scoring_usd,
        below=below,
    )


__all__ = ["Wanted", "show_scores"]
