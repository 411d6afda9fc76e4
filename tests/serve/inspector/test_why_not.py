"""Why an edge was not taken: what it compared, by how much it missed, how often others take it, and a branch of it."""

from collections.abc import Sequence

import pytest

from graphengine import Runner
from graphengine.records.visit_tree import TakenEdge
from graphengine.render.scopes import Scope
from graphengine.render.trace import Tried, list_tried_edges
from graphengine.serve.read_documents import WhyNot
from graphengine.serve.reads.views import Views
from graphengine.serve.requests import EdgeParameters, RowsParameters
from tests.serve.inspector.graphs import counter, record
from tests.serve.inspector.reviewed import Paper, reviewed
from tests.serve.inspector.test_views import views_of


async def asked(views: Views, run: str, label: str, at: int | None = None) -> WhyNot:
    """Return why the edge with a label was not taken."""
    atlas = await views.books.atlas((await views.store.info(run)).fingerprint)
    numbers = [n for (place, index), n in atlas.edges.items() if atlas.scopes[place].edges[index].label == label]
    found: Sequence[WhyNot] = await views.why_not(EdgeParameters(run_id=run, edge=numbers, at=at))
    return found[0]


async def test_an_edge_says_by_how_much_it_missed_and_how_often_others_take_it() -> None:
    """What its condition compared at each decision, in words, and in how many of the newest runs it was taken."""
    async with Runner() as runner:
        for number, score in enumerate((6.5, 8.0, 7.0)):
            await runner.start(reviewed(), Paper(score=score), run_id=f"r{number}").result()
        found = await asked(views_of(runner.store), "r0", "good enough")
        taken = await asked(views_of(runner.store), "r1", "good enough")
        other = await asked(views_of(runner.store), "r1", "leave it")
    assert (found.source, found.to, found.taken, found.runs, found.took, found.unmapped) == (
        "review",
        "publish",
        0,
        3,
        2,
        0,
    )
    assert [(each.how, each.why) for each in found.decisions] == [
        ("missed", "score is 6.5, at least 7.0 is needed: 0.5 too little")
    ]
    assert (taken.taken, taken.as_if) == (1, None)
    assert [(each.how, each.before, each.why) for each in other.decisions] == [
        ("earlier", "good enough", "score is 8.0, at least 7.0 was needed")
    ]


async def test_the_branch_as_if_takes_the_edge() -> None:
    """Its update is what the condition needs, and a branch with it takes the edge."""
    async with Runner() as runner:
        await runner.start(reviewed(), Paper(score=6.5), run_id="r").result()
        found = (await asked(views_of(runner.store), "r", "good enough")).as_if
        assert found is not None
        assert (found.update, found.path) == ({"score": 7.0}, "")
        branch = runner.branch("r", reviewed(), at=found.at, update=dict(found.update), run_id="as-if")
        assert (await branch.result()).state.text == "published"
        assert (await asked(views_of(runner.store), "as-if", "good enough")).taken == 1


async def test_an_edge_that_its_node_decides_itself_is_not_promised() -> None:
    """Where the node writes what the condition compares, the branch begins before it, without an update."""
    async with Runner() as runner:
        await record(runner, counter(5), "five")
        found = await asked(views_of(runner.store), "five", "high enough", at=2)
    assert found.as_if is not None
    assert found.as_if.update == {}
    assert found.as_if.note == "work writes score itself when it runs again: change what it reads."


async def test_edges_of_earlier_versions_are_found_by_what_is_declared() -> None:
    """An edge that another version declares the same counts there; a version without it is said to be unmapped."""
    async with Runner() as runner:
        await runner.start(reviewed(), Paper(score=8), run_id="old").result()
        await runner.start(reviewed(9.0), Paper(score=9.5), run_id="stricter").result()
        await runner.start(reviewed(is_new=True), Paper(score=8), run_id="new").result()
        views = views_of(runner.store)
        found = await asked(views, "new", "good enough")
        beyond = await asked(views, "new", "far beyond")
    assert (found.runs, found.took, found.unmapped) == (3, 2, 1)
    assert (beyond.runs, beyond.took, beyond.unmapped) == (3, 0, 2)
    assert beyond.decisions[0].why == "limit is 3, more than 5 is needed: 2 too little"


async def test_only_the_decisions_that_are_shown_are_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often its node chose; how often the edge was taken is counted as in the picture."""
    looked = list[TakenEdge]()

    def counted(scope: Scope, edge: TakenEdge) -> list[Tried]:
        looked.append(edge)
        return list_tried_edges(scope, edge)

    monkeypatch.setattr("graphengine.serve.reads.why_not.list_tried_edges", counted)
    async with Runner() as runner:
        await runner.start(reviewed(), Paper(score=8), run_id="old").result()
        await runner.branch("old", reviewed(is_new=True), at=2, run_id="new").result()
        without = await asked(views_of(runner.store), "new", "far beyond")
        assert (without.taken, without.decisions, looked) == (0, [], [])  # the version that chose does not have it
        await record(runner, counter(60), "long")
        views = views_of(runner.store)
        found, early = await asked(views, "long", "again"), await asked(views, "long", "again", at=30)
        rows = await views.rows(RowsParameters(run_id="long"))
    assert len(looked) == len(found.decisions) + len(early.decisions) == 10
    times = [at for at, row in enumerate(rows, 1) if found.edge in row.edges]
    assert (found.taken, early.taken) == (len(times), len([at for at in times if at <= 30]))
    assert [each.seq for each in early.decisions] == sorted({each.seq for each in early.decisions}, reverse=True)
    assert early.decisions[0].seq <= 30


@pytest.mark.parametrize("number", [99])
async def test_an_edge_that_is_not_there_is_left_out(number: int) -> None:
    """As one of a picture that is no longer the run's."""
    async with Runner() as runner:
        await record(runner, counter(5), "five")
        assert await views_of(runner.store).why_not(EdgeParameters(run_id="five", edge=[number])) == []
