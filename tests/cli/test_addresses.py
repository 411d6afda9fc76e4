"""Addresses of database servers in place of a path are refused, and shown only with their scheme."""

from pathlib import Path

import pytest

from graphengine import Runner
from graphengine.databases.sqlite import SQLiteStore
from graphengine.errors import StoreNotSupported

ADDRESSES = [
    "oracle://me:secret@db.example:5432/runs",
    "postgresql+asyncpg://me:secret@db.example/runs?password=secret",
    "mysql://host/secret",
    "postgresql:/me:secret@db.example/runs",
    "postgresql:me:secret@db.example/runs",
    "//me:secret@db.example/runs",
    "me:secret@db.example/runs",
    "host=db.example user=me password=secret",
    "sqlite:///secret.db",
    "file:///secret.db",
]


@pytest.mark.parametrize("given", [*ADDRESSES, Path(ADDRESSES[0])])
@pytest.mark.parametrize("make", [Runner, SQLiteStore])
def test_an_address_is_not_a_path(make: type[Runner] | type[SQLiteStore], given: str | Path) -> None:
    """The error has a code and the repair, and shows only the scheme of the address."""
    with pytest.raises(StoreNotSupported) as caught:
        make(given)
    assert "secret" not in str(caught.value)
    assert caught.value.code == "store_not_supported"
    assert "the path of a file" in caught.value.repair


@pytest.mark.parametrize("given", ["runs.db", "a:b/runs.db", "folder/x://y", "C:/runs.db", "C://runs.db", "x:runs.db"])
def test_a_path_that_resembles_an_address_is_a_path(given: str, tmp_path: Path) -> None:
    """Colons are allowed in the names of files, and drives have one."""
    assert SQLiteStore(tmp_path / given).path == tmp_path / given
    assert SQLiteStore(given).path == Path(given).absolute()
