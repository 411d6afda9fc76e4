"""Every command works with runs in PostgreSQL, and none shows a password."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import Result

from graphengine.databases.postgres import queries
from tests.cli.programs import Invoke
from tests.kit.postgres import PostgresServer, execute

PRESENT = queries.latest_format()
PASSWORD = "hush%2Fhush"  # noqa: S105 - the tests' server does not ask for it


@pytest.fixture
def address(postgres: str) -> str:
    """An address with a password."""
    return postgres.replace("tester@", f"tester:{PASSWORD}@")


def checked(result: Result, code: int = 0) -> str:
    """Return what a command printed, which has no password."""
    text = result.stdout + result.stderr
    assert result.exit_code == code, text
    assert "hush" not in text
    return text


def test_a_run_is_driven_listed_shown_branched_and_resumed(invoke: Invoke, address: str, project: Path) -> None:
    """A run in PostgreSQL is driven, shown, branched and resumed as in a file; commands omit the password."""
    words = ["run", "counter", "--run-id", "one", "--limit", "visits=1", "--tag", "x"]
    printed = checked(invoke(*words, "--store", address), 4)
    assert f"--store '{address.replace(':' + PASSWORD, '')}'" in printed
    checked(invoke("resume", "one", "--limit", "visits=9", "--store", address))
    checked(invoke("branch", "one", "--at", "1", "--run-id", "two", "--store", address))
    listed = json.loads(checked(invoke("runs", "--json", "--store", address)))
    assert {run["run_id"]: run["status"] for run in listed["runs"]} == {"one": "finished", "two": "finished"}
    assert "one" in checked(invoke("runs", "--tag", "x", "--store", address))
    for words in (
        ["show", "one"],
        ["show", "one", "--json"],
        ["diff", "one", "two"],
        ["render", "one", "-o", "one.mmd"],
    ):
        checked(invoke(*words, "--store", address))
    for words in (["replay", "one"], ["show", "one", "--usage"], ["runs", "--tree"]):
        assert "hush" not in checked(invoke(*words, "--store", address))
    assert "no run" in checked(invoke("show", "nothing", "--store", address), 2).lower()
    assert not (project / "checkpoints").exists()


def test_the_settings_of_a_project_name_its_database(invoke: Invoke, address: str, project: Path) -> None:
    """Then no command needs `--store`, and those to paste have none."""
    settings = project / "pyproject.toml"
    settings.write_text(f'{settings.read_text()}store = "{address}"\n')
    printed = checked(invoke("run", "counter", "--run-id", "one", "--limit", "visits=1"), 4)
    assert "--store" not in printed
    assert "one" in checked(invoke("runs"))
    checked(invoke("resume", "one", "--limit", "visits=9"))
    assert "finished" in checked(invoke("show", "one"))
    settings.write_text(settings.read_text().replace(address, "elsewhere/here.db"))
    checked(invoke("run", "counter", "--run-id", "two"))
    assert (project / "elsewhere" / "here.db").exists()
    settings.write_text(settings.read_text().replace('"elsewhere/here.db"', "7"))
    assert "project_broken" in checked(invoke("runs"), 2)


def test_runs_move_between_files_and_postgres(invoke: Invoke, address: str, project: Path) -> None:
    """Export and import keep every step, and the run can be resumed in its new place."""
    checked(invoke("run", "counter", "--run-id", "one", "--limit", "visits=2"), 4)
    checked(invoke("export", "one", "-o", "one.json"))
    assert "recorded" in checked(invoke("import", "one.json", "--store", address))
    assert "nothing was done" in checked(invoke("import", "one.json", "--store", address))
    checked(invoke("resume", "one", "--limit", "visits=9", "--store", address))
    checked(invoke("export", "one", "-o", "back.json", "--store", address))
    checked(invoke("import", "back.json", "--store", "other.db"))
    there = json.loads(checked(invoke("show", "one", "--json", "--store", address)))
    back = json.loads(checked(invoke("show", "one", "--json", "--store", "other.db")))
    assert [step["seq"] for step in there["steps"]] == [step["seq"] for step in back["steps"]]
    assert there["state"] == back["state"]


def test_the_doctor_finds_damage(invoke: Invoke, address: str, postgres: str) -> None:
    """A changed step, snapshot or row is a fault; a repair is refused."""
    checked(invoke("run", "counter", "--run-id", "one", "--store", address))
    checked(invoke("run", "counter", "--run-id", "two", "--store", address))
    checked(invoke("run", "counter", "--run-id", "three", "--store", address))
    assert "sound" in checked(invoke("doctor", "--store", address))
    base, _, schema = postgres.partition("?schema=")
    with psycopg.connect(base, autocommit=True, options=f"-csearch_path={schema}") as connection:
        connection.execute(
            """UPDATE steps SET body = replace(body, 'more', 'less')
                WHERE seq = 2 AND run = (SELECT key FROM runs WHERE id = 'one')"""
        )
        connection.execute("UPDATE runs SET status = 'failed' WHERE id = 'two'")
        connection.execute(
            """UPDATE runs SET summary = replace(summary, '"visits":', '"visits":1') WHERE id = 'three'"""
        )
    report = json.loads(checked(invoke("doctor", "--json", "--store", address), 1))
    assert {(each["code"], each["run_id"]) for each in report["findings"] if not each["note"]} == {
        ("step_damaged", "one"),
        ("run_differs", "two"),
        ("run_differs", "three"),
    }
    assert (report["runs"], report["sound"]) == (3, False)
    assert "--repair can only correct sequences" in checked(invoke("doctor", "--repair", "--store", address), 5)


def test_sequences_that_are_behind_are_found_and_moved(invoke: Invoke, address: str, postgres: str) -> None:
    """Logical replication copies none: a start names the repair, the check finds them, and a repair moves them."""
    for name in ("one", "two", "three"):
        checked(invoke("run", "counter", "--run-id", name, "--store", address))
    base, _, schema = postgres.partition("?schema=")
    ((highest,),) = execute(base, f"SELECT max(key) FROM {schema}.runs")  # noqa: S608 - a name of ours
    behind = f"ALTER SEQUENCE {schema}.runs_key_seq RESTART WITH {highest}"
    execute(base, behind)
    failed = invoke("run", "counter", "--run-id", "four", "--store", address)
    assert "doctor --repair" in checked(failed, 5)
    execute(base, behind)
    found = json.loads(checked(invoke("doctor", "--json", "--store", address), 1))
    assert [each["code"] for each in found["findings"] if not each["note"]] == ["sequence_behind"]
    done = json.loads(checked(invoke("doctor", "--repair", "--json", "--store", address)))
    assert done["done"] == [f"moved the sequence {schema}.runs_key_seq from {highest} to {int(str(highest)) + 1}"]
    checked(invoke("run", "counter", "--run-id", "four", "--store", address))
    assert "nothing was changed" in checked(invoke("doctor", "--repair", "--store", address))


def test_old_runs_are_pruned(invoke: Invoke, address: str) -> None:
    """Old runs are pruned, and the space is returned as far as the server can."""
    for name in ("one", "two", "three"):
        checked(invoke("run", "counter", "--run-id", name, "--store", address))
    checked(invoke("prune", "--keep-last", "1", "--yes", "--vacuum", "--store", address))
    listed = json.loads(checked(invoke("runs", "--json", "--store", address)))
    assert [run["run_id"] for run in listed["runs"]] == ["three"]


@pytest.mark.parametrize(
    "wrong",
    [
        "postgresql://tester:hush@no-such-host.invalid/db",
        "postgresql://tester:hush/x@127.0.0.1/db",
        "postgresql://tester:hush@127.0.0.1:1/db",
        "postgres+asyncpg://tester:hush@127.0.0.1/db",
        "postgresql://tester@127.0.0.1/db?pasword=hush",
    ],
)
@pytest.mark.parametrize("words", [["runs"], ["run", "counter"], ["doctor"], ["worker"], ["runs", "--json"]])
def test_a_wrong_address_is_one_clear_error(invoke: Invoke, project: Path, words: list[str], wrong: str) -> None:
    """It has a code and a repair, exits with 5, shows no password and creates no file."""
    text = checked(invoke(*words, "--store", wrong), 5)
    assert "store_" in text
    assert "repair" in text
    assert not [each for each in project.rglob("*") if "hush" in each.name]


@pytest.fixture
def refused(postgres_server: PostgresServer, address: str, invoke: Invoke) -> Iterator[dict[str, tuple[str, str]]]:
    """Addresses of a database with a run that a user cannot use, with the error's code, by what is wrong."""
    checked(invoke("run", "counter", "--run-id", "one", "--store", address))
    base, rules = postgres_server.address(), postgres_server.hba.read_text()
    schema = address.partition("?schema=")[2]
    roles = {"locked_out": "PASSWORD 'right'", "no_rights": "", "reader": ""}
    execute(base, *(f"CREATE ROLE {role} LOGIN {how}" for role, how in roles.items()))
    execute(base, f"GRANT USAGE ON SCHEMA {schema} TO reader", f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO reader")
    execute(base, "ALTER ROLE reader SET default_transaction_read_only = on")
    postgres_server.hba.write_text(f"local all locked_out scram-sha-256\n{rules}")
    execute(base, "SELECT pg_reload_conf()")
    as_user: Callable[[str], str] = lambda user: address.replace("tester:", f"{user}:")  # noqa: E731
    yield {
        "a wrong password": (as_user("locked_out"), "store_forbidden"),
        "no rights": (as_user("no_rights"), "store_forbidden"),
        "no such user": (as_user("nobody"), "store_forbidden"),
        "no such database": (address.replace("/postgres?", "/nothing?"), "store_missing"),
        "a database that only allows reading": (as_user("reader"), "store_read_only"),
    }
    postgres_server.hba.write_text(rules)
    execute(base, "DROP OWNED BY reader", *(f"DROP ROLE {role}" for role in roles), "SELECT pg_reload_conf()")


def test_a_database_that_refuses_is_one_clear_error(
    invoke: Invoke, address: str, project: Path, refused: dict[str, tuple[str, str]]
) -> None:
    """A code and a repair, no traceback, no password, and the runs are unchanged."""
    before = checked(invoke("show", "one", "--json", "--store", address))
    for what, (wrong, code) in refused.items():
        writing = (["run", "counter"], ["worker"], ["resume", "one"], ["run", "counter", "--debug"])
        reading = (["runs"], ["show", "one", "--json"], ["doctor"])
        for words in writing if code == "store_read_only" else (*writing, *reading):
            text = checked(invoke(*words, "--store", wrong), 5)
            assert text.count(code) == 1, f"{what}: {words}: {text}"
            assert "repair" in text
        if code == "store_read_only":
            assert checked(invoke("show", "one", "--json", "--store", wrong)) == before
    assert checked(invoke("show", "one", "--json", "--store", address)) == before
    assert not (project / "checkpoints").exists()


def test_a_database_of_another_version(
    invoke: Invoke, address: str, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older one is read as it is and migrated by the first command that writes; a newer one is refused."""
    checked(invoke("run", "counter", "--run-id", "one", "--store", address))
    with monkeypatch.context() as newer:
        newer.setattr(queries, "MIGRATIONS", [*queries.MIGRATIONS, "CREATE TABLE added ()"])
        assert "one" in checked(invoke("runs", "--store", address))
        assert execute(postgres, "SELECT format FROM meta") == [(PRESENT,)]
        checked(invoke("run", "counter", "--run-id", "two", "--store", address))
        assert execute(postgres, "SELECT format FROM meta") == [(PRESENT + 1,)]
    execute(postgres, "UPDATE meta SET format = 99, oldest = 98")
    for words in (["runs"], ["run", "counter"], ["doctor"], ["worker"], ["show", "one"]):
        text = checked(invoke(*words, "--store", address), 5)
        assert ("store_too_new" in text, "update graphengine" in text) == (True, True)
    execute(postgres, f"UPDATE meta SET format = 98, oldest = {PRESENT}")  # noqa: S608 - a number
    assert "finished" in checked(invoke("show", "one", "--store", address))
