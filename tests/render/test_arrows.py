"""Edges with the same ends share an arrow; on a run, each shows why it was taken."""

from graphengine.records.export import read_file
from graphengine.render.drawing import drawing_of
from graphengine.render.parts import Arrow, Drawing
from graphengine.render.words import short
from tests.kit.gallery import GALLERY
from tests.render.samples import done, edge, graph_spec, node, review_loop, started
from tests.render.test_runs import LOOP, boxes


def arrow(drawing: Drawing, ends: str) -> Arrow:
    """The arrow between these ends, as `a to b`."""
    return next(each for each in drawing.arrows if each.spoken.split(":")[0] == ends)


def shown(drawing: Drawing, ends: str) -> str:
    """The text of the arrow between these ends."""
    return shown_lines(arrow(drawing, ends))


def shown_lines(each: Arrow) -> str:
    """The text of an arrow."""
    return " / ".join(line.text for line in each.lines)


def test_an_edge_taken_shows_the_recorded_explanation() -> None:
    """The explanation of its own condition replaces the condition; edges never taken keep theirs, and are pale."""
    drawing = drawing_of(review_loop(), LOOP)
    found = [each for each in drawing.arrows if each.spoken.startswith("review to END")][1]
    assert [(line.text, line.is_pale) for line in found.lines[:4]] == [
        ("1. approved", False),
        ("history[-1].score 8 >= 7:", False),
        ("yes", False),
        ("2. no longer improving", True),
    ]
    assert found.words[0] == "1. approved; history[-1].score >= 7; taken once, because history[-1].score 8 >= 7: yes"
    assert found.words[2].endswith("; never taken")


def test_the_last_explanation_counts() -> None:
    """A loop shows why it was taken the last time, and how often."""
    edges = [edge("START", "a"), edge("a", "a", "x < 3"), edge("a", "END")]
    visits = [done(n + 1, "a", "a", n, why=f"x {n} < 3: yes") for n in (1, 2)]
    last = done(4, "a", "END", 3, why="x 3 < 3: no; otherwise")
    drawing = drawing_of(graph_spec([node("a")], edges), [started("a"), *visits, last])
    assert shown(drawing, "a to a") == "1. x 2 < 3: yes / \N{MULTIPLICATION SIGN}2"
    assert shown(drawing, "a to END") == "2. otherwise"


def test_an_explanation_that_cannot_be_told_apart_is_not_shown() -> None:
    """A value with a semicolon in it makes the record ambiguous, so the condition is shown."""
    edges = [edge("START", "a"), edge("a", "a", "x == 'p; q'"), edge("a", "END", "y > 1")]
    steps = [started("a"), done(2, "a", "END", why="x 'r; s' == 'p; q': no; y 2 > 1: yes")]
    assert shown(drawing_of(graph_spec([node("a")], edges), steps), "a to END") == "2. y > 1"


def test_an_arm_is_explained_by_its_own_condition() -> None:
    """A fork records one explanation for each arm."""
    run = read_file(GALLERY / "orchestrator.json")
    drawing = drawing_of(run.graph_specs[run.info.fingerprint], run.steps)
    assert shown(drawing, "attempt/schedule to attempt/researcher") == "length of steps of / researcher 1 > 0: yes"


def test_a_single_count_is_not_written() -> None:
    """A bold line says that it was taken; the number is written from 2 on."""
    drawing = drawing_of(review_loop(), LOOP)
    assert shown(drawing, "START to research") == ""
    assert shown(drawing, "write to review") == "\N{MULTIPLICATION SIGN}2"
    assert "how often" in " ".join(line.text for line in drawing.legend)


def test_offline_is_written_once() -> None:
    """If no model was called in the whole run, the caption alone says so."""
    run = read_file(GALLERY / "review_loop.json")
    drawing = drawing_of(run.graph_specs[run.info.fingerprint], run.steps)
    text = [line.text for box in drawing.boxes for line in box.lines]
    assert not any("offline" in each for each in text)
    assert "offline" in drawing.caption[1].text


def test_in_brief_there_are_names_and_labels_and_where_a_run_is() -> None:
    """No kinds, no conditions, no words of edges never taken; text is larger, since the picture is shown smaller."""
    brief = drawing_of(review_loop(), detail="brief")
    assert [line.text for line in boxes(brief)["review"].lines] == ["review"]
    assert shown(brief, "review to write") == "4."
    first = next(each for each in map(shown_lines, brief.arrows) if each.startswith("1."))
    assert first.startswith("1. approved / 2. no longer")
    run = drawing_of(review_loop(), LOOP, detail="brief")
    assert [line.text for line in boxes(run)["END"].lines] == ["END", "ended here"]
    assert [shown_lines(each) for each in run.arrows if each.spoken.startswith("review to END")] == ["", "1. approved"]
    lines = [line for box in run.boxes for line in box.lines] + [*run.caption, *run.legend]
    assert {line.weight for line in lines} == {"strong", "normal"}
    assert run.spoken == drawing_of(review_loop(), LOOP).spoken


def test_failure_conditions_have_short_words() -> None:
    """Only common forms of failure conditions are shortened, and exactly."""
    models = "failed with ModelNotReady or ModelTransient or ContextFull"
    assert short("failed with Exception") == "any failure"
    assert short(f"failed with Exception and not ({models})") == "any failure except the model's (3 kinds)"
    assert short("failed with Exception and not (failed with E or F)") == "any failure except E or F"
    for other in ("failed with KeyError", "failed with Exception or KeyError", "failed with ExceptionGroup"):
        assert short(other) == other
