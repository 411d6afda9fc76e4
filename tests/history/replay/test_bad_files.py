"""A file that was changed, or is not an exported run, gets one clear error, and nothing is recorded."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphengine import Runner
from graphengine.errors import GraphEngineError, RunExists
from graphengine.records.export import (
    BadExport,
    ExportTooNew,
    check_ids,
    digest_of_content,
    import_run,
    parse,
    read_file,
)

FOLDER = Path(__file__).parents[3] / "checkpoints" / "format_1"
MAP = (FOLDER / "map.json").read_text(encoding="utf-8")
WAITING = (FOLDER / "waiting.json").read_text(encoding="utf-8")


def changed(change: Callable[[dict[str, Any]], object], text: str = MAP, *, signed: bool = True) -> str:
    """Return a file with a change in it, by default under a digest that fits."""
    content = json.loads(text)
    change(content)
    if signed:
        content["digest"] = digest_of_content({name: part for name, part in content.items() if name != "digest"})
    return json.dumps(content)


def put(*path: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change that puts the last argument at the path of the others."""

    def change(content: Any) -> None:
        for key in path[:-2]:
            content = content[key]
        content[path[-2]] = path[-1]

    return change


def refusal(text: str | bytes) -> BadExport:
    """Return the error of a file."""
    with pytest.raises(BadExport) as caught:
        parse(text, "run.json")
    assert caught.value.where == "run.json"
    assert caught.value.repair
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"a": NaN}', "not JSON"),
        ('{"a": 1e999}', "not JSON"),
        ('{"a": 1, "a": 2}', "occurs twice"),
        ('{"a": "\\ud800"}', "not JSON"),
        ('{"a": ' + "9" * 5000 + "}", "not JSON"),
        ("[]", "not an exported run"),
        ("null", "not an exported run"),
        ('{"schema": 1, "steps": [], "run_id": "r"}', "not an exported run"),
    ],
    ids=["empty", "cut", "no text", "deep", "NaN", "infinite", "twice", "half", "long", "list", "null", "document"],
)
def test_a_text_that_is_not_an_export_is_refused(text: str | bytes, expected: str) -> None:
    """A text that is not an export is refused, whatever its bytes."""
    assert expected in refusal(text).message


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
ANY_JSON: st.SearchStrategy[Any] = st.recursive(LEAVES, lambda x: st.lists(x) | st.dictionaries(st.text(), x))
ODD = [
    (put("format", 0), "never existed"),
    (put("format", "1"), "never existed"),
    (put("run", "id", "a b"), "cannot be a run's id"),
    (put("run", "id", ""), "run.id"),
    (put("run", "id", "x" * 201), "run.id"),
    (put("run", "id", "other"), "steps have id 'map', but the file states 'other'"),
    (put("run", "graph", "other"), "steps have graph 'map'"),
    (put("run", "fingerprint", "other"), "steps have fingerprint"),
    (put("run", "status", "waiting"), "leave it finished, but the file states waiting"),
    (put("run", "status", "odd"), "run.status"),
    (put("run", "seq", 5), "are not 1 to 5"),
    (put("run", "seq", 6.5), "run.seq"),
    (put("run", "seq", 1 << 62), "are not 1 to 4611686018427387904"),
    (put("run", "created_at", "x"), "run.created_at"),
    (put("run", "parent", {"run_id": "p", "seq": 6}), "branched after step 6"),
    (put("graph_specs", {}), "no spec of the graph"),
    (put("steps", []), "are not 1 to 6"),
    (put("steps", 1, "seq", 3), "are not 1 to 6"),
    (put("steps", 1, "kind", "odd"), "step 2 is not a valid step"),
    (put("steps", 1, "kind", "started"), "step 2 is not a valid step"),
    (put("steps", 0, "kind", "node"), "step 1 is not a valid step"),
    (put("steps", 1, "frame", "~nowhere"), "step 2 does not fold"),
    (put("steps", 2, "data", {}), "step 3 is not a valid step"),
    (put("steps", 5, "update", [["odd", "counted", 1]]), "step 6 does not fold"),
    (put("steps", 5, "update", [["set"]]), "$.steps[5].update[0]"),
    (put("steps", 5, "data", "status", "odd"), "step 6 is not a valid step"),
    (put("steps", 1, "data", "count", 10**12), "step 2 does not fold: ValueError: a map of"),
    (put("steps", 1, "data", "count", 2), "step 2 does not fold: ValueError: a map of 2 items"),
    (put("steps", 1, "data", "concurrency", 0), "Expected `int` >= 1 - at `$.concurrency`"),
    (put("steps", 1, "extra", 1), "field `extra` - at `$.steps[1]`"),
    (put("extra", 1), "extra"),
    (put("inbox", [{"kind": "odd", "payload": 1}]), "$.inbox[0].kind"),
    (put("inbox", [{"kind": "answer", "payload": {"wait": "x"}}]), "must have exactly wait, id, value"),
    (put("inbox", [{"kind": "message", "payload": {"topic": 1, "payload": 2}}]), "must have exactly topic, payload"),
]
"""Inconsistent files, and their errors."""


