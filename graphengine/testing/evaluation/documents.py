"""What the commands that evaluate write under `--json`."""

from __future__ import annotations

from typing import Final

from graphengine.records.json_document import Run
from graphengine.testing.evaluation.report import Report
from graphengine.testing.evaluation.what_if import WhatIf
from graphengine.testing.proofs import Proof
from graphengine.testing.suites import Suite
from graphengine.wings import Kind

EVAL: Final = (Kind(Report, "if the evaluation finished"), Kind(Run, "if the evaluation did not finish"))
WHATIF: Final = (Kind(WhatIf),)
SUITE: Final = (Kind(Suite),)
PROVE: Final = (Kind(Proof),)

__all__ = ["EVAL", "PROVE", "SUITE", "WHATIF"]
