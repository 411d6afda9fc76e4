"""The agent that A2A's kit tests: it does what the id of a first message says, as the kit's scenarios have it."""

from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Media


class Counted(BaseModel):
    """What a scenario wants as data."""

    key: str
    count: int


class Said(BaseModel):
    """Do what a scenario of the kit says."""

    text: str = ""
    output: str | Counted | Media = ""


RESULTS: dict[str, str | Counted | Media] = {
    "tck-artifact-text": "Generated text content",
    "tck-artifact-file-url": Media(url="https://example.com/output.txt", name="output.txt", type="text/plain"),
    "tck-artifact-file": Media(data=b"a file", name="output.txt", type="text/plain"),
    "tck-artifact-data": Counted(key="value", count=42),
    "tck-stream-001": "Stream hello from TCK",
    "tck-stream-003": "Stream task lifecycle",
    "tck-stream-ordering-001": "Ordered output",
    "tck-stream-artifact-text": "Streamed text content",
    "tck-stream-artifact-file": Media(data=b"a file", name="output.txt", type="text/plain"),
}


async def act(ctx: Context) -> str | Counted | Media:
    """Do what a scenario says."""
    message = ctx.run_id.rsplit(":", 1)[-1]
    if message.startswith("tck-input-required"):
        return await ctx.ask("What else?", str)
    if message.startswith("tck-reject-task"):
        raise ValueError("rejected")
    if message.startswith("test-resubscribe-message-id"):
        await ctx.sleep(8)
    return next((result for name, result in RESULTS.items() if message.startswith(name)), "Hello from TCK")


kit = Graph("kit", Said, result="output")
kit.add_node("act", act, writes="output")
kit.add_path(START, "act", END)
