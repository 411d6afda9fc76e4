"""The mock server from npm answers the providers' SDKs; without it, these tests are skipped with a message."""

import json

from tests.models.aimock_server import FOLDER


def test_its_lock_names_no_registry() -> None:
    """The lock file has versions and checksums, but no addresses of a registry."""
    lock = json.loads((FOLDER / "package-lock.json").read_text(encoding="utf-8"))
    (package,) = [entry for name, entry in lock["packages"].items() if name]
    assert "resolved" not in package
    assert package["integrity"].startswith("sha512-")
    assert "://" not in json.dumps(lock)
