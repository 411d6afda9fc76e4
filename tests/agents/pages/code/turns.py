from dataclasses import replace

from graphengine import END, START, Agent, Graph, Limits
from graphengine.models.errors import ModelUnreachable
from tests.agents.run_kits import ADD, Work, add, paid

TWICE = ("add", {"first": 3, "second": 4})


def writer(*tools, **options):
    return Agent("writer", **{"prompt": "{task}", "tools": tools, **options})


def about(draft, task):
    if task not in draft:
        raise ValueError(f"it has to be about {task}")


def again(request):
    return paid("", ADD)


def many(most):
    return lambda request: paid("", ADD) if len(request.messages) < most else paid("done")


def ended(stop):
    return replace(paid("half an" if stop == "cut" else ""), stop=stop)


INNER = Graph("inner", Work, limits=Limits(cost_usd=2))
INNER.add_node("write", writer(add), writes="draft")
INNER.add_path(START, "write", END)
