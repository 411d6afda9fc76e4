"""Warnings of the engine, as lines on stderr while a command drives runs.

The log of runs is left out: the command shows itself how its runs go. `--log-level` shows it.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator

    from graphengine.cli.session import Session

_RUNS: Final = "graphengine.runs"


class _Lines(logging.Handler):
    """A handler that shows log messages as lines on stderr."""

    def __init__(self, session: Session) -> None:
        super().__init__(logging.WARNING)
        self._session = session

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != _RUNS:
            self._session.err.prose(("warning  ", "bold yellow"), record.getMessage(), indent=9)


@contextmanager
def shown(session: Session) -> Generator[None]:
    """Show the engine's warnings while active; nothing if the options of the command show its whole log already."""
    if session.log_format or session.log_level:
        yield
        return
    log, lines = logging.getLogger("graphengine"), _Lines(session)
    log.addHandler(lines)
    try:
        yield
    finally:
        log.removeHandler(lines)
