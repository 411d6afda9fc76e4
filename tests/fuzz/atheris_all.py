"""The same targets under atheris, which looks for inputs that reach new code. Run it where atheris installs.

    pip install atheris
    python tests/fuzz/atheris_all.py TARGET [FOLDER_OF_INPUTS] -max_total_time=60

It ends at the first input that comes out with anything but an error of ours, and leaves that in a file `crash-…`.
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
