from pydantic import BaseModel

from graphengine import END, START, Graph, iterations, plateau, value


class State(BaseModel):
    text: str
    score: int = 0


async def improve(text: str) -> str:  # parameters name the fields a node reads
    return text + "!"


async def judge(text: str) -> int:
    return min(len(text), 9)


graph = Graph("first", State)
graph.add_node("improve", improve, writes="text")
graph.add_node("judge", judge, writes="score")
graph.add_path(START, "improve", "judge")
graph.add_edge("judge", END, when=value("score") >= 7, label="good enough")
graph.add_edge("judge", END, when=plateau("score"), label="no longer improving")
graph.add_edge("judge", END, when=iterations("judge") >= 5, label="out of iterations")
graph.add_edge("judge", "improve")  # no condition: otherwise

if __name__ == "__main__":  # importing the file, as `graphengine check first.py` does, runs nothing
    result = graph.run_sync(State(text="Hello"))
    print(result.state.text, "-", result.label)  # Hello!! - good enough


import asyncio

from graphengine import Runner


async def main() -> None:
    async with Runner("checkpoints/runs.db") as runner:
        run = runner.start(graph, State(text="Hi"))
        result = await run.result()
        again = await runner.resume(run.id, graph).result()  # after a crash, a stop, a raised limit
        other = await runner.branch(run.id, graph, at=3, update={"text": "Bonjour"}).result()
        print(again.state == result.state, other.state.text)


if __name__ == "__main__":
    asyncio.run(main())


from graphengine import Agent, ScriptedModel
from graphengine.testing import run_node, walk


async def test_judge() -> None:
    done = await run_node(graph, "judge", {"text": "Hello!"})
    assert done.update == {"score": 6}
    assert done.edge and done.edge.why.startswith("score 6 >= 7: no")


async def test_a_text_that_stops_improving_ends_the_loop() -> None:
    walked = await walk(graph, {"judge": [{"score": 5}, {"score": 5}]}, text="Hi")
    walked.assert_path("improve judge improve judge END")
    assert walked.label == "no longer improving"


async def test_the_answer_of_the_critic_is_a_number() -> None:
    critic = Agent("critic", prompt="Score this from 1 to 10: {text}", output=int, model=ScriptedModel(["8"]))
    assert await critic.run(text="Hello!") == 8
