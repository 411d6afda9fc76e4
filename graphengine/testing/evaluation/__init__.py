"""Run a graph on a data set, score the results, and compare two versions of the graph case by case.

An evaluation is itself a graph with a map over the cases. Its run is recorded, priced and drawn like every other run.
If the run is interrupted, a resume continues it and does not pay again for finished cases.

    cases ──▶ for each: the graph ─▶ scorer ─▶ scorer … ──▶ Report: means, differences, costs

The main types and functions:

- A `Case` is one input of the graph together with the values that scorers need. `read_cases` reads cases from a file.
- A *scorer* is a function, an agent or a graph that judges one result. It returns a `Score` from 0 to 1. `judge` makes
  a scorer that asks a language model.
- `evaluation` builds the graph of an evaluation. `evaluate` runs it and returns a `Report`.
- A `Trial` is the result of one version of the graph in one case, with its scores.
- `what_if` branches recorded runs with a change, such as another model, and compares the results in a `WhatIf`.
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
