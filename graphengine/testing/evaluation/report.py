"""Compute the report of an evaluation from its recorded run: scores, failures, costs and times by case and version.

The report is also the document that `graphengine eval --json` writes.

- If the graph failed in a case, every scorer counts 0 for the case.
- If a scorer failed in a case, the case is left out of the scorer's mean, and the report names the case.
- An unknown cost is None and never 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import sqrt
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET, UnsetType

from graphengine.kernel.extension import add_usage
from graphengine.kernel.reader import usage_of
from graphengine.records.base_documents import Document, Part
from graphengine.records.spending import sum_of
from graphengine.records.words import counted
from graphengine.testing.evaluation.graph import AGAINST, RUN, SUBJECT, EvaluationState, Trial

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from graphengine.kernel.extension import Result
    from graphengine.kernel.reader import Step, Usage

_PLACE: Final = re.compile(rf"({SUBJECT}|{AGAINST})\[(\d+)\](/{RUN}(?=/|$))?")
_NOTHING: Final[Usage] = {}
LEAST_PAIRS: Final = 5
"""The smallest number of pairs from which a confidence interval is computed."""


class Scored(Part):
    """One score in the report of an evaluation.

    Attributes:
        value: A number from 0 to 1; null if the scorer does not apply or failed.
        why: The scorer's reason.
        failure: The error, if the scorer failed.
    """

    value: float | None
    why: str
    failure: str | UnsetType = UNSET


class TrialReport(Part):
    """The result of one version of the graph in one case, as the report of an evaluation shows it.

    Attributes:
        case: The name of the case.
        label: The label with which the graph ended.
        failure: The failure of the graph; "" if the graph did not fail.
        scores: The scores by scorer. All scores are 0 if the graph failed.
        output: The graph's result.
        cost_usd: The cost of the graph in US dollars, without the scorers; null if the cost is unknown.
        calls: The number of model calls of the graph.
        offline_calls: How many of these calls were answered by rules.
        seconds: The seconds from the first step of the graph to its last step.
    """

    case: str
    label: str
    failure: str
    scores: Mapping[str, Scored]
    output: Any
    cost_usd: float | None
    calls: int
    offline_calls: int
    seconds: float

    def value(self, scorer: str) -> float | None:
        """Return the value of a score; None if the scorer does not apply, or failed."""
        score = self.scores.get(scorer)
        return None if score is None else score.value


class VersionReport(Part):
    """The part of an evaluation's report about one version of the graph: its results in all cases.

    Attributes:
        name: The name of the version.
        means: The mean score by scorer, over the cases to which the scorer applies; null if it applies to no case.
        cost_usd: The cost in US dollars, without the scorers; null if the cost of one case is unknown.
        trials: The results, in the order of the cases.
    """

    name: str
    means: Mapping[str, float | None]
    cost_usd: float | None
    trials: Sequence[TrialReport]

    @property
    def failed(self) -> list[TrialReport]:
        """The cases in which the graph under test failed."""
        return [trial for trial in self.trials if trial.failure]

    def unjudged(self, scorer: str) -> list[TrialReport]:
        """Return the cases for which this scorer failed."""
        return [trial for trial in self.trials if scorer in trial.scores and trial.scores[scorer].failure]


class PairedDifference(Part):
    """The difference of one figure between two versions, over the cases in which both versions have the figure.

    Attributes:
        mean: The mean of the differences. Each difference is the graph's figure minus the other version's figure, or
            the figure after a change minus the figure before.
        low: The lower end of the 95 % confidence interval of the mean (Student's t); null for fewer than 5 pairs.
        high: The upper end of the interval; null for fewer than 5 pairs.
        more: The number of pairs in which the figure is higher.
        less: The number of pairs in which the figure is lower.
        equal: The number of pairs in which the figure is equal.
    """

    mean: float
    low: float | None
    high: float | None
    more: int
    less: int
    equal: int

    def text(self, digits: int = 2) -> str:
        """Describe the difference between the two versions in words, with the given number of decimal places."""
        interval = f"no interval for fewer than {LEAST_PAIRS} pairs"
        if self.low is not None and self.high is not None:
            interval = f"95 %: {self.low:+.{digits}f} to {self.high:+.{digits}f}"
        pairs = counted(self.more + self.less + self.equal, "pair")
        signs = f"more in {self.more}, less in {self.less}, equal in {self.equal}"
        return f"{self.mean:+.{digits}f} on average over {pairs} ({interval}); {signs}"


class Report(Document):
    """The report of an evaluation.

    Attributes:
        run_id: The id of the evaluation's run.
        graph: The name of the graph under test.
        scorers: The names of the scorers.
        subject: The results of the graph under test.
        against: The results of the other version; null if the graph is not compared with another version.
        differences: The differences of the scores, by scorer. null if no case has both scores; empty if there is only
            one version.
        scoring_usd: The cost of the scorers in US dollars; null if the cost is unknown.
        below: The thresholds of the command that the graph does not reach, in words.
    """

    run_id: str
    graph: str
    scorers: Sequence[str]
    subject: VersionReport
    against: VersionReport | None
    differences: Mapping[str, PairedDifference | None]
    scoring_usd: float | None
    below: Sequence[str] = []

    @property
    def versions(self) -> list[VersionReport]:
        """The results of the graph, and of the other version if there is one."""
        return [self.subject] if self.against is None else [self.subject, self.against]

    def missed(self, thresholds: Mapping[str, float]) -> list[str]:
        """Describe each threshold that the graph does not reach.

        `missed` also lists a threshold whose scorer failed in any case, because the mean of the scores is then unknown.

        Args:
            thresholds: The lowest accepted mean by scorer. The key "" applies to all scorers without their own key.
        """
        found: list[str] = []
        for name in self.scorers:
            least = thresholds.get(name, thresholds.get(""))
            if least is None:
                continue
            unjudged, mean = self.subject.unjudged(name), self.subject.means[name]
            if unjudged:
                why = unjudged[0].scores[name].failure
                found.append(f"{name} failed in {len(unjudged)} of {len(self.subject.trials)} cases: {why}")
            elif mean is None:
                found.append(f"{name} applies to no case")
            elif mean < least:
                found.append(f"{name} is {mean:.3f}, below {least:g}")
        return found


def report_of(result: Result[EvaluationState], steps: Sequence[Step]) -> Report:
    """Compute the report of a finished evaluation.

    Args:
        result: The result of its run.
        steps: All steps of the run, as from `runner.history(run_id)`.
    """
    state = result.state
    spent = _measure_spending(steps)
    names = [*state.versions, *("graph", AGAINST)[len(state.versions) :]]
    scorers = list(dict.fromkeys(name for trial in (*state.trials, *state.against) for name in trial.scores))
    versions = [
        _report_version(name, scorers, list(_trials(state, trials, node, spent)))
        for name, node, trials in zip(names, (SUBJECT, AGAINST), (state.trials, state.against), strict=False)
        if trials
    ]
    scoring: Usage = _NOTHING
    for (_, _, is_run), (usage, _, _) in spent.items():
        scoring = scoring if is_run else add_usage(scoring, usage)
    return Report(
        run_id=result.run_id,
        graph=str(getattr(steps[0].data, "graph", "")).removeprefix("eval_"),
        scorers=scorers,
        subject=versions[0],
        against=versions[1] if len(versions) > 1 else None,
        differences={scorer: difference_of(_pairs(versions, scorer)) for scorer in scorers if len(versions) > 1},
        scoring_usd=scoring.get("cost_usd", 0.0),
    )


def _report_version(name: str, scorers: Sequence[str], trials: Sequence[TrialReport]) -> VersionReport:
    means: dict[str, float | None] = {}
    for scorer in scorers:
        values = [value for trial in trials if (value := trial.value(scorer)) is not None]
        means[scorer] = sum(values) / len(values) if values else None
    return VersionReport(name, means, sum_of(trial.cost_usd for trial in trials), trials)


def _pairs(versions: Sequence[VersionReport], scorer: str) -> Iterator[tuple[float | None, ...]]:
    """Yield for each case the score of the other version and the score of the graph under test."""
    for graph, other in zip(*(version.trials for version in versions), strict=True):
        yield other.value(scorer), graph.value(scorer)


def difference_of(pairs: Iterable[tuple[float | None, ...]]) -> PairedDifference | None:
    """Compute the mean difference between two figures, such as the scores of two versions, with a confidence interval.

    Each pair contains the figure before and the figure after. Pairs in which a figure is None are left out. The result
    is None if no pair is left.
    """
    changes = [after - before for before, after in pairs if before is not None and after is not None]
    if not changes:
        return None
    count = len(changes)
    mean = sum(changes) / count
    low = high = None
    if count >= LEAST_PAIRS:
        error = sqrt(sum((change - mean) ** 2 for change in changes) / (count - 1) / count)
        reach = student_t(count - 1) * error
        low, high = mean - reach, mean + reach
    signs = [(change > 0) - (change < 0) for change in changes]
    return PairedDifference(mean, low, high, signs.count(1), signs.count(-1), signs.count(0))


def student_t(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t distribution, from which 95 % confidence intervals are computed.

    The approximation by Cornish and Fisher is accurate to 0.01 from 4 degrees of freedom on.
    """
    z = 1.959964
    first = (z**3 + z) / 4 / freedom
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96 / freedom**2
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384 / freedom**3
    return z + first + second + third


_Spent = dict[tuple[str, int, bool], "tuple[Usage, float, float]"]


def _measure_spending(steps: Sequence[Step]) -> _Spent:
    """Add up the token usage and the time of an evaluation, separately for each version and case.

    The graph under test and the scorers are also counted separately.
    """
    found: _Spent = {}
    for step in steps:
        place = _PLACE.match(step.path)
        if place is None:
            continue
        key = (place[1], int(place[2]), place[3] is not None)
        usage, began, ended = found.get(key, (_NOTHING, step.began or step.at, step.at))
        found[key] = (
            add_usage(usage, usage_of(step) or _NOTHING),
            min(began, step.began or step.at),
            max(ended, step.at),
        )
    return found


def _trials(state: EvaluationState, trials: Sequence[Trial], node: str, spent: _Spent) -> Iterator[TrialReport]:
    for index, (case, trial) in enumerate(zip(state.cases, trials, strict=True)):
        usage, began, ended = spent.get((node, index, True), (_NOTHING, 0.0, 0.0))
        failure = trial.failure
        yield TrialReport(
            case=case.name,
            label=trial.label,
            failure="" if failure is None else f"{failure.kind}: {failure.message}",
            scores={name: Scored(each.value, each.why, each.failure or UNSET) for name, each in trial.scores.items()},
            output=trial.output,
            cost_usd=usage.get("cost_usd", 0.0),
            calls=usage.get("calls") or 0,
            offline_calls=usage.get("offline_calls") or 0,
            seconds=max(0.0, ended - began),
        )


__all__ = ["PairedDifference", "Report", "Scored", "TrialReport", "VersionReport", "difference_of", "report_of"]
