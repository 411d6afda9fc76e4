"""`graphengine check --bounds` and `--forecast`: the most that a run can take, and what recorded runs took."""

from pathlib import Path

from tests.cli.programs import WAITING, Invoke, document


def test_bounds_are_a_table_or_a_document(project: Path, invoke: Invoke) -> None:
    """Each node with its visits, and the whole; the same in JSON."""
    (project / "flows" / "waiting.py").write_text(WAITING)
    shown = invoke("check", "waiting", "--bounds")
    assert shown.exit_code == 0
    assert "a run at most: " in shown.stdout
    (found,) = document(invoke("check", "waiting", "--bounds", "--json").stdout)["bounds"]
    assert found["graph"] == "waiting"
    assert {node["path"]: node["visits"] for node in found["nodes"]}["publish"] == 1


def test_bounds_have_the_prices_of_the_models_that_are_named(project: Path, invoke: Invoke) -> None:
    """A model that does not exist, and one without --bounds, are refused."""
    (project / "flows" / "waiting.py").write_text(WAITING)
    (found,) = document(invoke("check", "waiting", "--bounds", "--model", "rules", "--json").stdout)["bounds"]
    assert found["cost_usd"] == 0
    assert invoke("check", "waiting", "--model", "rules").exit_code == 2
    assert invoke("check", "waiting", "--bounds", "--model", "nobody=rules").exit_code == 2


def test_a_forecast_of_too_few_runs_is_refused(project: Path, invoke: Invoke) -> None:
    """It says how many have ended; without a database it is wrong usage."""
    (project / "flows" / "waiting.py").write_text(WAITING)
    assert invoke("run", "waiting", "--run-id", "w1").exit_code == 3
    assert invoke("check", "waiting", "--forecast").exit_code == 2
    found = invoke("check", "waiting", "--forecast", "--store", "checkpoints/runs.db", "--json")
    text = document(found.stdout)["no_forecast"]["waiting"]
    assert text == "0 runs of waiting have ended, and a forecast needs 5"
