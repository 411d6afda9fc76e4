from collections.abc import Sequence
from typing import Any, cast

import pytest

from graphengine import Context, PastRun
from graphengine.briefs.memory import EXCERPT_CHARACTERS, FIELDS, LOOKED_AT, recalling, relevant

TIDES = "# The tides\n\nAn opening.\n\n## Cause\n\nThe moon raises the sea [sea.md:3].\n\n## Sources\n\n- sea.md\n"


def past(run_id: str, task: str, article: str = TIDES, **more: Any) -> PastRun:
    """Return a run that ended with this article."""
    state = {"task": task, "article": article, "final_score": 8, **more}
    return PastRun(run_id=run_id, created_at=0.0, state=state)


def known(task: str, *runs: PastRun, most: int = 3) -> list[str]:
    """Return the runs whose articles are relevant."""
    return [one.run_id for one in relevant(task, runs, most)]


def test_an_article_is_represented_by_its_title_and_first_claims() -> None:
    """The excerpt has no citations and no remarks of the article on itself."""
    (found,) = relevant("How tides and waves differ", [past("r", "What makes the tides")], 3)
    assert (found.title, found.task, found.score, found.run_id) == ("The tides", "What makes the tides", 8, "r")
    assert found.excerpt == "The moon raises the sea."


def test_only_what_is_near_is_remembered_the_nearest_first() -> None:
    """Words of the subject count, more in the task than in the text; among equals the newer comes first."""
    runs = [
        past("bread", "How sourdough bread is made", "# Bread\n\nFlour.\n"),
        past("sea", "Ships at sea", "# Ships\n\n## A\n\nTides and waves move ships.\n"),
        past("tides", "What makes the tides"),
        past("waves", "Tides and waves"),
    ]
    assert known("How tides and waves differ", *runs) == ["waves", "tides", "sea"]
    assert known("How tides and waves differ", *runs, most=1) == ["waves"]
    assert known("Volcanoes", *runs) == []


def test_of_one_task_the_newest_is_remembered() -> None:
    """Of several runs of one task the newest is remembered: runs are passed newest first."""
    assert known("Tides and waves", past("new", "The tides"), past("old", "the TIDES")) == ["new"]


def test_an_article_on_the_same_task_is_no_memory() -> None:
    """Formatting does not matter: a repeated run gives the same result."""
    assert known("What makes the tides", past("r", "What  makes the TIDES\n"), past("s", "Tides")) == ["s"]


def test_a_run_of_the_first_version_has_its_article_as_its_draft() -> None:
    """The state is as it was recorded then."""
    state = {"task": "The tides", "draft": TIDES, "final_score": None}
    (found,) = relevant("Tides", [PastRun(run_id="old", created_at=0.0, state=state)], 3)
    assert (found.title, found.score) == ("The tides", None)


@pytest.mark.parametrize("state", [{}, {"task": 3, "article": "x"}, {"task": "tides"}, {"task": "tides", "article": 1}])
def test_what_is_no_article_is_passed_over(state: dict[str, Any]) -> None:
    """Another graph of that name can have run there."""
    assert relevant("tides", [PastRun(run_id="r", created_at=0.0, state=state)], 3) == []


@pytest.mark.parametrize("task", ["", "how", "的", "x " * 3000])
def test_odd_tasks_remember_nothing_or_something_and_never_fail(task: str) -> None:
    """A task without a subject is near nothing."""
    assert known(task, past("r", "What makes the tides")) == []


def test_an_excerpt_has_an_end() -> None:
    """This holds for any length and form of the article."""
    for article in ("# T\n\n## A\n\n" + "The tide is high. " * 500, "tide " * 5000):
        (found,) = relevant("tides today", [past("r", "tides", article)], 3)
        assert len(found.excerpt) <= EXCERPT_CHARACTERS


class Looking:
    """A context with these earlier runs."""

    def __init__(self, *runs: PastRun) -> None:
        self.runs_ = runs
        self.looks: list[tuple[str, int, Sequence[str]]] = []

    async def runs(self, graph: str, last: int = 20, *, fields: Sequence[str] = ()) -> Sequence[PastRun]:
        """Return the runs like `Context.runs`."""
        self.looks.append((graph, last, fields))
        return self.runs_


async def test_the_node_reads_the_newest_runs_of_its_graph_or_none() -> None:
    """With 0 memories the node does not search."""
    ctx = Looking(past("r", "What makes the tides"))
    context = cast("Context", ctx)
    assert [one.run_id for one in await recalling("loop", 3)("Tides", context)] == ["r"]
    assert await recalling("loop", 0)("Tides", context) == []
    assert ctx.looks == [("loop", LOOKED_AT, FIELDS)]
