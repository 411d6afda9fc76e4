import asyncio
import secrets
from typing import Any, cast

import pytest
from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from graphengine import (
    END,
    START,
    Agent,
    Context,
    Graph,
    Retry,
    ScriptedModel,
    failed,
    plateau,
    value,
)
from graphengine.errors import (
    DefinitionError,
    InputError,
    InvalidUpdate,
    MutatedInput,
    NodeError,
    NodeTimeout,
    NotRecordable,
)
from graphengine.models import OffScript
from graphengine.testing import FakeClock, run_node
from graphengine.testing.coverage import EdgeCoverage
from tests.kit.alone import Article, Review, graph_of, notes, raising, write
from tests.kit.runs import alone

# -- what is missing, and what is wrong


async def test_all_missing_inputs_are_reported_at_once() -> None:
    """The error names the fields and the repair."""

    async def work(task: str, source: str) -> str:
        return task + source

    with pytest.raises(InputError, match="work reads task and source, which were not given") as caught:
        await run_node(graph_of(work), "work")
    assert "{'task': …, 'source': …}" in str(caught.value)


async def test_a_node_that_takes_the_whole_state_needs_all_required_fields() -> None:
    """A `state` parameter, and a validator of the whole model."""

    class Whole(BaseModel):
        low: int
        high: int = 10

        @model_validator(mode="after")
        def ordered(self) -> "Whole":
            if self.low > self.high:
                raise ValueError("low above high")
            return self

    async def raise_low() -> int:
        return 11

    async def work(state: Article) -> str:
        return state.task

    graph = alone(Whole, raise_low, "low", name="whole")

    with pytest.raises(InputError, match="task and source"):
        await run_node(graph_of(work), "work")
    with pytest.raises(InputError, match="Whole is validated as a whole, and low is missing"):
        await run_node(graph, "work")
    with pytest.raises(InvalidUpdate, match="low above high"):
        await run_node(graph, "work", {"low": 1})


@pytest.mark.parametrize(
    ("path", "fields", "message"),
    [
        ("wrok", {}, "did you mean 'work'"),
        ("work/deep", {}, "work is not a graph, so there is no 'deep' in it"),
        ("work", {"taks": 1}, "unknown field 'taks': did you mean 'task'"),
        ("work", {"task": 1}, "task: Input should be a valid string"),
        ("work", Review(score=1), "the state is of type Review, not Article"),
    ],
)
async def test_a_misspelt_name_is_an_error(path: str, fields: Any, message: str) -> None:
    """A misspelt name is an error with the repair."""
    with pytest.raises(InputError, match=message):
        await run_node(graph_of(write), path, fields)


async def test_a_misspelt_agent_is_an_error() -> None:
    """A misspelt agent of `models=` is an error too."""
    with pytest.raises(InputError, match="unknown agent 'wrter'"):
        await run_node(graph_of(write), "work", {"task": ""}, models={"wrter": "rules"})


async def test_a_field_given_by_keyword_is_an_error() -> None:
    """Fields are in the one argument that is the state."""
    with pytest.raises(DefinitionError, match="run_node has no option 'task'") as caught:
        await cast("Any", run_node)(graph_of(write), "work", task="bread")
    assert caught.value.repair == "the state is one argument: {'task': …}"


async def test_a_field_can_have_the_name_of_an_option() -> None:
    """The state is one argument, so its fields are apart from the options."""

    class Made(BaseModel):
        models: str
        text: str = ""

    writer = Agent("writer", prompt="{models}")
    graph = alone(Made, writer, "text", name="made")

    done = await run_node(graph, "work", {"models": "T"}, models=ScriptedModel(["said"]))
    assert done.update == {"text": "said"}


async def test_fields_have_validators_and_aliases() -> None:
    """The state's validators and aliases apply, even if only a part of it is given."""

    class Named(BaseModel):
        other: int
        name: str = Field(alias="Name")

        @field_validator("name")
        @classmethod
        def tidy(cls, name: str) -> str:
            return name.strip()

    async def work(name: str) -> str:
        return name + " "

    graph = alone(Named, work, "name", name="named")

    assert (await run_node(graph, "work", {"Name": " x "})).update == {"name": "x"}


