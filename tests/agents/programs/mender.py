"""A text that is written and judged until it is good enough; the best one is kept."""

from graphengine import SyncRunner
from recipes.evaluator_optimizer import graph

models = {"writer": "anthropic:claude-haiku-4-5", "judge": "openai:gpt-5-mini"}
with SyncRunner("runs.db", models=models) as runner:
    for run in runner.recover(graph) or [runner.start(graph, {"task": "Explain tides."})]:
        for event in run.events():
            print(event)
        print(run.result().output)
