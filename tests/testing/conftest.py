"""Loads all of graphengine before a test lets pytest run in this process.

Such a pytest forgets at its end what was loaded meanwhile, and whatever is loaded again then is another module than the
one that others know.
"""

import pkgutil
from importlib import import_module

import pytest

import graphengine


@pytest.fixture(scope="session", autouse=True)
def _everything_is_loaded() -> None:
    for module in pkgutil.walk_packages(graphengine.__path__, "graphengine."):
        if not module.name.endswith(("__main__", "plugin")):  # pytest wants to load plugins itself
            import_module(module.name)
    for name in ("anthropic", "openai", "httpcore2", "httpx2"):  # the SDKs load some of these when first used
        import_module(name)
