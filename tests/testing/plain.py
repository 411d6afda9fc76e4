"""How the tests of the pytest plugin start pytest, whether or not graphengine's entry point is installed."""

from importlib.metadata import entry_points
from typing import Final

_IS_INSTALLED: Final = any(point.value == "graphengine.testing.plugin" for point in entry_points(group="pytest11"))
PLUGIN: Final = () if _IS_INSTALLED else ("-p", "graphengine.testing.plugin")
"""Arguments that let a pytest of a test have our plugin."""
QUIET: Final = (*PLUGIN, "-p", "no:cacheprovider", "-p", "no:randomly")
