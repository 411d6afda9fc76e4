"""Warnings of the engine, as lines on stderr while a command drives runs."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Generator

    from graphengine.cli.session import Session


class _Lines(logging.Handler):
    """A handler that shows log messages as lines on stderr."""

    def __init__(self, session: Session) -> None:
        super().__init__(logging.WARNING)
        self._session = session

    def emit(self, record: logging.LogRecord) -> None:
        self._session.err.line(("warning  ", "bold yellow"), record.getMessage())


@contextmanager
def shown(session: Session) -> Generator[None]:
    """Show the engine's warnings while active, or the whole log if the command has options for that."""
    if session.log_format or session.log_level:
        from graphengine.cli.observing import logged

        click.get_current_context().with_resource(logged(session))  # to the end of the command, for its report
        yield
        return
    log, lines = logging.getLogger("graphengine"), _Lines(session)
    log.addHandler(lines)
    try:
        yield
    finally:
        log.removeHandler(lines)
