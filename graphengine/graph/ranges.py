"""Types for durations, whose range public calls check.

They need pydantic. So they are not in `graphengine.graph.options`, which commands import that must start quickly.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from graphengine.graph.options import LONGEST_SECONDS

Seconds: TypeAlias = Annotated[float, Field(gt=0, le=LONGEST_SECONDS)]
"""A duration above 0. `graphengine.doors` checks it in public calls, as it checks pydantic's `PositiveInt`."""
SecondsOrZero: TypeAlias = Annotated[float, Field(ge=0, le=LONGEST_SECONDS)]
"""A duration, or 0."""
