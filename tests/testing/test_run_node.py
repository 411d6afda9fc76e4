import asyncio
import secrets
from collections.abc import Callable
from typing import Annotated, Any

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
    ask,
    choose,
    ended,
    failed,
    plateau,
    tool,
    value,
)
from graphengine.errors import (
    DefinitionError,
    InputError,
    InvalidUpdate,
    MutatedInput,
    NoChoice,
    NodeError,
    NodeTimeout,
    NotRecordable,
)
from graphengine.models import OffScript
from graphengine.reducers import add, append, extend, merge
from graphengine.testing import NO_ANSWER, FakeClock, run_node
from graphengine.testing.coverage import EdgeCoverage


class Review(BaseModel):
    score: int = Field(ge=1, le=10)


class Article(BaseModel):
    task: str
    source: str
    draft: str = ""
    approved: bool = False
    total: Annotated[int, add] = 0
    notes: Annotated[dict[str, str], merge] = {}
    scores: Annotated[list[int], extend] = []
    reviews: Annotated[list[Review], append] = []


def graph_of(runnable: Any, writes: Any = "draft", **options: Any) -> Graph[Article]:
    """One node `work`, and then the end."""
    graph = Graph("article", Article)
    graph.add_node("work", runnable, writes=writes, **options)
    graph.add_path(START, "work", END)
    return graph


async def write(task: str) -> str:
    """Write on it."""
    return f"on {task}"


# -- what it gives


async def test_it_gives_the_update_the_state_and_the_way_out() -> None:
    """Of one node; the fields that it does not read need not be given."""
    done = await run_node(graph_of(write), "work", task="bread")

    assert (done.path, done.result, done.update) == ("work", "on bread", {"draft": "on bread"})
    assert (done.state.task, done.state.draft, done.state.reviews) == ("bread", "on bread", [])
    assert not hasattr(done.state, "source")
    assert done.edge is not None
    assert (done.edge.to, done.edge.why, done.no_edge) == (("END",), "otherwise", "")


async def test_the_update_is_what_is_added_and_the_state_what_comes_of_it() -> None:
    """Reducers are applied as in a run."""

    async def work() -> dict[str, object]:
        return {"total": 2, "notes": {"b": "B"}, "scores": [2, 3], "reviews": Review(score=4)}

    graph = graph_of(work, ("total", "notes", "scores", "reviews"))
    done = await run_node(graph, "work", task="", source="", total=40, notes={"a": "A"}, scores=[1])

    assert done.update == {"total": 2, "notes": {"b": "B"}, "scores": [2, 3], "reviews": Review(score=4)}
    assert (done.state.total, done.state.notes, done.state.scores) == (42, {"a": "A", "b": "B"}, [1, 2, 3])


async def test_a_sync_function_runs_in_a_thread() -> None:
    """As in a run."""

    def work(task: str) -> str:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return task

    assert (await run_node(graph_of(work), "work", task="t")).update == {"draft": "t"}


async def test_a_whole_state_and_fields_over_it() -> None:
    """`state=` takes an instance or a mapping; fields by name count more."""
    graph, state = graph_of(write), Article(task="a", source="s", draft="old")

    assert (await run_node(graph, "work", state=state)).update == {"draft": "on a"}
    assert (await run_node(graph, "work", state=state, task="b")).update == {"draft": "on b"}
    assert (await run_node(graph, "work", state={"task": "c"})).update == {"draft": "on c"}
    assert state.draft == "old"


async def test_what_is_shown_sent_and_recorded_is_told() -> None:
    """`ctx.emit`, `ctx.send` and `ctx.step`."""

    async def fetch(url: str) -> int:
        return len(url)

    async def work(ctx: Context) -> str:
        ctx.emit({"at": 1})
        ctx.send("news", {"n": 1})
        return f"{await ctx.step(fetch, 'abc')} {ctx.visit} {ctx.path} {ctx.now()}"

    done = await run_node(graph_of(work), "work", clock=FakeClock(start=5.0))

    assert done.update == {"draft": "3 1 work 5.0"}
    assert [(piece.name.rsplit(".", 1)[-1], piece.value) for piece in done.work] == [("fetch", 3)]
    assert (done.events, done.sent) == ([{"at": 1}], [("news", {"n": 1})])


