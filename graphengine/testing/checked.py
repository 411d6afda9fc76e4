"""What `graphengine check` writes under `--json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import UNSET, UnsetType

from graphengine.errors import Problem
from graphengine.records.base_documents import Broken, Document, Part
from graphengine.testing.bounds import Bounds, Forecast
from graphengine.testing.preflights import Preflight
from graphengine.wings import Kind


class CheckedGraph(Part):
    """A graph and its problems.

    Attributes:
        name: Its name.
        file: Its file, as given or relative to the project's folder.
        problems: Errors and warnings, in the order they were found.
    """

    name: str
    file: str
    problems: Sequence[Problem]


class Checked(Document):
    """The problems of graphs.

    Attributes:
        errors: The number of errors.
        warnings: The number of warnings.
        graphs: The checked graphs.
        broken: Files that cannot be run, and later files of two that have graphs of one name.
        runs: With `--store`: the runs that have not ended.
        bounds: With `--bounds`: the most that a run of each graph can take.
        forecasts: With `--forecast`: what recorded runs of each graph took.
        no_forecast: Why there is none, by graph.
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
