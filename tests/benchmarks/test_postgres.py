import pytest

from benchmarks.measure import Settings
from benchmarks.postgres import PROGRAMS
from tests.kit.postgres import PostgresServer


@pytest.mark.parametrize("name", PROGRAMS)
async def test_every_program_gives_figures(name: str, postgres_server: PostgresServer) -> None:
    """Our side of each program runs and gives positive figures."""
    outcome = await PROGRAMS[name](Settings(quick=True, peers=False), postgres_server.address())

    assert outcome.figures
    assert all(min(figure.rounds) > 0 for figure in outcome.figures.values())
