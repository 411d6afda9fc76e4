"""A text that is written and judged until it is good enough; the best one is kept."""

from graphengine import Agent, SyncRunner
from graphengine.patterns import Evaluation, evaluator_optimizer

PROMPT = "Explain {task}.\nYour last attempt:\n{draft}\nWhat was said of it:\n{evaluations[-1].feedback}"
writer = Agent("writer", model="anthropic:claude-haiku-4-5", prompt=PROMPT)
judge = Agent("judge", model="openai:gpt-5-mini", prompt="How good is this on {task}?\n{draft}", output=Evaluation)
graph = evaluator_optimizer(writer, judge, score="evaluations[-1].score", tries=4)
with SyncRunner("runs.db") as runner:
    for run in runner.recover(graph) or [runner.start(graph, {"task": "tides"})]:
        for event in run.events():
            print(event)
        print(run.result().output)
