"""Ranges of numbers, which the annotations of public calls state and `graphengine.doors` checks."""

import inspect
import math
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Final

import pytest

from graphengine.errors import DefinitionError
from tests.test_lazy import PACKAGES

OUTSIDE: Final[dict[str, list[object]]] = {
    "PositiveInt": [0, -1, 1.5, True, "1", math.inf],
    "NonNegativeInt": [-1, 0.5, False, "0"],
    "Seconds": [0, -1, math.nan, math.inf, 1e300, True, "1"],
    "SecondsOrZero": [-0.1, math.nan, -math.inf, "0"],
}
INSIDE: Final[dict[str, object]] = {"PositiveInt": 1, "NonNegativeInt": 0, "Seconds": 0.1, "SecondsOrZero": 0}
ANNOTATED: Final = 25
"""How many parameters state a range, at least: a check by hand of a public call became an annotation."""


def ranged() -> Iterator[tuple[Callable[..., Any], str, str]]:
    """Yield each parameter of a public class or function that states a range, with that."""
    seen = set[tuple[object, str]]()
    for package in (*PACKAGES, "graphengine.databases"):
        module = import_module(package)
        for made in (getattr(module, name) for name in module.__all__):
            if not inspect.isfunction(made) and not isinstance(made, type):
                continue
            function: Any = vars(made).get("__init__") if isinstance(made, type) else made
            for name, kind in getattr(function, "__annotations__", {}).items():
                if str(kind).removesuffix(" | None") in OUTSIDE and (made, name) not in seen:
                    seen.add((made, name))
                    yield made, name, str(kind)


CASES: Final = list(ranged())


def test_ranges_are_annotations() -> None:
    """Public calls state their ranges."""
    assert len(CASES) >= ANNOTATED, [(made.__name__, name) for made, name, _ in CASES]


@pytest.mark.parametrize(("made", "name", "kind"), CASES, ids=[f"{made.__name__}.{name}" for made, name, _ in CASES])
def test_a_number_outside_its_range_is_refused(made: Callable[..., Any], name: str, kind: str) -> None:
    """The error has the call, the argument and the value, and says what to write; it comes before anything is done."""
    plain = kind.removesuffix(" | None")
    for value in (*OUTSIDE[plain], *(() if plain != kind else (None,))):
        with pytest.raises(DefinitionError) as caught:
            made(**{name: value})
        assert f"{made.__name__}({name}={value!r})" in caught.value.message
        assert caught.value.repair.startswith(f"write {name}=")
        assert caught.value.repair.endswith(", or None") == (plain != kind)
    for value in (INSIDE[plain], *((None,) if plain != kind else ())):
        raised = ""
        try:
            made(**{name: value})
        except Exception as error:  # noqa: BLE001 - what else the call lacks
            raised = str(error)
        assert f"({name}=" not in raised
