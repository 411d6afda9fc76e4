from typing import Annotated, Any

import pytest
from pydantic import BaseModel

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
    ended_with,
    tool,
)
from graphengine.errors import (
    InputError,
    NoChoice,
)
from graphengine.testing import NO_ANSWER, FakeClock, run_node
from tests.kit.alone import Article, Review, graph_of, write

# -- what it gives


async def test_the_result_has_the_update_the_state_and_the_edge() -> None:
    """Running one node returns its update, the state and the edge; fields that it does not read can be left out."""
    done = await run_node(graph_of(write), "work", {"task": "bread"})

    assert (done.path, done.result, done.update) == ("work", "on bread", {"draft": "on bread"})
    assert (done.state.task, done.state.draft, done.state.reviews) == ("bread", "on bread", [])
    assert not hasattr(done.state, "source")
    assert done.edge is not None
    assert (done.edge.to, done.edge.why, done.no_edge) == (("END",), "otherwise", "")


async def test_the_update_is_the_addition_and_the_state_the_result() -> None:
    """Reducers are applied as in a run."""

    async def work() -> dict[str, object]:
        return {"total": 2, "notes": {"b": "B"}, "scores": [2, 3], "reviews": Review(score=4)}

    graph = graph_of(work, ("total", "notes", "scores", "reviews"))
    done = await run_node(graph, "work", {"task": "", "source": "", "total": 40, "notes": {"a": "A"}, "scores": [1]})

    assert done.update == {"total": 2, "notes": {"b": "B"}, "scores": [2, 3], "reviews": Review(score=4)}
    assert (done.state.total, done.state.notes, done.state.scores) == (42, {"a": "A", "b": "B"}, [1, 2, 3])


async def test_the_state_is_an_instance_or_a_mapping() -> None:
    """The state is an instance or a mapping of some fields, and is not changed."""
    graph, state = graph_of(write), Article(task="a", source="s", draft="old")

    assert (await run_node(graph, "work", state)).update == {"draft": "on a"}
    assert (await run_node(graph, "work", {"task": "c"})).update == {"draft": "on c"}
    assert state.draft == "old"


async def test_emitted_events_messages_and_work_are_returned() -> None:
    """What `ctx.emit`, `ctx.send` and `ctx.call` did is returned."""

    async def fetch(url: str) -> int:
        return len(url)

    async def work(ctx: Context) -> str:
        ctx.emit({"at": 1})
        ctx.send("news", {"n": 1})
        return f"{await ctx.call(fetch, 'abc')} {ctx.visit} {ctx.path} {ctx.now()}"

    done = await run_node(graph_of(work), "work", clock=FakeClock(start=5.0))

    assert done.update == {"draft": "3 1 work 5.0"}
    assert [(piece.name.rsplit(".", 1)[-1], piece.value) for piece in done.work] == [("fetch", 3)]
    assert (done.events, done.sent) == ([{"at": 1}], [("news", {"n": 1})])


async def test_an_agents_prompt_is_made_from_the_given_fields() -> None:
    """Prompts, answers, tools and usage are returned."""

    @tool
    async def look_up(word: str) -> str:
        """Look a word up."""
        return word.upper()

    from graphengine.models import calls  # noqa: PLC0415

    critic = Agent("critic", prompt="Task: {task}", output=Review, tools=[look_up])
    with ScriptedModel([calls(("look_up", {"word": "x"})), {"score": 7}]) as model:
        done = await run_node(graph_of(critic, "reviews"), "work", {"task": "bread"}, models=model)

    assert done.update == {"reviews": Review(score=7)}
    assert done.prompts[0] == "Task: <task>bread</task>"
    assert [piece.agent for piece in done.work if piece.agent] == ["critic", "critic"]
    assert (done.usage.calls, done.usage.offline_calls) == (2, 2)
    assert done.asked[1].response is not None


