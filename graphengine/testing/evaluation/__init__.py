"""Evaluation: run a graph on a data set, score its results, and compare two versions of it case by case.

An evaluation is a graph like any other, a map over the cases. Its run is recorded, resumable, priced and drawn like
every run, and what finished is never paid twice.

    cases ──▶ for each: the graph ─▶ scorer ─▶ scorer … ──▶ Report: means, differences, costs
"""

from __future__ import annotations

from graphengine.doors import check_arguments
from graphengine.testing.evaluation.cases import Case, Score, check_cases, read_cases
from graphengine.testing.evaluation.evaluating import evaluate
from graphengine.testing.evaluation.graph import EvaluationState, Trial, evaluation, judge
from graphengine.testing.evaluation.report import Report, TrialReport, VersionReport, report_of
from graphengine.testing.evaluation.what_if import WhatIf, what_if

__all__ = [
    "Case",
    "EvaluationState",
    "Report",
    "Score",
    "Trial",
    "TrialReport",
    "VersionReport",
    "WhatIf",
    "check_cases",
    "evaluate",
    "evaluation",
    "judge",
    "read_cases",
    "report_of",
    "what_if",
]

check_arguments(__name__)
