"""Says to PyInstaller, by an entry point, where the hook is that finds what this package loads by name."""

from __future__ import annotations

from pathlib import Path


def hook_folders() -> list[str]:
    """Return the folder of the hook."""
    return [str(Path(__file__).parent)]


__all__ = ["hook_folders"]
