import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize("name", ["alone", "walks", "coverage", "clock"])
def test_the_examples_run(name: str) -> None:
    """The examples in docstrings give the documented output."""
    found = doctest.testmod(import_module(f"graphengine.testing.{name}"))

    assert found.failed == 0
    assert found.attempted > 0
