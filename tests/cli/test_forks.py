"""The server of forks reports what it cannot do: a test that waited for it would hang."""

import re
from collections.abc import Callable

import pytest

from tests.kit import forks


@pytest.mark.parametrize("begin", [forks.run, forks.start])
@pytest.mark.parametrize(
    ("name", "why"), [("filelock.nothing", "No module named 'filelock.nothing'"), ("", "Empty module name")]
)
def test_a_module_that_cannot_be_imported_is_named(begin: Callable[..., object], name: str, why: str) -> None:
    """In an error, whatever it raises, and the server serves other orders after it."""
    with pytest.raises(ImportError, match=re.escape(f"graphengine needs {name}: {why}")):
        begin("graphengine", "--version", loads=[name])
    assert forks.run("graphengine", "--version").stdout.startswith("graphengine, version ")
