"""Timelines of runs: the times of their steps."""

from typing import Any

import pytest

from graphengine.engine.steps import Step
from graphengine.render.charts import Chart, RenderError, timeline
from graphengine.render.charts.spans import Gap, Timeline, laid_out
from graphengine.render.charts.timeline import scale_of
from graphengine.render.trace import visits_of
from tests.kit.facts import altered, made_step
from tests.render.relatives import relatives
from tests.render.samples import done, read_xml, started
from tests.render.timed import BEGAN, HOURS, paper_run, wide_run

SVG = {"s": "http://www.w3.org/2000/svg"}


def times_of(steps: list[Step]) -> Timeline:
    """Return when a run did what."""
    return laid_out(visits_of(steps))


def spans(line: Timeline) -> dict[str, list[tuple[str, float, float]]]:
    """Return the spans of each row, in seconds since the start of the run."""
    return {
        row.path: [
            (span.what, round(span.start - line.began, 3), round(span.end - line.began, 3)) for span in row.spans
        ]
        for row in line.rows
    }


def tooltips(chart: Chart) -> list[str]:
    """Return the tooltips of a chart's parts."""
    return [title.text or "" for title in read_xml(chart.svg().encode()).iterfind(".//s:g/s:title", SVG)]


async def test_attempts_waits_and_pauses_are_drawn_at_their_times() -> None:
    """Items and arms are parallel, a retry follows its pause, a person's wait has its real length."""
    _, steps = await paper_run()
    line = times_of(steps)
    assert spans(line) == {
        "find": [("inside", 0.0, 3.75)],
        "find[0]": [("work", 0.0, 2.25)],
        "find[1]": [("work", 0.0, 1.75)],
        "find[2]": [("work", 1.75, 3.75)],
        "doubt": [("failed", 3.75, 4.55), ("pause", 4.55, 6.05), ("work", 6.05, 6.85)],
        "gather": [("work", 3.75, 5.75)],
        "write": [("work", 6.85, 9.85), ("work", 11.05, 13.05), ("work", 14.25, 15.25)],
        "review": [("work", 9.85, 11.05), ("work", 13.05, 14.25), ("work", 15.25, 16.45)],
        "approve": [("wait", 16.45, 16.45 + 2 * HOURS)],
    }
    assert line.gaps == [Gap(BEGAN + 16.45, BEGAN + 16.45 + 2 * HOURS, "waiting")]
    assert [row.visits for row in line.rows] == [1, 1, 1, 1, 1, 1, 3, 3, 1]


async def test_a_long_wait_is_shortened_with_its_length() -> None:
    """Two hours of waiting do not dwarf sixteen seconds of work, and the break shows its length."""
    _, steps = await paper_run()
    chart = timeline(steps)
    assert "2 h waiting, drawn short" in tooltips(chart)
    assert "2 h waiting, drawn short" in chart.spoken
    assert "time drawn short" in chart.svg()
    assert any(words.startswith("waits for an answer: Publish it?; 2 h") for words in tooltips(chart))


async def test_the_heading_has_the_totals_of_the_run() -> None:
    """The heading has steps, driven time, waits and the start; each row has its own."""
    _, steps = await paper_run()
    chart = timeline(steps)
    assert chart.title == "Timeline of paper, run tides: finished after 10 visits"
    assert chart.spoken[1] == "21 steps, 16.5 s driven, 2 h of waits, began 2027-01-15 08:00:00 UTC"
    assert "approve: 1 visit, waited 2 h" in chart.spoken
    assert any(words.startswith("doubt: 1 visit, 1.6 s (step") and "TimeoutError" in words for words in chart.spoken)


async def test_hundreds_of_items_share_rows() -> None:
    """480 items, eight at a time, take eight rows; none is lost, and none overlaps another."""
    _, steps = await wide_run(480)
    chart = timeline(steps)
    rows = [words for words in chart.spoken if words.startswith("count[")]
    assert len(rows) == 8
    assert len([words for words in tooltips(chart) if words.startswith("count[") and "step" in words]) == 480
    assert chart.height < 400


