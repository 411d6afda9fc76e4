"""A pytest plugin that tells which edges of graphs the tests never took.

    pytest --graphengine-coverage                            the report, below the tests
    pytest --graphengine-coverage-under=90                   and fail where less than 90 % was seen
    pytest --graphengine-coverage --graphengine-coverage-graph=article --graphengine-coverage-graph=review_loop

It comes with graphengine; `-p graphengine.testing.coverage_plugin` loads it where plugins are not loaded by themselves.
The processes of pytest-xdist tell what they saw to the one that started them, which reports of them all.
This module loads nothing of the engine: it is read in every process of pytest, before anybody measures anything.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from graphengine.testing.coverage import EdgeCoverage

_MEASURED: Final[pytest.StashKey[EdgeCoverage]] = pytest.StashKey()
_TOLD: Final = "graphengine_coverage"
"""What a process of pytest-xdist tells, by this name."""
_NEAR: Final = 1e-9
"""Percent that rounding may cost."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("graphengine")
    group.addoption(
        "--graphengine-coverage",
        action="store_true",
        help="report which ways out and conditions of graphs the tests never took",
    )
    group.addoption(
        "--graphengine-coverage-under",
        type=_percent,
        metavar="PERCENT",
        help="the same, and fail where less than this was seen",
    )
    group.addoption(
        "--graphengine-coverage-graph",
        action="append",
        metavar="NAME",
        help="the name of a graph that counts, instead of every graph that is run; may be given several times",
    )


def _percent(text: str) -> float:
    """A number from 0 to 100."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 100:  # noqa: PLR2004 - percent
        raise ArgumentTypeError(f"{text!r} is no number from 0 to 100; the least percent to be seen, as 90")
    return number


def _asked_for(config: pytest.Config) -> bool:
    return bool(config.getoption("--graphengine-coverage") or _under(config) is not None)


def _under(config: pytest.Config) -> float | None:
    found: float | None = config.getoption("--graphengine-coverage-under")
    return found


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Begin to watch, before tests are collected: their modules may run graphs too."""
    if _asked_for(session.config):
        from graphengine.testing.coverage import EdgeCoverage  # noqa: PLC0415 - see above

        coverage = EdgeCoverage(*(session.config.getoption("--graphengine-coverage-graph") or ()))
        session.config.stash[_MEASURED] = coverage.__enter__()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Watch no more; what passed fails where too little was seen."""
    coverage = session.config.stash.get(_MEASURED, None)
    if coverage is None:
        return
    coverage.__exit__(None, None, None)
    told: dict[str, object] | None = getattr(session.config, "workeroutput", None)
    if told is not None:  # whoever started this process counts
        told[_TOLD] = coverage.as_json()
    elif _is_under(session.config) and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:  # noqa: ANN401 - pytest-xdist's, which need not be there
    """Take in what a process of pytest-xdist saw."""
    coverage = node.config.stash.get(_MEASURED, None)
    told = (getattr(node, "workeroutput", None) or {}).get(_TOLD)
    if coverage is not None and told is not None:
        coverage.add(told)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Write the report."""
    coverage = config.stash.get(_MEASURED, None)
    if coverage is None:
        return
    terminalreporter.write_sep("=", "edges of graphs")
    terminalreporter.write_line(coverage.report())
    if _is_under(config):
        told = f"FAIL: {_percent_seen(coverage):.1f} % of ways and conditions seen, {_under(config):g} % are asked for"
        terminalreporter.write_line(told, red=True, bold=True)


def _is_under(config: pytest.Config) -> bool:
    coverage, under = config.stash.get(_MEASURED, None), _under(config)
    return coverage is not None and under is not None and _percent_seen(coverage) < under - _NEAR


def _percent_seen(coverage: EdgeCoverage) -> float:
    """The share of all ways and conditions that was seen; none where no graph was run at all."""
    return coverage.percent if coverage.graphs else 0.0
