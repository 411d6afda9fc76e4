"""How a failed test reports the nodes that failed in it."""

import pytest

from tests.testing.test_plugin import output_of, run

pytest_plugins = ("pytester",)

VAULT = """
from graphengine import Graph, Secret

class Vault(BaseModel):
    token: SecretStr = SecretStr("")
    seen: str = "open"

async def spill(token: SecretStr) -> str:
    raise ValueError(f"bad token {token.get_secret_value()}")

vault = Graph("vault", Vault, secret_key="0123456789-abcdefghijk-lmnopqrstuvwx-yz")
vault.add_node("spill", spill, writes="seen")
vault.add_path(START, "spill", END)

async def test_it(runner):
    await runner.start(vault, {"token": "correct horse battery"}).result()
"""


def test_a_failed_test_shows_prompt_state_and_step(pytester: pytest.Pytester) -> None:
    """The node, its visit and step, the error, its input and its model request have a section of their own."""
    result = run(
        pytester,
        """
async def test_it(runner, scripted_model):
    runner.use(models={"*": scripted_model([ValueError("the model is on fire")])})
    await runner.start(writing, {"n": 41}).result()
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*graphengine: node write failed (visit 1, attempt 1, after step 1 of run *",
            "ValueError: the model is on fire",
            "what it saw:",
            "  n: 41",
            '  draft: ""',
            "what it asked:",
            "  agent: writer",
            "  system: be brief",
            "  user: 41",
        ]
    )


def test_a_long_message_is_cut_after_keys_are_hidden(pytester: pytest.Pytester) -> None:
    """The middle of a message is left out, and with it the middle of a key, which then could not be found."""
    result = run(
        pytester,
        """
import pytest

@pytest.mark.parametrize("before", [1302, 1306, 1310])
async def test_it(runner, scripted_model, before):
    message = "." * before + " ghp_abcdefghijklmn0123456 " + "." * 1000
    runner.use(models={"*": scripted_model([ValueError(message)])})
    await runner.start(writing, {"n": 41}).result()
""",
    )
    result.assert_outcomes(failed=3)
    report = [line for line in result.stdout.lines if line.startswith("ValueError: ..") and "characters" in line]
    assert len(report) == 3
    assert not [line for line in report if "abcde" in line]


def test_a_request_in_the_error_is_not_repeated(pytester: pytest.Pytester) -> None:
    """The error for an answer missing from a script already contains the request."""
    result = run(
        pytester,
        """
async def test_it(runner, scripted_model):
    runner.use(models={"*": scripted_model([])})
    await runner.start(writing, {"n": 41}).result()
""",
    )
    assert "graphengine: node write failed" in output_of(result)
    assert "what it asked" not in output_of(result)


def test_a_passing_test_has_no_report(pytester: pytest.Pytester) -> None:
    """Expected failures are not shown, nor are those of an earlier test."""
    result = run(
        pytester,
        """
import pytest
from graphengine.runner import RunFailed

async def test_first(runner, scripted_model):
    runner.use(models={"*": scripted_model([ValueError("no")])})
    with pytest.raises(RunFailed):
        await runner.start(writing, {}).result()

def test_second():
    assert 1 == 2
""",
        "-rA",
    )
    result.assert_outcomes(passed=1, failed=1)
    assert "graphengine: node" not in output_of(result)


def test_runs_of_any_runner_are_shown_and_only_the_first_failures(pytester: pytest.Pytester) -> None:
    """A graph that a test runs without the fixture is watched too; at most five failures are shown."""
    result = run(
        pytester,
        """
from graphengine import Graph, Retry

async def fail(n: int) -> int:
    raise KeyError(n)
failing = Graph("failing", State)
failing.add_node("fail", fail, writes="n", retry=Retry(attempts=9, initial_seconds=0.001, on=KeyError))
failing.add_path(START, "fail", END)

def test_it():
    failing.run_sync(State(n=3))
""",
    )
    result.assert_outcomes(failed=1)
    assert output_of(result).count("graphengine: node fail failed") == 5


def test_secrets_are_not_shown(pytester: pytest.Pytester) -> None:
    """A secret field is hidden, and so is its clear text if an error quotes it."""
    result = run(pytester, VAULT)
    result.assert_outcomes(failed=1)
    section = output_of(result).partition("graphengine: node spill failed")[2]
    assert "token: **********" in section
    assert "correct horse" not in section


def test_nodes_in_arms_and_items_show_their_own_state(pytester: pytest.Pytester) -> None:
    """An arm of a fork and an item of a map are named by their paths, with their own state."""
    result = run(
        pytester,
        """
from graphengine import Graph

class Many(BaseModel):
    n: int = 5
    names: list[str] = ["a", "b"]
    got: list[str] = []
    other: int = 0

async def each(name: str) -> str:
    raise ValueError(f"no {name}")

async def fine(n: int) -> int:
    return n

many = Graph("many", Many)
many.add_node("begin")
many.add_node("each", each, each={"name": "names"}, writes="got")
many.add_node("fine", fine, writes="other")
many.add_node("end")
many.add_edge(START, "begin")
many.add_fork("begin", ["each", "fine"], join="end")
many.add_edge("each", "end")
many.add_edge("fine", "end")
many.add_edge("end", END)

async def test_it(runner):
    await runner.start(many, {}).result()
""",
    )
    result.assert_outcomes(failed=1)
    output = output_of(result)
    assert "graphengine: node each[0] failed" in output
    assert "  n: 5" in output
