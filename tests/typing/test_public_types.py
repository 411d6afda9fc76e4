"""What users see is typed: mypy --strict and pyright's strict mode both read this file."""

from typing import TYPE_CHECKING, assert_type

from pydantic import BaseModel

from graphengine import (
    END,
    START,
    Agent,
    Condition,
    Failure,
    Graph,
    Node,
    Result,
    Retry,
    Run,
    Runnable,
    Runner,
    ScriptedModel,
    Stop,
    iterations,
    plateau,
    value,
)


class Review(BaseModel):
    score: int


class Article(BaseModel):
    task: str
    review: Review | None = None


def loop(generate: Runnable, accept: Condition, *, tries: int = 3) -> Graph[Article]:
    """A pattern as users write them: runnables and conditions as arguments."""
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

    critic = Agent("critic", prompt="{task}", output=Review, offline=judge)
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
    assert_type(result.stop, Stop | None)
    assert_type(result.error, Failure | None)
    assert_type(result.usage.cost_usd, float | None)
    async with Runner() as runner:
        run = runner.start(graph, {"task": "abcdefgh"})
        assert_type(run, Run[Article])
        assert_type((await run.result()).state, Article)
        assert_type(runner.branch(graph, run.id, at=1), Run[Article])
    assert result.state.review == Review(score=8)
    if TYPE_CHECKING:
        # Each line is wrong, and both checkers say so: an unneeded ignore is an error of its own.
        graph.add_node("a", 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        graph.add_edge("a", END, when=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        Retry(attempts="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
