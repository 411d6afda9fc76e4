"""A wing imports the core, and no other wing but those listed here. `python -m benchmarks wings` measures the time."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from benchmarks.startup import WINGS

ROOT = Path(__file__).resolve().parents[1]
LOADS = {
    "cli": {"records"},  # its words for amounts and times
    "agents": {"models", "media", "records"},  # the records of its work, as readers have them
    "models": {"media"},
    "memory": {"api", "agents", "models", "media", "databases", "records"},
    "render": {"agents", "models", "records"},  # their errors, to name them in pictures; the visits that it draws
    "telemetry": {"agents", "models", "media", "records"},  # what their steps record; visits
    "worker": {"records"},  # which runs retention removes
}
"""The other wings that a wing imports."""
HEAVY = {
    "anthropic",
    "jsonschema",
    "mcp",
    "networkx",
    "openai",
    "ray",
    "resvg_py",
    "rich.console",
    "starlette",
    "uvicorn",
}
PROGRAM = "import importlib, sys; importlib.import_module(sys.argv[1]); print(*sys.modules)"


def core() -> set[str]:
    """Return the packages of the core, as the contract in pyproject.toml lists them."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = content["tool"]["importlinter"]["contracts"]
    (found,) = [each["source_modules"] for each in contracts if each["name"] == "the core stands alone"]
    return {name.split(".")[1] for name in found}


@pytest.mark.parametrize("wing", [name for name in WINGS if name != "evaluation"])  # it runs what it evaluates
def test_a_wing_loads_no_other(wing: str) -> None:
    """Who uses one pays for one: it loads the core, what it is listed with, and no library of others."""
    if wing == "databases.postgres":
        pytest.importorskip("psycopg")
    if wing == "telemetry":
        pytest.importorskip("opentelemetry")
    ran = subprocess.run([sys.executable, "-c", PROGRAM, WINGS[wing]], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    loaded = set(ran.stdout.split())
    own = WINGS[wing].split(".")[1]
    wings = (
        {name.split(".")[1] for name in loaded if name.startswith("graphengine.")}
        - core()
        - {own, "addresses", "doors", "output_file", "wings"}
    )
    assert wings == LOADS.get(wing, set())
    assert not loaded & HEAVY
    other = "postgres" if wing == "databases.sqlite" else "sqlite"
    assert wing not in ("databases.sqlite", "databases.postgres") or f"graphengine.databases.{other}" not in loaded