async def test_an_agent_is_asked_with_the_prompt_of_its_fields() -> None:
    """Prompts, answers, tools and usage are told."""

    @tool
    async def look_up(word: str) -> str:
        """Look a word up."""
        return word.upper()

    from graphengine.models import calls  # noqa: PLC0415

    critic = Agent("critic", prompt="Task: {task}", output=Review, tools=[look_up])
    with ScriptedModel([calls(("look_up", {"word": "x"})), {"score": 7}]) as model:
        done = await run_node(graph_of(critic, "reviews"), "work", task="bread", model=model)

    assert done.update == {"reviews": Review(score=7)}
    assert done.prompts[0] == "Task: <task>bread</task>"
    assert [piece.agent for piece in done.work if piece.agent] == ["critic", "critic"]
    assert (done.usage.calls, done.usage.offline_calls) == (2, 2)
    assert done.asked[1].response is not None


async def test_models_by_agent_and_the_offline_stand_in() -> None:
    """`models=` is a Runner's; an offline agent is heard too."""
    writer = Agent("writer", prompt="Write {task}", offline=lambda task: f"rules on {task}")
    named = await run_node(graph_of(writer), "work", task="t", models={"writer": ScriptedModel(["said"])})
    offline = await run_node(graph_of(writer), "work", task="t")

    assert (named.update["draft"], offline.update["draft"]) == ("said", "rules on t")
    assert offline.prompts == ["Write <task>t</task>"]


async def test_a_node_alone_leaves_no_trace() -> None:
    """What runs after it, as an agent by itself, is in no node."""
    shout = Agent("shout", prompt="{word}", offline=lambda word: word.upper())
    await run_node(graph_of(shout, inputs={"word": "task"}), "work", task="a")

    assert await shout.run(word="b") == "B"


async def test_resources_are_given_or_built_and_closed() -> None:
    """As a Runner does."""
    closed = []

    class Search:
        def __enter__(self) -> str:
            return "built"

        def __exit__(self, *_: object) -> None:
            closed.append(True)

    async def work(search: str) -> str:
        return search

    graph = Graph("article", Article, resources={"search": Search})
    graph.add_node("work", work, writes="draft")
    graph.add_path(START, "work", END)

    assert (await run_node(graph, "work", resources={"search": "given"})).update == {"draft": "given"}
    assert closed == []
    assert (await run_node(graph, "work")).update == {"draft": "built"}
    assert closed == [True]


# -- other kinds of nodes


async def test_a_choice_is_told() -> None:
    """`choose` picks by the state; an unknown value fails by name."""

    async def short() -> str:
        return "short"

    graph = graph_of(choose("task", {"a": short, "b": write}))

    assert (await run_node(graph, "work", task="a")).choice == "a"
    assert (await run_node(graph, "work", task="b")).update == {"draft": "on b"}
    with pytest.raises(NoChoice, match="task is 'c'"):
        await run_node(graph, "work", task="c")


async def test_a_pass_through_writes_nothing() -> None:
    """And takes its way out."""
    graph = Graph("article", Article)
    graph.add_node("work")
    graph.add_path(START, "work", END)

    assert (await run_node(graph, "work")).update == {}


def mapped(concurrency: int = 4) -> Graph[Article]:
    """One note for each word."""

    async def note(word: int, draft: str) -> str:
        if word > 8:
            raise ValueError(word)
        return f"{draft}{word}"

    return graph_of(note, "notes[{word}]", each={"word": "scores"}, concurrency=concurrency)


async def test_all_items_of_a_map_or_one() -> None:
    """Without `item=` the map as a whole, else what the item would write."""
    whole = await run_node(mapped(1), "work", task="", source="", scores=[1, 2, 3], draft="d")
    one = await run_node(mapped(), "work", item=7, draft="d")

    assert whole.update == {"notes": {"1": "d1", "2": "d2", "3": "d3"}}
    assert (one.update, one.edge) == ({"notes": {"7": "d7"}}, None)


