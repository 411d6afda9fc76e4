"""graphengine: a state-machine graph engine for agent workflows.

Define a typed state and a graph of nodes, run it, resume it after any crash, branch it from any step, draw it, and
test its nodes in isolation. Names are loaded on first use, so that importing the package stays cheap.
"""

from graphengine.doors import door

_loaded, __dir__, __all__ = door(__name__, __file__)


def __getattr__(name: str) -> object:
    try:
        return _loaded(name)
    except AttributeError:
        from graphengine.imports import check_import  # noqa: PLC0415 - only a mistake needs it

        check_import(name)
        raise


__version__ = "0.1.0"
