import asyncio

from graphengine.render.charts import timeline
from graphengine.render.charts.timeline import lay_out_rows
from graphengine.render.trace import visits_of
from tests.kit.facts import altered, made_step
from tests.render.relatives import relatives
from tests.render.samples import done, read_xml, started
from tests.render.timed import paper_run

SVG = {"s": "http://www.w3.org/2000/svg"}


def rows(steps):
    run = visits_of(steps)
    found = lay_out_rows(run)
    began = min(span.start for row in found for span in row.spans)
    lines = [
        f"{row.path}: " + ", ".join(f"{s.what} {s.start - began:.2f} to {s.end - began:.2f}" for s in row.spans)
        for row in found
    ]
    return "\n".join(lines)


def tips(steps):
    svg = read_xml(timeline(steps).svg().encode())
    return "\n".join(title.text for title in svg.iterfind(".//s:g/s:title", SVG))


def paper(upto=""):
    _, steps = asyncio.run(paper_run())
    return steps[: next((at + 1 for at, step in enumerate(steps) if step.kind == upto), len(steps))]


async def related(name):
    async with relatives() as runner:
        return await runner.history(name)


def worked(seq, name, to, began, at, **data):
    return altered(done(seq, name, to, **data), began=began, at=at)


def stopped():
    stop = {"reason": "asked", "label": "", "condition": "", "why": "stopped by a person"}
    back = {"limits": {}, "fingerprint": "f"}
    return [
        started("a"),
        worked(2, "a", "b", 1.0, 3.0),
        made_step(3, "stopped", 3.0, data={"status": "stopped", "ending": stop}),
        made_step(4, "resumed", 903.0, data=back),
        made_step(5, "resumed", 1003.0, data={**back, "crashed": True}),
        worked(6, "b", "END", 1003.0, 1004.0),
    ]
