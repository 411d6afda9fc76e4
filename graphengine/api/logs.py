"""Add to log records the run, the node, the visit and the attempt whose code is running.

The user's own loggers do not know about runs. The current node is in a context variable, which is also available in the
threads that a node's code gets from `asyncio.to_thread` and in the processes of executors.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from graphengine.kernel.extension import CURRENT

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

_OUTSIDE: Final[Mapping[str, str | None]] = {"run": "", "node": "", "visit": None, "attempt": None}
"""The values of the attributes for a record that was not logged in a node."""


class NodeLogFilter(logging.Filter):
    """Adds `run`, `node`, `visit` and `attempt` to each record that the code of a node logs.

    Add a `NodeLogFilter` to a logging handler, so that the format of the handler can name these four attributes. `run`
    and `node` are always texts, and `visit` and `attempt` are whole numbers or None. Log storage with typed columns
    therefore accepts every record. In a record that is logged outside a node, the texts are "" and the numbers are
    None.

    A `NodeLogFilter` can also be used as a processor of structlog. It then adds the four attributes to the event. To an
    event that is logged outside a node, it adds nothing.

    >>> handler = logging.StreamHandler()
    >>> handler.addFilter(NodeLogFilter())
    >>> handler.setFormatter(logging.Formatter("%(levelname)s %(run)s %(node)s.%(visit)s: %(message)s"))
    """

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Add the attributes `run`, `node`, `visit` and `attempt` to a log record.

        They tell which node of which run logged the record.

        A filter of `logging` returns False to drop a record. `NodeLogFilter` keeps all records, so it always returns
        True.
        """
        facts = node_facts()
        for name, nothing in _OUTSIDE.items():
            if not hasattr(record, name):
                setattr(record, name, facts.get(name, nothing))
        return True

    def __call__(self, logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ARG002 - as structlog calls it
        """Add the run, node, visit and attempt to an event of structlog, so that the object can be its processor."""
        for name, fact in node_facts().items():
            event.setdefault(name, fact)
        return event


def node_facts() -> Mapping[str, str | int]:
    """Return to which run, node, visit and attempt the code that is running now belongs; {} outside a node."""
    here: Any = CURRENT.get()
    if here is None:
        return {}
    # In the process of an executor, only the facts of an attempt are available.
    if hasattr(here, "run_id"):
        return {"run": here.run_id, "node": here.path, "visit": here.visit, "attempt": here.attempt}
    task = here.task
    return {"run": here.services.run_id, "node": here.path, "visit": task.visit, "attempt": task.attempt}


__all__ = ["NodeLogFilter"]