async def test_models_can_be_given_by_agent() -> None:
    """`models=` works as in a Runner; calls of an offline agent are returned too."""
    writer = Agent("writer", prompt="Write {task}", by_rules=lambda task: f"rules on {task}")
    named = await run_node(graph_of(writer), "work", {"task": "t"}, models={"writer": ScriptedModel(["said"])})
    offline = await run_node(graph_of(writer), "work", {"task": "t"})

    assert (named.update["draft"], offline.update["draft"]) == ("said", "rules on t")
    assert offline.prompts == ["Write <task>t</task>"]


async def test_a_node_alone_resets_the_current_scope() -> None:
    """Work after it, such as an agent run directly, belongs to no node."""
    shout = Agent("shout", prompt="{word}", by_rules=lambda word: word.upper())
    await run_node(graph_of(shout, inputs={"word": "task"}), "work", {"task": "a"})

    assert await shout.run(word="b") == "B"


async def test_resources_are_passed_or_built_and_closed() -> None:
    """Resources are passed, or built and closed, as in a Runner."""
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


async def test_the_choice_is_returned() -> None:
    """`choose` picks by the state; an unknown value fails by name."""

    async def short() -> str:
        return "short"

    graph = graph_of(choose("task", {"a": short, "b": write}))

    assert (await run_node(graph, "work", {"task": "a"})).choice == "a"
    assert (await run_node(graph, "work", {"task": "b"})).update == {"draft": "on b"}
    with pytest.raises(NoChoice, match="task is 'c'"):
        await run_node(graph, "work", {"task": "c"})


def mapped(concurrency: int = 4) -> Graph[Article]:
    """One note for each word."""

    async def note(word: int, draft: str) -> str:
        if word > 8:
            raise ValueError(word)
        return f"{draft}{word}"

    return graph_of(note, "notes[{word}]", each={"word": "scores"}, concurrency=concurrency)


async def test_a_map_runs_all_items_or_one() -> None:
    """Without `item=` the whole map is run, otherwise only this item."""
    whole = await run_node(mapped(1), "work", {"task": "", "source": "", "scores": [1, 2, 3], "draft": "d"})
    one = await run_node(mapped(), "work", {"draft": "d"}, item=7)

    assert whole.update == {"notes": {"1": "d1", "2": "d2", "3": "d3"}}
    assert (one.update, one.edge) == ({"notes": {"7": "d7"}}, None)


async def test_items_with_several_parts_are_passed_by_name() -> None:
    """Their items are passed by name."""

    async def both(left: int, right: Review) -> str:
        return str(left * right.score)

    graph = graph_of(both, "notes[{left}]", each={"left": "scores", "right": "reviews"})
    done = await run_node(graph, "work", item={"left": 2, "right": {"score": 4}})

    assert done.update == {"notes": {"2": "8"}}
    with pytest.raises(InputError, match="an item of work consists of left and right"):
        await run_node(graph, "work", item=3)
    with pytest.raises(InputError, match="runs once, not for items"):
        await run_node(graph_of(write), "work", {"task": ""}, item=1)
    with pytest.raises(InputError, match="item right of node work"):
        await run_node(graph, "work", item={"left": 2, "right": {"score": 40}})


async def test_an_item_that_fails_raises_its_exception() -> None:
    """Alone, and as the first of the map."""
    with pytest.raises(ValueError, match="9"):
        await run_node(mapped(), "work", {"draft": ""}, item=9)
    with pytest.raises(ValueError, match="12"):
        await run_node(mapped(1), "work", {"task": "", "source": "", "scores": [1, 12, 9]})


def nested(each: bool = False) -> Graph[Article]:  # noqa: FBT001, FBT002
    """A nested graph whose end decides the outgoing edge."""

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
        graph.add_edge("drafting", END, when=ended_with("composed"), label="done")
    graph.add_edge("drafting", END)
    return graph


async def test_a_nested_graph_runs_as_a_whole() -> None:
    """It ends with its label, which the edges of its node can read."""
    done = await run_node(nested(), "drafting", {"task": "rye"})

    assert done.update == {"draft": "draft of rye"}
    assert done.edge is not None
    assert done.edge.label == "done"


