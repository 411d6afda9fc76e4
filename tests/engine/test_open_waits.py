"""What a step costs does not depend on how many questions are open."""

from pydantic import BaseModel

from graphengine import Context
from graphengine.engine.ready import next_due, runnable_frame
from graphengine.stores.summaries import summary_of
from tests.kit.counted import calls
from tests.kit.runs import alone
from tests.kit.session import Session


class State(BaseModel):
    """Items, and what was answered."""

    items: list[int] = []
    answers: list[str] = []


async def ask(item: int, ctx: Context) -> str:
    """Ask about an item."""
    return await ctx.ask(f"{item}?", str)


def open_questions(count: int) -> Session:
    """Return a run in which each item of a map waits for an answer, with a time limit."""
    graph = alone(State, ask, "answers", name="questions", node="each", each={"item": "items"}, concurrency=count)
    session = Session(graph, careful=False)
    session.start({"items": list(range(count))})
    session.enter("each")
    for item in range(count):
        wait = {"kind": "ask", "question": f"{item}?", "schema": {"type": "string"}, "key": "ask", "due": 1000.0 + item}
        session.wait({f"each[{item}]": wait}, of=f"each[{item}]")
    assert (session.snapshot.status, session.snapshot.waiting) == ("waiting", count)
    return session


def test_to_ask_what_can_move_changes_nothing() -> None:
    """Neither while frames wait, nor after an answer."""
    session = open_questions(10)
    snapshot = session.snapshot

    def asked() -> str | None:
        before = snapshot.runnable, list(snapshot.maybe_runnable or ())
        found = runnable_frame(snapshot)
        assert (snapshot.runnable, list(snapshot.maybe_runnable or ())) == before
        return found

    assert asked() is None
    session.answer("each[3]", "yes", identity=snapshot.frames["each[3]"].waits["each[3]"].id)
    assert asked() == "each[3]"
    assert asked() == "each[3]"


def test_an_answer_costs_the_same_with_few_and_many_open_questions() -> None:
    """To decide, fold and list an answer, no other wait is read, however many are open."""

    def cost(session: Session, item: int) -> int:
        name = f"each[{item}]"
        identity = session.snapshot.frames[name].waits[name].id

        def answer() -> None:
            session.answer(name, "yes", identity=identity)
            session.run.take_tasks()
            summary_of(session.snapshot)
            next_due(session.snapshot)

        return calls(answer)

    few, many = open_questions(10), open_questions(250)
    cost(few, 0), cost(many, 0)  # builds the index
    for item in (1, 5, 9):
        assert cost(many, item * 25) <= cost(few, item) + 5
    assert next_due(many.snapshot) == 1001.0
    assert summary_of(many.snapshot, "waiting").waits == 246
