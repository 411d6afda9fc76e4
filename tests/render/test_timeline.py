"""Timelines of runs: many parts, scales and legends. What they say is in `drawings/timelines.txt`."""

import pytest

from graphengine.engine.steps import Step
from graphengine.render.charts import Chart, timeline
from graphengine.render.charts.timeline import scale_of
from tests.kit.facts import made_step
from tests.render.relatives import relatives
from tests.render.samples import done, read_xml, started
from tests.render.timed import paper_run, wide_run

SVG = {"s": "http://www.w3.org/2000/svg"}


def tooltips(chart: Chart) -> list[str]:
    """Return the tooltips of a chart's parts."""
    return [title.text or "" for title in read_xml(chart.svg().encode()).iterfind(".//s:g/s:title", SVG)]


async def test_the_legend_explains_what_is_in_the_picture() -> None:
    """Breaks, a branch's beginning and a fallback have their words in the legend."""
    error = {"kind": "E", "message": "m"}
    async with relatives() as runner:
        branch = await runner.history("again")
    fallback = [started("a"), done(2, "a", "END", fallback=True, error=error)]
    for steps, words in (
        ((await paper_run())[1], "time drawn short"),
        (branch, "branched off; what is before is shared"),
        (fallback, "the fallback&#x27;s result"),
    ):
        assert words in timeline(steps).svg()


async def test_hundreds_of_items_share_a_row() -> None:
    """480 items, eight at a time, are columns in one row: as high as the busiest one where eight are at work."""
    _, steps = await wide_run(480)
    chart = timeline(steps)
    assert [words for words in chart.spoken if words.startswith("count[")] == ["count[…]: 480 items, 5 min 12 s"]
    assert "8 attempts at work" in {*tooltips(chart)}
    assert chart.height < 220


def test_work_is_to_scale_and_all_breaks_have_one_width() -> None:
    """Work keeps its proportions on both sides of a break; marks after it count from there."""
    scale = scale_of(0.0, 1010.0, [(0.0, 4.0), (1004.0, 1010.0)], 0.0, 640.0)
    assert len(scale.breaks()) == 1
    assert scale.x(4.0) / 4 == pytest.approx((640 - scale.x(1004.0)) / 6)
    assert [text for _, text in scale.marks()] == ["0", "2.0 s", "4.0 s", "16 min 44 s", "+2.0 s", "+4.0 s", "+6.0 s"]


def test_one_long_wait_does_not_break_the_axis_at_every_short_pause() -> None:
    """The longest idle times are squeezed, until the others leave the work room enough."""
    busy = [(at / 10, at / 10 + 0.04) for at in range(10)]  # six tenths of each are idle
    scale = scale_of(0.0, 3600.0, busy, 0.0, 640.0)
    assert [round(part.start, 3) for part in scale.breaks()] == [0.94]


async def test_an_unfinished_node_shows_its_progress() -> None:
    """A running node is shown with its time so far, and without a count of visits."""
    _, steps = await paper_run()
    asked = next(index for index, step in enumerate(steps) if step.kind == "waiting")
    assert not any(": 0 visits" in words for count in range(1, asked) for words in timeline(steps[:count]).spoken)


def long_run(visits: int) -> list[Step]:
    """A loop of two nodes: one works for most of the time, the other for little; some visits of it failed."""
    steps, at = [started("busy")], 1.0
    for number in range(1, visits // 2 + 1):
        at += 0.9
        steps.append(made_step(len(steps) + 1, "node", at, "", "busy", number, 1, at - 0.9, data={"to": ["idle"]}))
        if number % 500 == 0:
            error = {"kind": "E", "message": "m"}
            facts = {"error": error, "due_at": None}
            steps.append(made_step(len(steps) + 1, "attempt", at, "", "idle", number, 1, at, data=facts))
        at += 0.1
        attempt = 2 if number % 500 == 0 else 1
        ended = made_step(len(steps) + 1, "node", at, "", "idle", number, attempt, at - 0.1, data={"to": ["busy"]})
        steps.append(ended)
    return steps


def test_many_visits_are_a_density() -> None:
    """Ten thousand visits are not a solid bar: the height shows how much of the time was worked, and failures."""
    chart = timeline(long_run(10_000))
    svg = chart.svg()
    assert len(svg) < 300_000
    assert "columns: many visits, as high as the part of the time at work" in svg
    heights: dict[str, list[float]] = {"busy": [], "idle": []}
    root = read_xml(svg.encode())
    bars = [
        (float(rect.get("y", "0")), float(rect.get("height", "0")))
        for rect in root.iterfind(".//s:g/s:rect", SVG)
        if rect.get("class") == "f-work-line"
    ]
    for top, high in bars:
        heights["busy" if top + high < 140 else "idle"].append(high)
    assert len(heights["busy"]) > 300
    assert min(heights["busy"][5:-5]) > 2 * max(heights["idle"][5:-5])
    assert sum("1 failed" in title for title in tooltips(chart)) == 10
