"""`graphengine doctor --production`: the checklist of docs/use/deployment.md."""

import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from graphengine.cli import production
from graphengine.cli.places import DatabaseOption
from graphengine.databases.postgres import doctor as postgres_doctor
from graphengine.serve import questions
from graphengine.serve.users import User, UsersFile, write_users
from graphengine.stores.base import OwnerInfo
from tests.cli.programs import Invoke, document, read_until, start

STATES = dict[str, tuple[str, str]]
TOKEN = "0123456789abcdef"  # noqa: S105 - of a test


def checked(invoke: Invoke, code: int) -> STATES:
    """Return the state and the words of each check."""
    found = invoke("doctor", "--production", "--json")
    assert found.exit_code == code, found.output
    shown = document(found.stdout)
    assert shown["ready"] is (code == 0)
    assert all(each["repair"] for each in shown["checks"] if each["state"] != "ok")
    return {each["name"]: (each["state"], each["what"]) for each in shown["checks"]}


def test_what_is_missing_is_named(project: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line says what was found and how to repair it; once all is there, the exit code is 0."""
    monkeypatch.delenv("GRAPHENGINE_TOKEN", raising=False)
    missing = invoke("doctor", "--production")
    assert (missing.exit_code, "there is no database" in missing.stderr) == (5, True)
    invoke("run", "counter", "--run-id", "r")
    found = checked(invoke, 1)
    assert list(found) == [
        *("durability", "disk", "log", "retention", "workers"),
        *("health", "errors", "token", "users", "versions", "backups"),
    ]
    assert found["durability"][0] == found["errors"][0] == found["versions"][0] == "ok"
    assert found["retention"] == ("not", "workers keep the runs of counter for ever")
    assert found["workers"] == ("not", "no worker is alive")
    assert {found[name][0] for name in ("health", "token", "users", "backups")} == {"cannot say"}
    settings = project / "pyproject.toml"
    settings.write_text(settings.read_text() + "\n[tool.graphengine.retention]\nkeep_days = 30\n")
    monkeypatch.setenv("GRAPHENGINE_TOKEN", TOKEN)
    process = start(project, "worker")
    read_until(process, "worker for ")
    deadline = time.monotonic() + 60
    while invoke("doctor", "--production").exit_code and time.monotonic() < deadline:
        pass  # until it has said what it takes
    found = checked(invoke, 0)
    assert (found["workers"][1], found["token"][0], found["retention"][0]) == ("1 worker at work", "ok", "ok")
    process.terminate()
    assert process.wait(60) == 0


def test_each_check_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A remote disk, a full one, a file without a write-ahead log, another version, a short token, unsafe settings."""
    file = tmp_path / "runs.db"
    file.write_bytes(b"SQLite format 3\x00" + b"\x10\x00\x01\x01" + bytes(80))
    place = DatabaseOption(file)
    (plain,) = production.durability(place)
    assert (plain.state, "write-ahead log" in plain.what) == ("not", True)
    monkeypatch.setattr(production, "file_system", lambda _: "nfs4")
    (remote,) = production.durability(place)
    assert (remote.state, "nfs4" in remote.what) == ("not", True)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
    disk, log = production.disk(place)
    assert (disk.state, disk.what) == ("not", "1 byte free, 100 bytes in the database")
    assert (log.state, log.what) == ("ok", "the write-ahead log has 0 bytes")
    with (tmp_path / "runs.db-wal").open("wb") as grown:
        grown.truncate(36_000_000)
    assert (tmp_path / "runs.db-wal").stat().st_blocks == 0  # no disk is used
    _, log = production.disk(place)
    assert (log.state, log.what, "backup" in log.repair) == ("not", "the write-ahead log has 36.0 MB", True)
    other = OwnerInfo("o", "h", 1, {"version": "0.0.9"}, (), 0)
    assert production.versions([other]).state == "not"
    monkeypatch.setenv("GRAPHENGINE_TOKEN", "short")
    assert questions.token().state == "not"
    errors = {each.name: each for each in production.rescue([other], (), 3)}["errors"]
    assert (errors.state, errors.what) == ("not", "3 runs that began within a day failed")


def test_users_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file one token is for all; a broken one, and one that others can write, are not ready."""
    monkeypatch.chdir(tmp_path)
    assert (questions.users().state, "graphengine users add" in questions.users().repair) == ("cannot say", True)
    path = tmp_path / "users.json"
    write_users(path, UsersFile([User("ada", ["all"], sha256="0" * 64)]))
    assert (questions.users().state, questions.users().what.partition(";")[0]) == ("ok", "1 user in users.json")
    if os.name == "posix":
        path.chmod(0o666)
        assert (questions.users().state, questions.users().what) == ("not", "others can write users.json")
    path.write_text("{")
    assert (questions.users().state, "is not a file of users" in questions.users().what) == ("not", True)


def test_a_server_that_would_lose_steps_is_found(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings are those of a session of the address; each that is not safe is named."""
    names = ["fsync", "synchronous_commit"]
    found = postgres_doctor.settings(postgres, names)
    assert sorted(found) == names
    monkeypatch.setattr(postgres_doctor, "settings", lambda *_: {"fsync": "on", "synchronous_commit": "off"})
    (unsafe,) = production.durability(DatabaseOption(postgres))
    assert (unsafe.state, unsafe.what) == ("not", "synchronous_commit = off")
    monkeypatch.setattr(postgres_doctor, "settings", lambda *_: {"fsync": "on", "synchronous_commit": "on"})
    (safe,) = production.durability(DatabaseOption(postgres))
    assert (safe.state, safe.repair) == ("ok", "")