async def test_several_lists_side_by_side() -> None:
    """Their items are given by name."""

    async def both(left: int, right: Review) -> str:
        return str(left * right.score)

    graph = graph_of(both, "notes[{left}]", each={"left": "scores", "right": "reviews"})
    done = await run_node(graph, "work", item={"left": 2, "right": {"score": 4}})

    assert done.update == {"notes": {"2": "8"}}
    with pytest.raises(InputError, match="left and right side by side"):
        await run_node(graph, "work", item=3)
    with pytest.raises(InputError, match="run once, and not for items"):
        await run_node(graph_of(write), "work", task="", item=1)
    with pytest.raises(InputError, match="item right of node work"):
        await run_node(graph, "work", item={"left": 2, "right": {"score": 40}})


async def test_an_item_that_fails_raises_its_exception() -> None:
    """Alone, and as the first of the map."""
    with pytest.raises(ValueError, match="9"):
        await run_node(mapped(), "work", item=9, draft="")
    with pytest.raises(ValueError, match="12"):
        await run_node(mapped(1), "work", task="", source="", scores=[1, 12, 9])


def nested(each: bool = False) -> Graph[Article]:  # noqa: FBT001, FBT002
    """A graph inside, whose end the way out asks for."""

    class Draft(BaseModel):
        topic: str
        text: str = ""

    async def compose(topic: str) -> str:
        return f"draft of {topic}"

    inner = Graph("drafting", Draft, result="text")
    inner.add_node("compose", compose, writes="text", retry=Retry(attempts=2))
    inner.add_path(START, "compose")
    inner.add_edge("compose", END, label="composed")
    graph = Graph("article", Article)
    options: dict[str, Any] = {"each": {"item": "scores"}} if each else {}
    writes = "notes[{item}]" if each else "draft"
    graph.add_node("drafting", inner, inputs={"topic": "task"}, writes=writes, **options)
    graph.add_path(START, "drafting")
    if not each:
        graph.add_edge("drafting", END, when=ended("composed"), label="done")
    graph.add_edge("drafting", END)
    return graph


async def test_a_graph_inside_is_run_as_a_whole() -> None:
    """It ends with its label, which its node's ways out see."""
    done = await run_node(nested(), "drafting", task="rye")

    assert done.update == {"draft": "draft of rye"}
    assert done.edge is not None
    assert done.edge.label == "done"


@pytest.mark.parametrize("each", [False, True])
async def test_a_node_of_a_graph_inside(*, each: bool) -> None:
    """A path leads to it, and the fields are those of its graph."""
    done = await run_node(nested(each), "drafting/compose", topic="rye")

    assert (done.path, done.update) == ("drafting/compose", {"text": "draft of rye"})
    assert done.edge is not None
    assert done.edge.label == "composed"
    with pytest.raises(InputError, match="compose reads topic"):
        await run_node(nested(each), "drafting/compose")


async def test_one_item_that_is_a_graph() -> None:
    """It is walked to its end."""
    assert (await run_node(nested(each=True), "drafting", item=3, task="t")).update == {"notes": {"3": "draft of t"}}


async def test_a_case_that_is_a_graph() -> None:
    """A path finds the case that has the node."""

    class Draft(BaseModel):
        text: str = ""

    async def compose(text: str) -> str:
        return f"{text}!"

    inner = Graph("drafting", Draft, result="text")
    inner.add_node("compose", compose, writes="text")
    inner.add_path(START, "compose", END)
    graph = graph_of(choose("task", {"a": write, "b": inner}))

    assert (await run_node(graph, "work/compose", text="x")).update == {"text": "x!"}
    assert (await run_node(graph, "work", task="b")).choice == "b"


# -- waits


async def test_a_question_is_answered_or_told() -> None:
    """By the wait's name, in order, or not at all."""
    graph = graph_of(ask("Publish {task}?", bool), "approved")

    assert (await run_node(graph, "work", task="t", answers={"work": True})).update == {"approved": True}
    assert (await run_node(graph, "work", task="t", answers=[False])).result is False
    waits = (await run_node(graph, "work", task="t")).waits
    assert [(wait.name, wait.question) for wait in waits] == [("work", "Publish t?")]


