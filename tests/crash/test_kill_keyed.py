"""A process is killed in the middle of an idempotent effect, and a changed program goes on with its run."""

from pathlib import Path

import pytest

from tests.kit import forks

PROGRAM = Path(__file__).with_name("keyed_victim.py")
LOADS = ("jsonschema", "graphengine.databases.postgres")


@pytest.mark.parametrize("way", ["call", "tool"])
def test_the_receiver_sees_one_key_over_a_kill_and_a_deployment(way: str, database: str, tmp_path: Path) -> None:
    """The process dies in the act, the model of the argument gains a field with a default, and the act is repeated."""
    ledger = tmp_path / "ledger"
    first, second = (
        forks.run(PROGRAM, database, str(ledger), way, version, folder=tmp_path, loads=LOADS) for version in "12"
    )
    assert (first.returncode, second.stdout.split()) == (-9, ["paid"]), second.stderr
    keys = ledger.read_text(encoding="utf-8").split()
    assert (len(keys), len({*keys})) == (2, 1)
