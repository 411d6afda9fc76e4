"""The mock server from npm answers the providers' SDKs; without it, these tests are skipped with a message."""

import json
from pathlib import Path

import pytest

from tests.models.aimock_server import FOLDER, REPAIR, missing


def test_missing_software_is_reported_with_the_repair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Node.js, with an old one, or without the package, the reason to skip has the repair."""
    monkeypatch.setattr("tests.models.aimock_server.PROGRAM", tmp_path / "cli.js")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert missing() == f"aimock needs Node.js, which is not on PATH: {REPAIR}"
    node = tmp_path / "node"
    node.write_text("#!/bin/sh\necho v18.19.1\n", encoding="utf-8")
    node.chmod(0o755)
    assert missing() == f"aimock needs a newer Node.js than v18.19.1: {REPAIR}"
    node.write_text("#!/bin/sh\necho v22.0.0\n", encoding="utf-8")
    assert missing() == f"aimock is not installed: {REPAIR}"
    (tmp_path / "cli.js").touch()
    assert missing() == ""


def test_its_lock_names_no_registry() -> None:
    """The lock file has versions and checksums, but no addresses of a registry."""
    lock = json.loads((FOLDER / "package-lock.json").read_text(encoding="utf-8"))
    (package,) = [entry for name, entry in lock["packages"].items() if name]
    assert "resolved" not in package
    assert package["integrity"].startswith("sha512-")
    assert "://" not in json.dumps(lock)
