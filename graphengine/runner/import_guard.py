"""A guard against runs that start while a file is imported only for its graphs, to check, draw or list them."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from graphengine.errors import GraphEngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

IS_IMPORTING: Final = ContextVar("graphengine is importing a file for its graphs", default=False)


class RunAtImport(GraphEngineError):
    """Raised when a file starts a run while it is being imported only for the graphs that it defines.

    The command line, for example, imports files for this purpose, and must not start runs by doing so.
    """

    code = "run_at_import"

    def __init__(self) -> None:
        super().__init__(
            "the file starts a run when it is imported",
            repair='move the code that starts it below if __name__ == "__main__":',
        )


@contextmanager
def importing() -> Iterator[None]:
    """Refuse to start runs while the code inside the `with` block imports a file.

    This also applies to the tasks and threads that the block starts.
    """
    token = IS_IMPORTING.set(True)
    try:
        yield
    finally:
        IS_IMPORTING.reset(token)
