from pydantic import BaseModel

from graphengine import END, START, Graph, iterations, value


class Draft(BaseModel):
    text: str = "Hello"
    score: int = 0


def improve(text: str) -> str:  # parameters name the fields that a node reads
    return text + "!"


def judge(text: str) -> int:
    return min(len(text), 9)


graph = Graph("first", Draft)
graph.add_node(improve, writes="text")
graph.add_node(judge, writes="score")
graph.add_path(START, "improve", "judge")
graph.add_edge("judge", END, when=value("score") >= 7, label="good enough")
graph.add_edge("judge", END, when=iterations("judge") >= 5, label="out of iterations")
graph.add_edge("judge", "improve")  # no condition: otherwise

if __name__ == "__main__":
    result = graph.run_sync(store="checkpoints/runs.db")  # each step is on disk before anything acts on it
    print(result.state.text, "-", result.label)


from graphengine.testing import run_node, walk


async def test_judge() -> None:
    assert (await run_node(graph, "judge", {"text": "Hello!"})).update == {"score": 6}


async def test_the_loop_ends() -> None:
    walked = await walk(graph, {"judge": [{"score": 5}, {"score": 8}]})
    walked.assert_path("improve judge improve judge END")


from graphengine import Agent

assistant = Agent("assistant", model="anthropic:claude-sonnet-5-5", system="Answer in one sentence.")
print(assistant.run_sync("What makes the tides?"))


from graphengine import Runner, TextDelta


def weather(city: str) -> str:
    """Return today's weather in a city."""
    return f"Rain in {city}."


forecaster = assistant.but(tools=[weather])


async def answer(question: str) -> None:
    async with Runner("checkpoints/runs.db") as runner:
        async for shown in runner.stream(forecaster, question):  # pieces of text, tool calls, and the answer
            if isinstance(shown, TextDelta):
                print(shown.text, end="", flush=True)
