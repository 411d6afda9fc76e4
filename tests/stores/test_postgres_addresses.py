"""Addresses of PostgreSQL are read strictly, and never shown with a password."""

import pytest

from graphengine.databases.addresses import parse, scheme_of, shown
from graphengine.errors import StoreNotSupported


@pytest.mark.parametrize(
    ("given", "visible"),
    [
        ("postgresql://me:secret@db.example:5432/runs", "postgresql://me@db.example:5432/runs"),
        ("postgres://me:secret@db.example/runs", "postgresql://me@db.example/runs"),
        ("postgresql://db.example/runs?user=me&password=secret", "postgresql://db.example/runs?user=me"),
        ("postgresql:///runs", "postgresql:///runs"),
        ("postgresql://me:sec%40ret%2F@[::1]:5432/runs", "postgresql://me@[::1]:5432/runs"),
        ("postgresql://me:secret@a,b:5433/runs?target_session_attrs=any", None),
        ("postgresql://me:secret@%2Frun%2Fpg/runs?schema=tests", "postgresql://me@%2Frun%2Fpg/runs?schema=tests"),
    ],
)
def test_an_address_is_shown_without_its_password(given: str, visible: str | None) -> None:
    """An address is shown without its password, also in options and in its repr."""
    address = parse(given)
    assert "sec" not in f"{address} {address!r} {shown(given)}"
    if visible is not None:
        assert (address.shown, shown(given)) == (visible, visible)
    assert "sec" in address.url or "secret" not in given


def test_the_words_of_an_error_are_searched_before_they_are_joined() -> None:
    """A password with a line break is found."""
    faults = pytest.importorskip("graphengine.databases.postgres.faults")
    address = parse("postgresql://me:se%0A%20cret@db.example/runs")
    assert faults.words_of(OSError("no entry for se\n cret\n  at db"), address) == "no entry for … at db"


@pytest.mark.parametrize(
    "given",
    [
        "postgresql://me:secret@x@db.example/runs",
        "postgresql://me:secret/x@db.example/runs",
        "postgresql://me:12/secret@db.example/runs",
        "postgresql://me:12?secret@db.example/runs",
        "postgresql://me:secret:x@db.example:y/runs",
        "postgresql://me:secret%x@db.example/runs",
        "postgresql://me@db.example/runs?pasword=secret",
        "postgresql://me@db.example/runs?secret",
        "postgresql://me@db.example:port/secret",
        "postgresql://me@db.example/runs#secret",
    ],
)
def test_nothing_of_an_unreadable_address_is_shown(given: str) -> None:
    """What is in the wrong place can be a password."""
    with pytest.raises(StoreNotSupported) as caught:
        parse(given)
    assert "secret" not in str(caught.value)
    assert "%40 for @" in caught.value.repair
    assert shown(given) == "postgresql://…"


def test_the_schema_is_part_of_the_address() -> None:
    """It is not passed to libpq, and only plain names are accepted."""
    assert parse("postgresql://h/db").schema == "graphengine"
    address = parse("postgresql://h/db?sslmode=require&schema=team_1")
    assert (address.schema, address.url) == ("team_1", "postgresql://h/db?sslmode=require")
    with pytest.raises(StoreNotSupported, match="cannot be the name of a schema"):
        parse("postgresql://h/db?schema=a;b")


def test_a_path_has_no_scheme() -> None:
    """Drives and colons in names are parts of paths."""
    assert [scheme_of(given) for given in ("runs.db", "C:/runs.db", "a:b/runs.db", "mysql://x")] == [
        "",
        "",
        "",
        "mysql",
    ]
