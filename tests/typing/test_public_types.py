"""The public API is typed: mypy --strict and pyright's strict mode both read this file."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict, assert_type

from pydantic import BaseModel, Field

from graphengine import (
    END,
    START,
    Agent,
    Condition,
    Context,
    Ending,
    Failure,
    Graph,
    Message,
    Node,
    Result,
    Retry,
    Router,
    Run,
    Runnable,
    Runner,
    ScriptedModel,
    Settings,
    SyncRunner,
    Window,
    ask,
    iterations,
    plateau,
    tool,
    value,
)
from graphengine.agents import guard, result_of
from graphengine.agents.live_events import AgentEvent
from graphengine.runner.result import PastRun


class Review(BaseModel):
    score: int


class Article(BaseModel):
    task: str
    review: Review | None = None


def loop(generate: Runnable, accept: Condition, *, tries: int = 3) -> Graph[Article]:
    """Return a pattern as users write them: runnables and conditions as arguments."""
    graph = Graph("loop", Article, result="review")
    graph.add_node("generate", generate, writes="review", retry=Retry(attempts=2), fallback=Review(score=1))
    graph.add_path(START, "generate")
    graph.add_edge("generate", END, when=accept & (iterations("generate") >= tries), label="accepted")
    graph.add_edge("generate", END, when=plateau("review.score") | (value("review.score") >= 7))
    graph.add_edge("generate", "generate")
    return graph


async def test_types_of_the_public_api() -> None:
    """Graphs, runs, results and agents know their state and answers."""

    def judge(task: str) -> Review:
        return Review(score=len(task))

    critic = Agent("critic", prompt="{task}", output=Review, by_rules=judge)
    writer = Agent("writer", prompt="{task}", model=ScriptedModel(["text"]))
    assert_type(critic, Agent[Review])
    assert_type(writer, Agent[str])
    assert_type(critic.but(prompt="Judge {task}"), Agent[Review])
    assert_type(await critic.run(task="abc"), Review)
    graph = loop(Node(critic, inputs={"task": "task"}), value("review.score") >= 3)
    assert_type(graph, Graph[Article])
    result = await graph.run(Article(task="abcdefgh"))
    assert_type(result, Result[Article])
    assert_type(result.state, Article)
    assert_type(result.ending, Ending | None)
    assert_type(result.error, Failure | None)
    assert_type(result.usage.cost_usd, float | None)
    async with Runner() as runner:
        run = runner.start(graph, {"task": "abcdefgh"})
        assert_type(run, Run[Article])
        assert_type((await run.result()).state, Article)
        assert_type(runner.branch(run.id, graph, at=1), Run[Article])
    assert result.state.review == Review(score=8)
    reviewed: Graph[Article, Review | None] = Graph("reviewed", Article, result="review")
    assert_type(reviewed, Graph[Article, Review | None])
    reviewed.add_node(critic, writes="review")
    reviewed.add_path(START, "critic", END)
    output = (await reviewed.run(Article(task="abc"))).output
    assert_type(output, Review | None)
    assert output == Review(score=3)
    assert_type(result.output, object)
    if TYPE_CHECKING:
        # Each line is wrong, and both checkers report it: an unneeded ignore is an error too.
        graph.add_node("a", 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        graph.add_edge("a", END, when=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        Retry(attempts="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def size_of(text: str, times: int = 1) -> int:
    """Weigh a text."""
    return len(text) * times


async def test_types_of_agents() -> None:
    """An agent has the type of its answers, and a tool keeps the type of its function."""

    def plan_of(task: str) -> str:
        return f"Plan {task}"

    def within(answer: list[Review], task: str) -> None:
        if not answer:
            raise ValueError(task)

    team = ScriptedModel(["[]", '[{"score": 3}]', "4"])
    planner = Agent(
        "planner",
        model=Router([team]),
        prompt=plan_of,
        output=list[Review],
        check=within,
        tools=[size_of, tool(size_of, name="again", approve=True)],
        guards=[guard(str.strip, on="input")],
        window=Window(1000, keep=2, model="rules"),
        settings=Settings(effort="low", cache=True),
        messages="messages",
    )
    assert_type(planner, Agent[list[Review]])
    answer = await planner.answer(task="abc")
    assert_type(answer.value, list[Review])
    assert_type(answer.messages, Sequence[Message])
    assert answer.value == [Review(score=3)]
    assert_type(await Agent("n", prompt="{task}", output=int, model=team).run(task="x"), int)
    answers = ScriptedModel(["yes", "null", "3"])
    decision = Agent("n", prompt="{task}", output=Literal["yes", "no"], model=answers)
    assert_type(decision, Agent[Literal["yes", "no"]])
    assert_type(await decision.run(task="x"), Literal["yes", "no"])
    maybe = Agent("n", prompt="{task}", output=Review | None, model=answers)
    assert_type(maybe, Agent[Review | None])
    assert await maybe.run(task="x") is None
    positive = Agent("n", prompt="{task}", output=Annotated[int, Field(gt=0)], model=answers)
    assert_type(await positive.but(name="m").run(task="x"), int)
    assert_type(maybe.but(output=int), Agent[int])
    assert_type(maybe.but(name="m", output=Review | None), Agent[Review | None])
    assert_type(tool(size_of)("four"), int)
    assert tool(size_of)("four", times=2) == 8
    async with Runner(models={"planner": team, "*": "rules"}):
        pass
    async with Runner(models="placeholder") as runner:
        assert_type(await runner.run(decision, task="x"), Literal["yes", "no"])
        async for shown in runner.stream(positive, task="x"):
            last: AgentEvent | int = shown
            assert last
    if TYPE_CHECKING:
        Agent("n", settings=Settings(effort="extreme"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        Agent("n", output=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        Agent("n", model=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        Runner(models={"n": 5})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
        tool(size_of)(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Question(TypedDict):
    """What the first agent reads."""

    city: str


@dataclass
class Days:
    """What the second one reads."""

    days: int


async def test_types_of_inputs() -> None:
    """An agent with `inputs=` takes nothing else, wherever it is run; beside a text, options of others are errors."""
    forecaster = Agent("forecaster", inputs=Question, prompt="Rain in {city}?", model=ScriptedModel(["Yes."] * 2))
    counter = Agent("counter", inputs=Days, prompt="Rain in {days} days?", output=int, model=ScriptedModel(["3"] * 3))
    assert_type(forecaster, Agent[str, Question])
    assert_type(counter, Agent[int, Days])
    assert_type(counter.but(name="b"), Agent[int, Days])
    assert_type(counter.but(output=float), Agent[float, Days])
    assert_type(Agent("n", prompt="{city}").but(inputs=Question), Agent[str, Question])
    assert_type(await forecaster.run(Question(city="Bern")), str)
    assert_type(await forecaster.run({"city": "Bern"}), str)
    assert_type((await counter.answer(Days(2))).value, int)
    async with Runner() as runner:
        assert_type(await runner.run(counter, Days(2), run_id="r"), int)
        assert_type(await runner.run(counter, run_id="r"), int)
        run = runner.start(Graph.of(counter), Days(2))
        assert_type(run, Run[Days, int])
        assert_type((await run.result()).state.days, int)
        assert_type((await run.result()).output, int)
    assert_type(Agent("n", output=result_of(size_of)), Agent[int])
    assert_type(Agent("n", output=result_of(fetch), inputs=Days), Agent[Review, Days])
    anybody: list[Agent[object, Any]] = [forecaster, counter, Agent("n", prompt="{city}")]
    assert anybody
    if TYPE_CHECKING:
        # As above: each line is wrong.
        await forecaster.run(city="Bern")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        await forecaster.run({"city": 5})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        await counter.run(Question(city="Bern"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        counter.run_sync({"days": 2})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        counter.stream(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        await Agent("n").run(5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
        Agent("n").run_sync("hi", model="x")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
        await Agent("n").run("hi", message_history=[], deps=5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
        await counter.answer(Days(2), usage_limits=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        Agent("n").stream("hi", model="x")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
        Agent("n", inputs=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        await runner.run(counter, Question(city=""))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
        runner.stream(counter, 5)  # type: ignore[misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
        await runner.run(counter, days=2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        SyncRunner().run(counter, 5)  # type: ignore[misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
        runner.start(Graph.of(counter), 5)  # type: ignore[misc]  # pyright: ignore[reportArgumentType]


async def fetch(url: str) -> Review:
    """Return a value from an async function."""
    return Review(score=len(url))


def count(text: str) -> int:
    """Return a value from a sync function."""
    return len(text)


seen: list[str] = []


async def editor(task: str, ctx: Context) -> Review:
    """Use everything that a context has."""
    assert_type((ctx.run_id, ctx.node, ctx.path, ctx.idempotency_key), tuple[str, str, str, str])
    assert_type((ctx.visit, ctx.attempt, ctx.now()), tuple[int, int, float])
    assert_type(ctx.random.random(), float)
    assert_type(await ctx.call(fetch, task), Review)
    assert_type(await ctx.call(count, task, key="length"), int)
    assert_type(await ctx.call(lambda: 3), int)
    assert_type(await ctx.runs(published, last=3), Sequence[PastRun])
    assert_type(await ctx.runs("published", fields=("text",)), Sequence[PastRun])
    title = await ctx.ask("Which title?")
    assert_type(title, str)
    assert_type(await ctx.ask("Fine?", bool, name="fine", timeout_seconds=60, default=False), bool)
    review = await ctx.ask("How good?", Review)
    assert_type(review, Review)
    assert_type(await ctx.ask("Names?", list[str]), list[str])
    kind = await ctx.ask("Which kind?", Literal["a", "b"])
    assert_type(kind, Literal["a", "b"])
    assert_type(await ctx.receive("news", Review, timeout_seconds=60, default=Review(score=1)), Review)
    assert_type(await ctx.receive("news"), Any)
    await ctx.sleep(0)
    await ctx.sleep_until(ctx.now())
    ctx.send("done", {"title": title})
    ctx.emit(review, record=True)
    if TYPE_CHECKING:
        # As above: each line is wrong.
        await ctx.sleep("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        await ctx.ask(5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    seen.append(f"{title} {kind}")
    return review


published: Graph[Article] = Graph("published", Article, result="review")
published.add_node("approve", ask("Publish {task}?", bool, timeout_seconds=60, default=True), writes={"task": str})
published.add_node("edit", editor, writes="review", effect="idempotent", timeout_seconds=60)
published.add_path(START, "approve", "edit", END)


async def test_types_of_what_a_node_may_do() -> None:
    """Answers, messages and recorded work have the requested types."""
    answers: dict[str, object] = {
        "Publish abc?": True,
        "Which title?": "Ants",
        "Fine?": True,
        "How good?": Review(score=7),
        "Names?": ["x"],
        "Which kind?": "b",
    }
    async with Runner() as runner:
        run = runner.start(published, {"task": "abc"}, pause_before=["edit"])
        await runner.send(run.id, "news", Review(score=2), idempotency_key="1")
        await runner.send(run.id, "news", "any")
        result = await run.result()
        while result.status == "waiting":
            for wait in result.waits:
                assert_type((wait.name, wait.due_at), tuple[str, float | None])
                given = True if wait.kind == "pause" else answers[wait.question]
                await runner.answer(result.run_id, given, wait=wait)
            result = await runner.resume(result.run_id, published).result()
    assert_type(result, Result[Article])
    assert (result.status, result.state.review, seen) == ("finished", Review(score=7), ["Ants b"])


async def load(address: str, retries: int = 0) -> bytes:
    """Return what stands at an address."""
    return address.encode() * (retries + 1)


async def test_types_of_recorded_calls() -> None:
    """`ctx.call` returns what the function does, and takes its arguments, unchecked beside `key=` and `effect=`."""

    async def read(ctx: Context) -> str:
        assert_type(await ctx.call(load, "a", retries=1), bytes)
        assert_type(await ctx.call(size_of, "four"), int)
        assert_type(await ctx.call(load, "a", key="a"), bytes)
        assert_type(await ctx.call(size_of, "four", effect="idempotent"), int)
        assert_type(await ctx.call(lambda: 5, key="five"), int)
        if TYPE_CHECKING:
            await ctx.call(load, 5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
            await ctx.call(load)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
            await ctx.call(size_of, text="four", tmes=2)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
        return "read"

    graph = Graph("calls", Article)
    graph.add_node(read, writes="task")
    graph.add_path(START, "read", END)
    assert (await graph.run(Article(task=""))).state.task == "read"


def test_types_of_lambdas() -> None:
    """Pyright's strict mode takes the lambdas of graphs and agents, of up to three parameters, as mypy does."""
    graph = Graph("lambdas", Article)
    graph.add_node(
        "judge", lambda task: Review(score=len(task)), writes={"review": lambda result, task: result or task}
    )
    graph.add_node(
        "again", lambda given: given, inputs={"given": lambda task, review: f"{task} {review.score}"}, writes="task"
    )
    graph.add_edge(START, "judge")
    graph.add_edge("judge", END, when=lambda review: review.score >= 3)
    graph.add_edge("judge", "again")
    graph.add_edge("again", "judge")
    assert graph.run_sync(Article(task="a")).state.task == "a 1"