# -- failing


async def test_the_nodes_exception_has_a_note_on_what_a_run_would_do() -> None:
    """Only the first attempt is made, and the exception has a note on what a run would do."""
    calls = []

    async def work(task: str) -> str:
        calls.append(task)
        raise TimeoutError("slow")

    async def instead() -> str:
        calls.append("instead")
        return ""

    options: dict[str, Any]
    for options, then in (
        ({"retry": Retry(attempts=3)}, "it is retried"),
        ({"fallback": "x"}, "the fallback's value is used"),
        ({"fallback": instead}, "its fallback runs"),
        ({}, "the run fails"),
    ):
        with pytest.raises(TimeoutError, match="slow") as caught:
            await run_node(graph_of(work, **options), "work", {"task": "t"})
        assert notes(caught.value).endswith(f"then, in a run: {then}")
        assert "state: task='t', draft=''" in notes(caught.value)
    assert calls == ["t"] * 4


async def test_an_edge_after_a_failure_is_reported() -> None:
    """The exception is raised all the same."""
    graph = graph_of(raising(OSError("no disk")))
    graph.add_edge("work", END, when=failed(OSError), label="without")

    with pytest.raises(OSError, match="no disk") as caught:
        await run_node(graph, "work")
    assert "the edge to END is taken" in notes(caught.value)


async def test_an_invalid_update_shows_node_update_field_and_state() -> None:
    """It is validated after reduction, as in a run."""

    async def work() -> object:
        return {"score": 80}

    with pytest.raises(InvalidUpdate, match="less than or equal to 10") as caught:
        await run_node(graph_of(work, "reviews"), "work", {"draft": "d"})
    message = notes(caught.value)
    assert "node: work of graph article" in message
    assert "update: {'score': 80}" in message
    assert "field: reviews: list" in message
    assert "draft='d'" in message


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        ({"draft": "x", "drat": "y"}, InvalidUpdate),
        ({"total": float("nan")}, NodeError),
        ({"draft": "\ud800"}, NotRecordable),
    ],
)
async def test_other_invalid_updates(result: object, kind: type[NodeError]) -> None:
    """Undeclared keys, wrong types, and values that JSON cannot carry are refused."""

    async def work() -> object:
        return result

    with pytest.raises(kind):
        await run_node(graph_of(work, ("draft", "total")), "work")


async def test_an_exception_of_a_writes_function_is_reported_by_name() -> None:
    """The exception itself is only a record by then."""

    def pick(result: str) -> str:
        raise LookupError(result)

    with pytest.raises(NodeError, match="LookupError: on t"):
        await run_node(graph_of(write, {"draft": pick}), "work", {"task": "t"})


async def test_a_bad_fallback_does_not_hide_the_failure() -> None:
    """The node's own exception is raised."""
    with pytest.raises(OSError, match="gone"):
        await run_node(graph_of(raising(OSError("gone")), "notes[x]", fallback=3), "work")


async def test_a_node_that_mutates_its_input_fails() -> None:
    """A node that mutates its input fails, unless the check is turned off."""

    async def work(scores: list[int]) -> str:
        scores.append(1)
        return ""

    with pytest.raises(MutatedInput, match="changed scores in place"):
        await run_node(graph_of(work), "work")
    await run_node(graph_of(work), "work", check=False)


async def test_a_model_without_answers_shows_the_request() -> None:
    """The state that led to the request is shown too."""
    critic = Agent("critic", prompt="Task: {task}", output=Review)
    with pytest.raises(OffScript, match="Task: <task>bread</task>") as caught:
        await run_node(graph_of(critic, "reviews"), "work", {"task": "bread"}, models=ScriptedModel([]))
    assert "task='bread'" in notes(caught.value)


async def test_a_secret_is_not_shown() -> None:
    """It is hidden in the state and in the return value."""

    class Login(BaseModel):
        token: SecretStr
        user: str = ""

    async def work(token: SecretStr) -> object:
        assert token.get_secret_value() == "hush-hush"
        return 3

    graph = Graph("login", Login, secret_key=secrets.token_urlsafe(32))
    graph.add_node("work", work, writes="user")
    graph.add_path(START, "work", END)

    with pytest.raises(InvalidUpdate) as caught:
        await run_node(graph, "work", {"token": "hush-hush"})
    assert "hush-hush" not in notes(caught.value)
    assert "token=…" in notes(caught.value)