async def test_a_wrong_answer_is_refused() -> None:
    """One that does not fit, one too few, one for another wait, one text in place of a list."""

    def even(number: int) -> int:
        if number % 2:
            raise ValueError(number)
        return number

    from pydantic import AfterValidator  # noqa: PLC0415

    graph = graph_of(ask("How many?", Annotated[int, AfterValidator(even)]), "total")

    for answers, told in (
        ({"work": "two"}, "no answer to 'How many\\?'"),
        ([3], "3 is no answer"),
        ([], "there is no answer to 'How many"),
        ({"wrok": 1}, "answers={'work': …} answers it"),
        ("two", "is one text"),
        ([NO_ANSWER], "has no time after which"),
    ):
        with pytest.raises(InputError, match=told):
            await run_node(graph, "work", answers=answers)


async def test_a_context_asks_sleeps_and_receives() -> None:
    """A day passes at once; what nobody answers comes to its default."""

    async def work(ctx: Context) -> str:
        await ctx.sleep(86_400)
        first = await ctx.ask("Who?")
        second = await ctx.ask("What?", timeout_seconds=60, default="nothing")
        third = await ctx.receive("news", str, timeout_seconds=60, default="none")
        return f"{first} {second} {third} {ctx.now():.0f}"

    graph, clock = graph_of(work), FakeClock(start=0.0)
    told = {"work#2": "ann", "work#3": "bread"}
    heard = await run_node(graph, "work", answers=told, messages={"news": ["rain"]}, clock=clock)
    quiet = await run_node(graph, "work", answers={**told, "work#3": NO_ANSWER}, messages={"news": []})

    assert heard.update == {"draft": "ann bread rain 86400"}
    assert quiet.update["draft"].startswith("ann nothing none")
    assert (await run_node(graph, "work", answers=told)).waits[0].topic == "news"


# -- what is missing, and what is wrong


async def test_missing_inputs_are_named_all_at_once() -> None:
    """With the repair."""

    async def work(task: str, source: str) -> str:
        return task + source

    with pytest.raises(InputError, match="work reads task and source, which were not given") as caught:
        await run_node(graph_of(work), "work")
    assert "task=…, source=…" in str(caught.value)


async def test_whoever_takes_the_whole_state_needs_all_of_it() -> None:
    """A parameter `state`, and a validator of the whole model."""

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

    graph = Graph("whole", Whole)
    graph.add_node("work", raise_low, writes="low")
    graph.add_path(START, "work", END)

    with pytest.raises(InputError, match="task and source"):
        await run_node(graph_of(work), "work")
    with pytest.raises(InputError, match="Whole is validated as a whole, and low is missing"):
        await run_node(graph, "work")
    with pytest.raises(InvalidUpdate, match="low above high"):
        await run_node(graph, "work", low=1)


@pytest.mark.parametrize(
    ("path", "fields", "told"),
    [
        ("wrok", {}, "did you mean 'work'"),
        ("work/deep", {}, "work is no graph, so there is no 'deep' in it"),
        ("work", {"taks": 1}, "unknown field 'taks': did you mean 'task'"),
        ("work", {"task": 1}, "task: Input should be a valid string"),
        ("work", {"task": "", "models": {"wrter": "offline"}}, "unknown agent 'wrter'"),
        ("work", {"state": Review(score=1)}, "the state is a Review, not a Article"),
    ],
)
async def test_what_is_misspelt_is_told(path: str, fields: dict[str, Any], told: str) -> None:
    """With the repair."""
    with pytest.raises(InputError, match=told):
        await run_node(graph_of(write), path, **fields)


async def test_a_field_may_be_called_like_an_option() -> None:
    """Then it is given in `state=`, and the name is the option's."""

    class Made(BaseModel):
        model: str
        text: str = ""

    writer = Agent("writer", prompt="{model}")
    graph = Graph("made", Made)
    graph.add_node("work", writer, writes="text")
    graph.add_path(START, "work", END)

    with pytest.raises(InputError, match="model is a field of Made and an option of run_node"):
        await run_node(graph, "work", model="T")
    done = await run_node(graph, "work", state={"model": "T"}, model=ScriptedModel(["said"]))
    assert done.update == {"text": "said"}


