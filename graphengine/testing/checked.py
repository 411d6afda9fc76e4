"""The JSON document that `graphengine check --json` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import UNSET, UnsetType

from graphengine.records.base_documents import Broken, CheckedGraph, Document
from graphengine.testing.bounds import Bounds, Forecast
from graphengine.testing.preflights import Preflight
from graphengine.wings import Kind


class Checked(Document):
    """The problems of all checked graphs, as `graphengine check --json` writes them.

    Attributes:
        errors: The number of errors.
        warnings: The number of warnings.
        graphs: The checked graphs.
        broken: Files that cannot be run. If two files define a graph of the same name, the second file is listed too.
        runs: With `--store`: whether the unfinished runs of the store fit the graphs.
        bounds: With `--bounds`: the most that a run of each graph can do and cost.
        forecasts: With `--forecast`: the forecast for each graph.
        no_forecast: With `--forecast`: the reasons why there is no forecast, by graph.
    """

    errors: int
    warnings: int
    graphs: Sequence[CheckedGraph]
    broken: Sequence[Broken]
    runs: Preflight | UnsetType = UNSET
    bounds: Sequence[Bounds] | UnsetType = UNSET
    forecasts: Sequence[Forecast] | UnsetType = UNSET
    no_forecast: Mapping[str, str] | UnsetType = UNSET


DOCUMENTS: Final = (Kind(Checked),)
