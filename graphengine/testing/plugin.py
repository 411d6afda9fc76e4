"""The pytest plugin of graphengine: options, fixtures, async tests, and the report of a failed test's nodes.

pytest loads this module in every process where graphengine is installed, and before coverage measures anything. So it
has only what is needed before options are read: the fixtures (`graphengine.testing.fixtures`) are registered when the
session is configured, and they load the engine when a test uses them.

PYTEST_DONT_REWRITE: the module has no assertion to rewrite.
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
_FORBID: Final = "GRAPHENGINE_FORBID_MODELS"  # as in graphengine.models.sdk, which is not loaded here
_REAL: Final = "real_models"

_ASYNCIO: Final = ("asyncio_mode", "asyncio_default_fixture_loop_scope")
"""Settings of pytest-asyncio that a project can have without pytest-asyncio; this plugin then runs its async tests."""


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the option for recorded answers of models, and those of edge coverage."""
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
    """Register the fixtures, once coverage measures, and forbid calls of providers' models."""
    _register(config.pluginmanager, _FIXTURES)
    config.addinivalue_line("markers", f"{_REAL}: let this test call models of providers, which costs money")
    if _FORBID not in os.environ and not config.getoption("graphengine_record"):
        os.environ[_FORBID] = "1"
        config.add_cleanup(_allow)


def _allow() -> None:
    os.environ.pop(_FORBID, None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let a test that is marked so call providers' models, its fixtures too."""
    was = os.environ.pop(_FORBID, None) if item.get_closest_marker(_REAL) is not None else None
    try:
        return (yield)
    finally:
        if was is not None:
            os.environ[_FORBID] = was


def _register(plugins: pytest.PytestPluginManager, name: str) -> None:
    """Register a module as a plugin once; if it was imported before, pytest does not rewrite its asserts."""
    if not plugins.has_plugin(name):
        plugins.register(import_module(name), name)
