"""What if, beside secrets and statistics; `what_if.txt` shows what it says."""

import secrets

import pytest
from pydantic import BaseModel, SecretStr

from graphengine import Runner
from graphengine.errors import CompileError
from graphengine.stores.memory import MemoryStore
from graphengine.testing.evaluation.report import difference_of, student_t
from graphengine.testing.evaluation.what_if import what_if
from tests.kit.runs import alone


class Locked(BaseModel):
    task: str = ""
    key: SecretStr = SecretStr("")
    final: str = ""


def test_intervals_are_those_of_student() -> None:
    """Quantiles of tables: 2.776 for 4 degrees of freedom, 2.228 for 10, 1.984 for 100; none for fewer than 5 pairs."""
    assert [round(student_t(freedom), 2) for freedom in (4, 10, 100)] == [2.77, 2.23, 1.98]
    few = difference_of([(1.0, 2.0), (1.0, 3.0), (None, 1.0)])
    assert few is not None
    assert (few.mean, few.low, few.more) == (1.5, None, 2)
    assert difference_of([(None, 1.0)]) is None
    five = difference_of([(0.0, x) for x in (1.0, 2.0, 3.0, 4.0, 5.0)])
    assert five is not None
    assert (round(five.low or 0, 1), round(five.high or 0, 1)) == (1.0, 5.0)


async def test_the_report_has_no_secret_and_scorers_that_do_not_fit_cost_no_branch() -> None:
    """A state with a secret cannot be scored, which is said before a branch is run."""
    key = secrets.token_urlsafe(32)
    graph = alone(Locked, lambda task: task, "final", result="final", secret_key=key)
    store = MemoryStore()
    async with Runner(store) as runner:
        await runner.start(graph, {"task": "a", "key": "the first one"}, run_id="a").result()
    found = await what_if(graph, "a", store, name="key", update={"key": "the other one"})
    assert found.change == ["key = [secret]"]
    with pytest.raises(CompileError, match="key is a secret"):
        await what_if(graph, "a", store, name="scored", at=("work", 1), scorers={"one": lambda final: 1})
    async with Runner(store) as runner:
        assert not await runner.runs(tag="whatif:scored")