@pytest.mark.parametrize(("change", "expected"), ODD, ids=[f"{number}-{text}" for number, (_, text) in enumerate(ODD)])
def test_an_inconsistent_file_is_refused(change: Callable[[dict[str, Any]], object], expected: str) -> None:
    """A digest that fits proves nothing: everything is checked and folded."""
    assert expected in refusal(changed(change)).message


def test_a_newer_format_is_named() -> None:
    """The current reader cannot know what it contains."""
    error = refusal(changed(put("format", 2)))
    assert isinstance(error, ExportTooNew)
    assert "format 2; this version of graphengine reads up to 1" in error.message


def test_a_change_without_a_new_digest_is_found() -> None:
    """Another value anywhere is found, also in the version and the graph specs."""
    for change in (put("version", "9"), put("run", "created_at", 1.5), put("steps", 1, "at", 1.5)):
        assert "its content was changed" in refusal(changed(change, signed=False)).message


def test_a_flipped_byte_is_refused_or_changes_nothing() -> None:
    """Wherever a byte differs, the file is refused, or means the very same."""
    run, body = parse(MAP, "map"), MAP.encode()
    random = Random(7)  # noqa: S311 - no secret
    refused = 0
    for _ in range(400):
        place = random.randrange(len(body))
        flipped = body[:place] + bytes([body[place] ^ 1 << random.randrange(8)]) + body[place + 1 :]
        try:
            assert parse(flipped, "map") == run
        except BadExport:
            refused += 1
    assert refused > 350


def test_a_truncated_file_is_refused() -> None:
    """It is refused at any length."""
    for length in range(0, len(MAP.rstrip()) - 1, 97):
        refusal(MAP[:length])


@settings(max_examples=150)
@given(st.binary(max_size=200) | ANY_JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_refused(body: bytes) -> None:
    """Any bytes raise nothing but BadExport."""
    refusal(body)


@settings(max_examples=200)
@given(st.data())
def test_arbitrary_json_in_any_place_is_refused_or_folds(data: st.DataObject) -> None:
    """A hostile file with a digest that fits raises BadExport, or is a run that folds."""
    content = json.loads(data.draw(st.sampled_from([MAP, WAITING])))
    here: Any = content
    while True:
        key = data.draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
        if not isinstance(here[key], (dict, list)) or not here[key] or data.draw(st.booleans()):
            break
        here = here[key]
    here[key] = data.draw(LEAVES | st.sampled_from([[], {}, [[]]]))
    text = changed(lambda _: None, json.dumps(content))
    try:
        run = parse(text, "map")
    except BadExport:
        return
    assert len(run.steps) == run.info.seq


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    """The path is a folder, or does not exist."""
    for path in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(BadExport, match="cannot be read"):
            read_file(path)


async def test_a_taken_id_is_refused() -> None:
    """An id of another run is refused, also between two files; importing the same run again is not."""
    run = parse(MAP, "map")
    other = parse(changed(put("steps", 5, "at", 1_900_000_000.0)), "map")
    async with Runner() as runner:
        assert await import_run(runner.store, run)
        assert not await import_run(runner.store, run)
        before = await runner.history("map")
        for call in (import_run(runner.store, other), check_ids(runner.store, [other])):
            with pytest.raises(RunExists, match="another run is already recorded"):
                await call
        with pytest.raises(RunExists, match="two of the files"):
            await check_ids(runner.store, [run, run])
        assert await runner.history("map") == before
        assert issubclass(BadExport, GraphEngineError)


@pytest.mark.parametrize("tags", [["a\nb"], [" "], [""], ["\x1b[31m"], ["b", "a"], ["a", "a"], ["x" * 101], [7]])
def test_tags_that_no_run_can_have_are_refused(tags: list[Any]) -> None:
    """A store would keep another text than the file has."""
    refusal(changed(put("run", "tags", tags)))


def test_tags_that_runs_can_have_are_read() -> None:
    """Tags that runs can have are read unchanged."""
    assert parse(changed(put("run", "tags", ["an apple", "x" * 100, "ü"])), "run.json").info.tags[0] == "an apple"
