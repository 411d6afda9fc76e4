"""The pytest plugin that reports which edges of graphs the tests never took.

    pytest --graphengine-coverage                            the report, after the tests
    pytest --graphengine-coverage-under=90                   the same, and fail if less than 90 % was seen
    pytest --graphengine-coverage --graphengine-coverage-graph=article --graphengine-coverage-graph=review_loop

The plugin is loaded together with the plugin of graphengine. If plugin autoload is off, load it with
`-p graphengine.testing.coverage_plugin`. The worker processes of pytest-xdist send their counts to the main process,
which reports on all of them together. This module imports no part of the engine, because every pytest process imports
the module before code coverage is measured.

PYTEST_DONT_REWRITE: the module contains no assertions that pytest could rewrite.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from graphengine.testing.coverage import EdgeCoverage

_MEASURED: Final[pytest.StashKey[EdgeCoverage]] = pytest.StashKey()
_OUTPUT_KEY: Final = "graphengine_coverage"
"""The key of the data that a worker process of pytest-xdist sends."""
_NEAR: Final = 1e-9
"""The tolerance for rounding, in percent."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("graphengine")
    group.addoption(
        "--graphengine-coverage",
        action="store_true",
        help="report which edges and conditions of graphs the tests never took",
    )
    group.addoption(
        "--graphengine-coverage-under",
        type=_parse_percent,
        metavar="PERCENT",
        help="the same, and fail if less than this percentage was seen",
    )
    group.addoption(
        "--graphengine-coverage-graph",
        action="append",
        metavar="NAME",
        help="the name of a graph that counts, instead of every graph that is run; can be repeated",
    )


def _parse_percent(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 100:  # noqa: PLR2004 - percent
        raise ArgumentTypeError(f"{text!r} is not a number from 0 to 100; give the required percentage, as 90")
    return number


def _under(config: pytest.Config) -> float | None:
    found: float | None = config.getoption("--graphengine-coverage-under")
    return found


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Start recording before tests are collected, because the test modules may run graphs when they are imported."""
    if session.config.getoption("--graphengine-coverage") or _under(session.config) is not None:
        from graphengine.testing.coverage import EdgeCoverage  # noqa: PLC0415 - see above

        coverage = EdgeCoverage(*(session.config.getoption("--graphengine-coverage-graph") or ()))
        session.config.stash[_MEASURED] = coverage.__enter__()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Stop recording. Let a passed session fail if less than the required share was covered."""
    coverage = session.config.stash.get(_MEASURED, None)
    if coverage is None:
        return
    coverage.__exit__(None, None, None)
    output: dict[str, object] | None = getattr(session.config, "workeroutput", None)
    if output is not None:  # This is a worker process of pytest-xdist; the main process writes the report.
        output[_OUTPUT_KEY] = coverage.as_json()
    elif _is_under(session.config) and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:  # noqa: ANN401 - pytest-xdist's, which is optional
    """Add the edges that one worker process of pytest-xdist has recorded to the coverage, when that process ends."""
    coverage = node.config.stash.get(_MEASURED, None)
    recorded = (getattr(node, "workeroutput", None) or {}).get(_OUTPUT_KEY)
    if coverage is not None and recorded is not None:
        coverage.add(recorded)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    coverage = config.stash.get(_MEASURED, None)
    if coverage is None:
        return
    terminalreporter.write_sep("=", "edges of graphs")
    terminalreporter.write_line(coverage.report())
    if _is_under(config):
        line = f"FAIL: {_percent_seen(coverage):.1f} % of edges and conditions seen, {_under(config):g} % are required"
        terminalreporter.write_line(line, red=True, bold=True)


def _is_under(config: pytest.Config) -> bool:
    coverage, under = config.stash.get(_MEASURED, None), _under(config)
    return coverage is not None and under is not None and _percent_seen(coverage) < under - _NEAR


def _percent_seen(coverage: EdgeCoverage) -> float:
    """Return the covered share of all edges and conditions; 0 if no graph was run at all."""
    return coverage.percent if coverage.graphs else 0.0
