"""Skip tests whose packages are not installed."""

from importlib.util import find_spec

import pytest


def skip_without(*packages: str) -> None:
    """Skip the tests of the calling file unless all these packages are installed.

    Unlike `pytest.importorskip` this imports none of them: that costs up to a second of CPU time in each process, and
    most processes run no test of the file.
    """
    for package in packages:
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed", allow_module_level=True)