async def test_fields_have_validators_and_aliases() -> None:
    """Those of the state, where only a part of it is given."""

    class Named(BaseModel):
        other: int
        name: str = Field(alias="Name")

        @field_validator("name")
        @classmethod
        def tidy(cls, name: str) -> str:
            return name.strip()

    async def work(name: str) -> str:
        return name + " "

    graph = Graph("named", Named)
    graph.add_node("work", work, writes="name")
    graph.add_path(START, "work", END)

    assert (await run_node(graph, "work", state={"Name": " x "})).update == {"name": "x"}


# -- failing


def notes(error: BaseException) -> str:
    """What Python prints below an exception."""
    return "\n".join(getattr(error, "__notes__", ()))


async def test_its_own_exception_is_raised_with_what_a_run_would_do() -> None:
    """The first attempt is all there is."""
    calls = []

    async def work(task: str) -> str:
        calls.append(task)
        raise TimeoutError("slow")

    async def instead() -> str:
        calls.append("instead")
        return ""

    options: dict[str, Any]
    for options, then in (
        ({"retry": Retry(attempts=3)}, "it is tried again"),
        ({"fallback": "x"}, "the fallback's value stands in"),
        ({"fallback": instead}, "its fallback is run"),
        ({}, "the run fails"),
    ):
        with pytest.raises(TimeoutError, match="slow") as caught:
            await run_node(graph_of(work, **options), "work", task="t")
        assert notes(caught.value).endswith(f"then, in a run: {then}")
        assert "state: task='t', draft=''" in notes(caught.value)
    assert calls == ["t"] * 4


async def test_a_way_after_failure_is_told() -> None:
    """The exception is raised all the same."""
    graph = graph_of(raising(OSError("no disk")))
    graph.add_edge("work", END, when=failed(OSError), label="without")

    with pytest.raises(OSError, match="no disk") as caught:
        await run_node(graph, "work")
    assert "the way to END is taken" in notes(caught.value)


def raising(error: Exception) -> Callable[..., Any]:
    """A node that raises this."""

    async def work() -> str:
        raise error

    return work


async def test_an_update_that_does_not_fit_shows_node_update_field_and_state() -> None:
    """It is validated after reduction, as in a run."""

    async def work() -> object:
        return {"score": 80}

    with pytest.raises(InvalidUpdate, match="less than or equal to 10") as caught:
        await run_node(graph_of(work, "reviews"), "work", draft="d")
    told = notes(caught.value)
    assert "node: work of graph article" in told
    assert "update: {'score': 80}" in told
    assert "field: reviews: list" in told
    assert "draft='d'" in told


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        ({"draft": "x", "drat": "y"}, InvalidUpdate),
        ({"total": float("nan")}, NodeError),
        ({"draft": "\ud800"}, NotRecordable),
    ],
)
async def test_other_updates_that_do_not_fit(result: object, kind: type[NodeError]) -> None:
    """Undeclared keys, wrong types, what JSON cannot carry."""

    async def work() -> object:
        return result

    with pytest.raises(kind):
        await run_node(graph_of(work, ("draft", "total")), "work")


async def test_what_a_writes_function_raises_is_told_by_its_name() -> None:
    """The exception itself is a record by then."""

    def pick(result: str) -> str:
        raise LookupError(result)

    with pytest.raises(NodeError, match="LookupError: on t"):
        await run_node(graph_of(write, {"draft": pick}), "work", task="t")


async def test_a_bad_fallback_does_not_hide_the_failure() -> None:
    """What is raised is the node's own."""
    with pytest.raises(OSError, match="gone"):
        await run_node(graph_of(raising(OSError("gone")), fallback=3), "work")


async def test_a_node_that_changes_what_it_is_given_is_caught() -> None:
    """Unless told otherwise."""

    async def work(scores: list[int]) -> str:
        scores.append(1)
        return ""

    with pytest.raises(MutatedInput, match="changed scores in place"):
        await run_node(graph_of(work), "work")
    await run_node(graph_of(work), "work", check=False)


async def test_a_model_that_ran_out_shows_what_it_was_asked() -> None:
    """And the state that made the question."""
    critic = Agent("critic", prompt="Task: {task}", output=Review)
    with pytest.raises(OffScript, match="Task: <task>bread</task>") as caught:
        await run_node(graph_of(critic, "reviews"), "work", task="bread", model=ScriptedModel([]))
    assert "task='bread'" in notes(caught.value)