async def test_a_cancelled_test_ends_the_node() -> None:
    """A timeout around it does the same."""

    async def work() -> str:
        await asyncio.sleep(60)
        return ""

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await run_node(graph_of(work), "work")


# -- the outgoing edge


def improving() -> Graph[Article]:
    """Until the total no longer shrinks."""

    async def count() -> int:
        return 1

    graph = Graph("article", Article)
    graph.add_node("work", count, writes="total")
    graph.add_path(START, "work")
    graph.add_edge("work", END, when=plateau("total", mode="min"), label="flat")
    graph.add_edge("work", END, when=value("source") == "x", label="x")
    graph.add_edge("work", "work")
    return graph


async def test_conditions_with_history_see_the_given_state() -> None:
    """A plateau's first sample is the given state."""
    fresh = await run_node(improving(), "work", {"task": "", "source": "x"})
    given = await run_node(improving(), "work", {"task": "", "source": "x", "total": 5})

    assert fresh.edge is not None
    assert (fresh.edge.label, fresh.edge.to) == ("x", ("END",))
    assert given.edge is not None
    assert given.edge.label == "flat"
    assert given.edge.why == "total 6 after a best of 5, 1 of 1 without gain: yes"


async def test_an_edge_that_reads_a_missing_field_is_no_failure() -> None:
    """The node is done; the result explains why no edge could be chosen."""
    done = await run_node(improving(), "work")

    assert (done.update, done.edge) == ({"total": 1}, None)
    assert "source" in done.no_edge


async def test_a_node_alone_does_not_count_for_coverage() -> None:
    """Edge coverage does not count it."""
    with EdgeCoverage() as coverage:
        await run_node(graph_of(write), "work", {"task": "t"})
    assert coverage.percent == 100.0
    assert coverage.report() == "no graph was run"


async def test_options_of_the_node_apply() -> None:
    """Its timeout, the question before it is repeated, and the field for survived failures."""

    async def hang() -> str:
        await asyncio.sleep(60)
        return ""

    with pytest.raises(NodeTimeout, match="ran longer than"):
        await run_node(graph_of(hang, timeout_seconds=0.01), "work")
    done = await run_node(graph_of(write, effect="once"), "work", {"task": "t"}, effects="act")
    assert done.update == {"draft": "on t"}


async def test_the_items_of_a_whole_map_have_their_retries_and_fallbacks() -> None:
    """Items of a whole map have retries and fallbacks, and time passes at once; a single item makes one attempt."""
    attempts: list[int] = []

    async def note(word: int) -> str:
        attempts.append(word)
        if word > 8:
            raise OSError(word)
        return str(word)

    options: dict[str, Any] = {"each": {"word": "scores"}, "retry": Retry(attempts=2, initial_seconds=3600)}
    graph = graph_of(note, "notes[{word}]", fallback="?", **options)

    done = await run_node(graph, "work", {"task": "", "source": "", "scores": [1, 9]})
    assert (done.update, attempts) == ({"notes": {"1": "1", "9": "?"}}, [1, 9, 9])
    with pytest.raises(OSError, match="9") as caught:
        await run_node(graph, "work", item=9)
    assert notes(caught.value).endswith("then, in a run: it is retried")


async def test_a_clock_of_the_test_is_used() -> None:
    """With a clock that is advanced by hand, the node waits until the test advances it."""

    async def work(ctx: Context) -> str:
        await ctx.sleep(60)
        return f"{ctx.now():.0f}"

    clock = FakeClock(start=0.0, jumps=False)
    running = asyncio.create_task(run_node(graph_of(work), "work", clock=clock))
    while "1 asleep" not in repr(clock):  # noqa: ASYNC110 - no event reports a sleeper
        await asyncio.sleep(0)
    clock.move(61)

    assert (await running).update == {"draft": "61"}
