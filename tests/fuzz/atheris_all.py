"""The same targets under atheris, which searches for inputs that reach new code. Run it where atheris installs.

    pip install atheris
    python tests/fuzz/atheris_all.py TARGET [FOLDER_OF_INPUTS] -max_total_time=60

It stops at the first input that raises anything but a `GraphEngineError`, and saves that input in a file `crash-…`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris  # type: ignore[import-untyped]

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["graphengine"]):
    from tests.fuzz.targets import TARGETS, ours


def main() -> None:
    """Fuzz one target."""
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, lambda data: ours(lambda: target(data)) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
