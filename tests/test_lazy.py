import subprocess
import sys
from importlib import import_module

import pytest

PACKAGES = [
    "graphengine",
    "graphengine.agents",
    "graphengine.models",
    "graphengine.patterns",
    "graphengine.runner",
    "graphengine.testing",
]


def loaded_by(statement: str) -> list[str]:
    """Name the package's modules that a new process has loaded after a statement."""
    program = f"import sys; {statement}; print(*sorted(name for name in sys.modules if 'graphengine' in name))"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there(package: str) -> None:
    """`__all__` names nothing that is not listed, and that cannot be had."""
    module = import_module(package)
    assert set(module.__all__) <= set(dir(module))
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_an_unknown_name_is_an_error(package: str) -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match=f"No {package} attribute superviser"):
        _ = import_module(package).superviser


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_loads_none_of_its_names(package: str) -> None:
    """Only the packages around it, and what looks names up."""
    assert loaded_by(f"import {package}") == sorted({"graphengine", package})


def test_a_name_loads_once() -> None:
    """It is in its package from its first use on, and nothing is looked up again."""
    assert "graphengine.models.router" not in loaded_by("from graphengine.models import Message")
    import_module("graphengine.patterns").voting  # noqa: B018 - the first use
    assert "voting" in vars(import_module("graphengine.patterns"))
