"""The shapes of what is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

JsonValue: TypeAlias = Any
"""A JSON value as Python objects. A recursive alias would say more and make every reader of a log cast."""

Op: TypeAlias = Sequence[JsonValue]
"""An operation on a field, as `["append", "history", item]`; see `graphengine.core.steps`."""
