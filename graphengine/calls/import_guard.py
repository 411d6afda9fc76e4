"""A file that is imported for its graphs starts no run: commands that check, draw or list graphs change nothing."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from graphengine.errors import GraphEngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

_IS_IMPORTING: Final = ContextVar("graphengine is importing a file for its graphs", default=False)


class RunAtImport(GraphEngineError):
    """A file starts a run while it is imported for its graphs."""

    code = "run_at_import"


@contextmanager
def importing() -> Iterator[None]:
    """Refuse runs of code that is called here, its tasks and threads included."""
    token = _IS_IMPORTING.set(True)
    try:
        yield
    finally:
        _IS_IMPORTING.reset(token)


def check_may_run() -> None:
    """Refuse to start a run in a file that is imported for its graphs.

    Raises:
        RunAtImport: It is.
    """
    if _IS_IMPORTING.get():
        raise RunAtImport(
            "the file starts a run when it is imported",
            repair='put what only a script does below if __name__ == "__main__":',
        )
