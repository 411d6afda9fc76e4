from pydantic import BaseModel

from graphengine import END, ask
from graphengine.engine.steps import WaitRecord
from graphengine.history.load import load_snapshot
from graphengine.records.export import export_run, import_run
from graphengine.stores.summaries import summary_of, wait_words
from tests.kit.runs import row


class State(BaseModel):
    text: str = ""
    ok: bool = False


def write(text: str) -> str:
    if text == "bad":
        raise ValueError("no\nsuch text")
    return text.upper()


flow = row(State, ("write", write, "text"), ("approve", ask("Publish\nit?", bool), "ok"), name="flow")
flow.edges.pop()
flow.add_edge("approve", END, label="published")


async def shown(runner, run_id):
    """Return the stored summary of a run, which is that of its log."""
    found = (await runner.info(run_id)).summary
    assert found == summary_of(await load_snapshot(runner.store, run_id, None))
    return f"{found.kind}: {found.reason!r}, {found.waits} waits, {found.visits} visits"
