import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize("name", ["testing.alone", "testing.walks", "testing.coverage", "kernel.fake_clock"])
def test_the_examples_run(name: str) -> None:
    """The examples in docstrings give the documented output."""
    found = doctest.testmod(import_module(f"graphengine.{name}"))

    assert found.failed == 0
    assert found.attempted > 0
