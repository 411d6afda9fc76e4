"""What the core is, and what it needs."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NEEDS = ("jsonschema", "lazy-loader", "msgspec", "pydantic")
"""The distributions that the core needs."""
TOOLS = ("cryptography", "hypothesis", "packaging", "pytest", "pytest-asyncio", "pytest-xdist")
"""Those that its tests need: what a secret is encrypted with is an extra of it."""


def contract() -> tuple[set[str], set[str]]:
    """Return the modules of the core, and those that it must not import, from the contract in pyproject.toml."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (found,) = [
        each for each in content["tool"]["importlinter"]["contracts"] if each["name"] == "the core stands alone"
    ]
    return set(found["source_modules"]), set(found["forbidden_modules"])
