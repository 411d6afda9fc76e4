"""Durations as public calls check them, with the range that pydantic reads.

They are apart from `graphengine.graph.options`, which commands that only read records import: those load no pydantic.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from graphengine.graph.options import LONGEST_SECONDS

Seconds: TypeAlias = Annotated[float, Field(gt=0, le=LONGEST_SECONDS)]
"""A duration above 0. Public calls check it, and those of pydantic's `PositiveInt`: see `graphengine.doors`."""
SecondsOrZero: TypeAlias = Annotated[float, Field(ge=0, le=LONGEST_SECONDS)]
"""A duration, or 0."""