async def test_a_failing_agent_shows_its_last_question() -> None:
    """With the number of the call."""
    critic = Agent("critic", prompt="Task: {task}", output=Review, output_retries=0)
    with pytest.raises(NodeError) as caught:
        await run_node(graph_of(critic, "reviews"), "work", task="bread", model=ScriptedModel(["no"]))
    assert "model was asked, call 1:" in notes(caught.value)
    assert "Task: <task>bread</task>" in notes(caught.value)


async def test_a_secret_is_not_shown() -> None:
    """Neither in the state nor in what was returned."""

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
        await run_node(graph, "work", state={"token": "hush-hush"})
    assert "hush-hush" not in notes(caught.value)
    assert "token=…" in notes(caught.value)


async def test_a_cancelled_test_ends_the_node() -> None:
    """As a timeout around it does."""

    async def work() -> str:
        await asyncio.sleep(60)
        return ""

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await run_node(graph_of(work), "work")


# -- the way out


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


async def test_ways_with_history_see_the_state_that_was_given() -> None:
    """A plateau's first sample is what somebody set."""
    fresh = await run_node(improving(), "work", task="", source="x")
    given = await run_node(improving(), "work", task="", source="x", total=5)

    assert fresh.edge is not None
    assert (fresh.edge.label, fresh.edge.to) == ("x", ("END",))
    assert given.edge is not None
    assert given.edge.label == "flat"
    assert given.edge.why == "total 6 after a best of 5, 1 of 1 without gain: yes"


async def test_a_way_that_reads_what_was_not_given_is_no_failure() -> None:
    """The node is done; why no way could be chosen is told."""
    done = await run_node(improving(), "work")

    assert (done.update, done.edge) == ({"total": 1}, None)
    assert "source" in done.no_edge


async def test_what_runs_alone_is_no_way_that_a_run_took() -> None:
    """Edge coverage does not count it."""
    with EdgeCoverage() as coverage:
        await run_node(graph_of(write), "work", task="t")
    assert coverage.percent == 100.0
    assert coverage.report() == "no graph was run"


async def test_a_graph_that_cannot_run_says_so() -> None:
    """As a run does."""
    graph = Graph("article", Article)
    with pytest.raises(DefinitionError):
        graph.add_path("one")


async def test_options_of_the_node_hold() -> None:
    """Its timeout, what is asked before it is repeated, and the field that survived failures go to."""

    async def hang() -> str:
        await asyncio.sleep(60)
        return ""

    with pytest.raises(NodeTimeout, match="ran longer than"):
        await run_node(graph_of(hang, timeout_seconds=0.01), "work")
    done = await run_node(graph_of(write, on_resume="ask"), "work", task="t")
    assert done.update == {"draft": "on t"}


async def test_the_items_of_a_whole_map_have_their_retries_and_fallbacks() -> None:
    """They are what the map is made of; time passes at once. One item alone has its first attempt."""
    attempts: list[int] = []

    async def note(word: int) -> str:
        attempts.append(word)
        if word > 8:
            raise OSError(word)
        return str(word)

    options: dict[str, Any] = {"each": {"word": "scores"}, "retry": Retry(attempts=2, initial_seconds=3600)}
    graph = graph_of(note, "notes[{word}]", fallback="?", **options)

    done = await run_node(graph, "work", task="", source="", scores=[1, 9])
    assert (done.update, attempts) == ({"notes": {"1": "1", "9": "?"}}, [1, 9, 9])
    with pytest.raises(OSError, match="9") as caught:
        await run_node(graph, "work", item=9)
    assert notes(caught.value).endswith("then, in a run: it is tried again")


async def test_a_clock_of_the_tests_own_is_waited_for() -> None:
    """One that is turned by hand stands still until it is."""

    async def work(ctx: Context) -> str:
        await ctx.sleep(60)
        return f"{ctx.now():.0f}"

    clock = FakeClock(start=0.0, jumps=False)
    running = asyncio.create_task(run_node(graph_of(work), "work", clock=clock))
    while "1 asleep" not in repr(clock):  # noqa: ASYNC110 - no event tells of one who sleeps
        await asyncio.sleep(0)
    clock.move(61)

    assert (await running).update == {"draft": "61"}
