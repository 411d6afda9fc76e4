"""The pytest plugin of graphengine: options, fixtures, async tests, and the report of a failed test's nodes.

pytest loads this module in every process where graphengine is installed, and before code coverage is measured. The
module therefore contains only the code that is needed before options are read. The fixtures
(`graphengine.testing.fixtures`) are registered when the session is configured, and they import the engine when a test
uses them.

PYTEST_DONT_REWRITE: the module contains no assertions that pytest could rewrite.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

_COVERAGE: Final = "graphengine.testing.coverage_plugin"
_FIXTURES: Final = "graphengine.testing.fixtures"
# The same name as in graphengine.models.sdk, which is not imported here because the import takes time.
_FORBID: Final = "GRAPHENGINE_FORBID_MODELS"
_REAL: Final = "real_models"

_ASYNCIO: Final = ("asyncio_mode", "asyncio_default_fixture_loop_scope")
"""Settings of pytest-asyncio that are accepted if pytest-asyncio is not installed.

This plugin then runs the async tests of the project.
"""


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    if find_spec(_COVERAGE) is not None:
        _register(pluginmanager, _COVERAGE)
    if find_spec("pytest_asyncio") is None:
        for name in _ASYNCIO:
            parser.addini(name, help="as in pytest-asyncio; without pytest-asyncio, graphengine runs async tests")
    group = parser.getgroup("graphengine", "graphengine: recorded models")
    group.addoption(
        "--graphengine-record",
        action="store_true",
        help="call models for requests that the recordings do not have, and record the answers",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the fixtures, and forbid calls of providers' models in tests.

    The fixtures are registered here and not when this module is loaded, because code coverage is measured only from now
    on.
    """
    _register(config.pluginmanager, _FIXTURES)
    config.addinivalue_line("markers", f"{_REAL}: let this test call models of providers, which costs money")
    if _FORBID not in os.environ and not config.getoption("graphengine_record"):
        os.environ[_FORBID] = "1"
        config.add_cleanup(_allow)


def _allow() -> None:
    os.environ.pop(_FORBID, None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Allow calls of providers' models in a test with the marker `real_models`, and in its fixtures."""
    was = os.environ.pop(_FORBID, None) if item.get_closest_marker(_REAL) is not None else None
    try:
        return (yield)
    finally:
        if was is not None:
            os.environ[_FORBID] = was


def _register(plugins: pytest.PytestPluginManager, name: str) -> None:
    if not plugins.has_plugin(name):
        plugins.register(import_module(name), name)
