"""Addresses of database servers in place of a path are refused, and shown only with their scheme.

So are other names that would become odd files.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from graphengine import Runner
from graphengine.cli.places import database_from
from graphengine.databases.sqlite import SQLiteStore
from graphengine.errors import StoreNotSupported
from tests.cli.programs import Invoke

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


NAMES = {
    ":memory:": "Runner() keeps runs in memory",
    "file::memory:?cache=shared": "Runner() keeps runs in memory",
    "file:runs.db": "for a file give its path",
    "$HOME/runs.db": "os.path.expandvars",
    "runs-${USER}.db": "os.path.expandvars",
    "/no such folder/$USER/runs.db": "os.path.expandvars",
}


@pytest.mark.parametrize(("given", "repair"), NAMES.items())
@pytest.mark.parametrize("make", [Runner, SQLiteStore, database_from])
def test_a_name_that_only_others_understand_is_refused(make: Callable[[str], object], given: str, repair: str) -> None:
    """No file of that name is made; the repair has what is meant."""
    with pytest.raises(StoreNotSupported) as caught:
        make(given)
    assert repair in caught.value.repair


def test_the_home_folder_can_be_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tilde in front is the home folder, in code and in the settings of a project; elsewhere it is a character."""
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    for given in ("~/runs.db", Path("~/runs.db")):
        assert SQLiteStore(given).path == home / "runs.db"
    assert database_from("~/runs.db") == database_from("~/runs.db", tmp_path / "project") == home / "runs.db"
    for given in ("runs~.db", "~nobody~", "a/~/runs.db"):
        assert SQLiteStore(given).path == Path(given).absolute()


def test_a_folder_with_a_dollar_sign_that_exists_is_one(tmp_path: Path) -> None:
    """The default path of a project is in the folder of the project, whatever its name."""
    folder = tmp_path / "a$b"
    folder.mkdir()
    assert SQLiteStore(folder / "runs.db").path == folder / "runs.db"


def test_the_option_of_commands_means_the_same(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--store` has no shell if a program passes it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert str(tmp_path / "runs.db") in invoke("runs", "--store", "~/runs.db").stderr
    refused = invoke("runs", "--store", ":memory:")
    assert (refused.exit_code, "Runner() keeps runs in memory" in refused.stderr) == (5, True)
