"""What the commands that evaluate write under `--json`."""

from __future__ import annotations

from typing import Final

from graphengine.records.json_document import Run
from graphengine.testing.evaluation.report import Report
from graphengine.testing.evaluation.what_if import WhatIf
from graphengine.testing.suites import Suite
from graphengine.wings import Kind

OF_EVAL: Final = (Kind(Report, "if it finished"), Kind(Run, "if it did not"))
OF_WHATIF: Final = (Kind(WhatIf),)
OF_SUITE: Final = (Kind(Suite),)

__all__ = ["OF_EVAL", "OF_SUITE", "OF_WHATIF"]