async def test_a_branch_shows_where_it_branched_off() -> None:
    """There is a line for the run and for each of its ancestors."""
    async with relatives() as runner:
        chart = timeline(await runner.history("again"))
    words = ["run mine branched off at step 13", "run again branched off at step 14"]
    assert list(chart.spoken[-4:]) == ["6.6 s branched off", "3.4 s branched off", *words]
    assert [each for each in tooltips(chart) if "branched off at" in each] == words
    assert "branched off; what is before is shared" in chart.svg()


def worked(seq: int, name: str, to: str, began: float, at: float, **data: Any) -> Step:
    """A completed visit that took its time."""
    return altered(done(seq, name, to, **data), began=began, at=at)


STOP = {"reason": "asked", "label": "", "condition": "", "why": "stopped by a person"}


def test_time_without_a_driver_is_shown() -> None:
    """A resumed run shows the time between, as does a run whose process died."""
    stopped = made_step(3, "stopped", 3.0, data={"status": "stopped", "ending": STOP})
    back = {"limits": {}, "fingerprint": "f"}
    resumed = made_step(4, "resumed", 903.0, data=back)
    crashed = made_step(5, "resumed", 1003.0, data={**back, "crashed": True})
    steps = [
        started("a"),
        worked(2, "a", "b", 1.0, 3.0),
        stopped,
        resumed,
        crashed,
        worked(6, "b", "END", 1003.0, 1004.0),
    ]
    line = times_of(steps)
    assert line.gaps == [Gap(3.0, 903.0, "stopped"), Gap(903.0, 1003.0, "interrupted")]
    chart = timeline(steps)
    assert "16 min 40 s not driven" in chart.spoken[1]
    assert chart.spoken[-2:] == ("15 min stopped, drawn short", "1 min 40 s interrupted, drawn short")


def test_unfinished_work_is_shown_as_started() -> None:
    """A node at work, a map under way and a wait in the last step do not count as finished."""
    line = times_of([started("a"), worked(2, "a", "b", 1.0, 3.0)])
    assert spans(line)["b"] == [("begun", 2.0, 2.0)]
    waits = {"waits": {"b": {"kind": "ask", "question": "<b>?", "schema": {}}}}
    asked = made_step(3, "waiting", 5.0, "", "b", 1, 1, 3.0, data=waits)
    line = times_of([started("a"), worked(2, "a", "b", 1.0, 3.0), asked])
    assert spans(line)["b"] == [("work", 2.0, 4.0), ("wait", 4.0, 4.0)]
    assert (
        "waits for an answer: &lt;b&gt;?, not over yet"
        in timeline([started("a"), worked(2, "a", "b", 1.0, 3.0), asked]).svg()
    )


def test_a_fallback_has_its_own_look() -> None:
    """A fallback differs by its colour, its words and the legend."""
    fell = worked(3, "a", "END", 2.0, 4.0, fallback=True, error={"kind": "E", "message": "m"})
    failed = made_step(
        2, "attempt", 2.0, "", "a", 1, 1, 1.0, data={"error": {"kind": "E", "message": "m"}, "then": "fallback"}
    )
    chart = timeline([started("a"), failed, altered(fell, attempt=2)])
    assert "the fallback&#x27;s result" in chart.svg()
    assert "step 3, visit 1, attempt 2, the fallback replaced its result, then END; 2.0 s" in tooltips(chart)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([], "without steps"),
        ([done(2, "a", "END")], "do not make a run"),
        ([made_step(1, "started", 1.0)], "do not make"),
    ],
)
def test_an_invalid_run_is_refused(steps: list[Step], message: str) -> None:
    """No step, or steps that do not fold, get an error with the repair."""
    with pytest.raises(RenderError, match=message) as caught:
        timeline(steps)
    assert caught.value.repair


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
    """A node that asks is shown as waiting, a running one with its time so far; neither has a count of visits."""
    _, steps = await paper_run()
    asked = next(index for index, step in enumerate(steps) if step.kind == "waiting")
    assert "approve: waits" in timeline(steps[: asked + 1]).spoken
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
