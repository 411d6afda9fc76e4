"""The server of forks reports what it cannot do: a test that waited for it would hang."""

from collections.abc import Callable

import pytest

from tests.kit import forks


@pytest.mark.parametrize("begin", [forks.run, forks.start])
def test_a_module_that_cannot_be_imported_is_named(begin: Callable[..., object]) -> None:
    """In an error, and the server serves other orders after it."""
    with pytest.raises(ImportError, match=r"graphengine needs filelock\.nothing: No module named 'filelock\.nothing'"):
        begin("graphengine", "--version", loads=["filelock.nothing"])
    assert forks.run("graphengine", "--version").stdout.startswith("graphengine, version ")
