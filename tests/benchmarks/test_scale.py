import sys

import pytest

from benchmarks import scale
from tests.kit.postgres import PostgresServer


@pytest.mark.skipif(sys.platform != "linux", reason="reads the server's CPU time from /proc")
@pytest.mark.parametrize("name", scale.KINDS)
async def test_every_kind_is_measured(name: str, postgres_server: PostgresServer) -> None:
    """Its rows are those that were recorded; what depends on the machine is there."""
    found, recorded = await scale.measure(postgres_server.address(), scale.KINDS[name], 5), scale.MEASURED[name]

    assert (found.rows, found.step_rows) == (recorded.rows, recorded.step_rows)
    assert min(found.kept_bytes, found.wal_bytes, found.client_us) > 0


def test_the_least_limit_says_how_many_databases() -> None:
    """Twice what one database can have needs two; more memory or cores do not help if the disk is full."""
    cost = scale.MEASURED["one node"]
    most = min(scale.limits(cost).values())

    assert scale.limits(cost)["disk"] == most
    assert [scale.month(cost, most * share).databases for share in (0.9, 1.9, 2.9)] == [1, 2, 3]
    assert scale.month(cost, most * 1.9, scale.Assumed(cores=64, disk_bytes=8e12)).databases == 1


def test_numbers_are_short() -> None:
    """Two digits and a unit."""
    found = [scale.short(number) for number in (0.00144, 2.81, 99.6, 999, 1234, 1.55e9, 3.2e13)]

    assert found == ["0.0014", "2.8", "100", "1 k", "1.2 k", "1.6 G", "32 T"]
