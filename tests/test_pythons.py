"""`make pythons`: which interpreters of a machine it tries."""

import os
from pathlib import Path

import pytest

from scripts.pythons import interpreters


def interpreter(place: Path, version: str) -> str:
    """Write a program that answers the probe like an interpreter of this version; return its path."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(f"#!/bin/sh\n{f'echo {version}' if version else 'exit 0'}\n")
    place.chmod(0o755)
    return str(place)


@pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")
def test_each_version_is_tried_once_the_newest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those on PATH, of pyenv and of uv; one that answers no version is too old, no CPython, or free-threaded."""
    home, path = tmp_path / "home", tmp_path / "path"
    first = interpreter(path / "python3", "3.12.9")
    interpreter(path / "python3.12", "3.12.9")
    interpreter(path / "python3.10", "")
    interpreter(path / "python3-config", "3.12.9")
    pyenv = interpreter(home / ".pyenv" / "versions" / "3.13.0" / "bin" / "python3", "3.13.0")
    uv = interpreter(home / ".local" / "share" / "uv" / "python" / "cpython-3.12.10" / "bin" / "python3.12", "3.12.10")
    (path / "python3.14").write_text("not a program")
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("PYENV_ROOT", raising=False)
    assert list(interpreters().items()) == [("3.13.0", pyenv), ("3.12.10", uv), ("3.12.9", first)]
