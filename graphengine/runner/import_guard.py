"""A guard against runs that start when a file is imported for its graphs, to check, draw or list them."""

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
    """Refuse runs started inside the block, including in its tasks and threads."""
    token = _IS_IMPORTING.set(True)
    try:
        yield
    finally:
        _IS_IMPORTING.reset(token)


def check_may_run() -> None:
    """Check that no file is being imported for its graphs.

    Raises:
        RunAtImport: A file is being imported for its graphs.
    """
    if _IS_IMPORTING.get():
        raise RunAtImport(
            "the file starts a run when it is imported",
            repair='move the code that starts it below if __name__ == "__main__":',
        )