@pytest.mark.parametrize("each", [False, True])
async def test_a_node_of_a_nested_graph_is_named_by_its_path(*, each: bool) -> None:
    """It is addressed by a path, and the fields are those of its graph."""
    done = await run_node(nested(each), "drafting/compose", {"topic": "rye"})

    assert (done.path, done.update) == ("drafting/compose", {"text": "draft of rye"})
    assert done.edge is not None
    assert done.edge.label == "composed"
    with pytest.raises(InputError, match="compose reads topic"):
        await run_node(nested(each), "drafting/compose")


async def test_one_item_can_be_a_graph() -> None:
    """It is run to its end."""
    assert (await run_node(nested(each=True), "drafting", {"task": "t"}, item=3)).update == {
        "notes": {"3": "draft of t"}
    }


async def test_a_node_in_a_case_is_named_by_its_path() -> None:
    """The path finds the case that has the node."""

    class Draft(BaseModel):
        text: str = ""

    async def compose(text: str) -> str:
        return f"{text}!"

    inner = Graph("drafting", Draft, result="text")
    inner.add_node("compose", compose, writes="text")
    inner.add_path(START, "compose", END)
    graph = graph_of(choose("task", {"a": write, "b": inner}))

    assert (await run_node(graph, "work/compose", {"text": "x"})).update == {"text": "x!"}
    assert (await run_node(graph, "work", {"task": "b"})).choice == "b"


# -- waits


async def test_a_question_is_answered_or_returned() -> None:
    """A question is answered by the wait's name, in order, or not at all."""
    graph = graph_of(ask("Publish {task}?", bool), "approved")

    assert (await run_node(graph, "work", {"task": "t"}, answers={"work": True})).update == {"approved": True}
    assert (await run_node(graph, "work", {"task": "t"}, answers=[False])).result is False
    waits = (await run_node(graph, "work", {"task": "t"})).waits
    assert [(wait.name, wait.question) for wait in waits] == [("work", "Publish t?")]


async def test_a_wrong_answer_is_refused() -> None:
    """One that does not fit, one too few, one for another wait, one text in place of a list."""

    def even(number: int) -> int:
        if number % 2:
            raise ValueError(number)
        return number

    from pydantic import AfterValidator  # noqa: PLC0415

    graph = graph_of(ask("How many?", Annotated[int, AfterValidator(even)]), "total")

    for answers, message in (
        ({"work": "two"}, "does not answer 'How many\\?'"),
        ([3], "3 is not a valid answer"),
        ([], "there is no answer to 'How many"),
        ({"wrok": 1}, "answers={'work': …} answers it"),
        ("two", "is a string"),
        ([NO_ANSWER], "has no timeout"),
    ):
        with pytest.raises(InputError, match=message):
            await run_node(graph, "work", answers=answers)


async def test_a_context_can_ask_sleep_and_receive() -> None:
    """A day passes at once; a question without an answer gets its default."""

    async def work(ctx: Context) -> str:
        await ctx.sleep(86_400)
        first = await ctx.ask("Who?")
        second = await ctx.ask("What?", timeout_seconds=60, default="nothing")
        third = await ctx.receive("news", str, timeout_seconds=60, default="none")
        return f"{first} {second} {third} {ctx.now():.0f}"

    graph, clock = graph_of(work), FakeClock(start=0.0)
    replies = {"work#2": "ann", "work#3": "bread"}
    received = await run_node(graph, "work", answers=replies, messages={"news": ["rain"]}, clock=clock)
    quiet = await run_node(graph, "work", answers={**replies, "work#3": NO_ANSWER}, messages={"news": []})

    assert received.update == {"draft": "ann bread rain 86400"}
    assert quiet.update["draft"].startswith("ann nothing none")
    assert (await run_node(graph, "work", answers=replies)).waits[0].topic == "news"
