"""Run mypy with a copy of what it has learned of this checkout and its libraries, in a fifth of the time."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
OURS = tomllib.loads(TEXT)["tool"]["mypy"]
LEARNED = ROOT / ".mypy_cache" / OURS["python_version"]
OVERRIDES = re.findall(r"^\[\[tool\.mypy\.overrides\]\]\n.*?^$", TEXT, re.DOTALL | re.MULTILINE)


def run_mypy(folder: Path, scratch: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run mypy in a folder, with its settings and these arguments; `scratch` is new, or of an earlier run.

    The Python version, the error codes and the libraries without types are as here: with others, mypy would start over.
    """
    is_new = not scratch.exists()
    scratch.mkdir(exist_ok=True)
    if is_new and LEARNED.is_dir():  # mypy has run here, as `make test` does before the tests
        shutil.copytree(LEARNED, scratch / LEARNED.name)
    settings: list[str] = []
    if folder != ROOT:
        same = scratch / "pyproject.toml"
        same.write_text("\n".join([(folder / same.name).read_text(encoding="utf-8"), *OVERRIDES]), encoding="utf-8")
        codes = [f"--enable-error-code={code}" for code in OURS["enable_error_code"]]
        settings = ["--config-file", str(same), "--python-version", OURS["python_version"], *codes]
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(scratch), *settings, *words]
    return subprocess.run(command, cwd=folder, text=True, capture_output=True, check=False, timeout=240)
