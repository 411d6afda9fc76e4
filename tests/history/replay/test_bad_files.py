"""Any file is refused with one clear error, or is a run that folds; `bad_files.txt` shows what is said."""

import json
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
    check_ids,
    digest_of_content,
    import_run,
    parse,
    read_file,
)

FOLDER = Path(__file__).parents[3] / "checkpoints" / "format_1"
MAP = (FOLDER / "map.json").read_text(encoding="utf-8")
WAITING = (FOLDER / "waiting.json").read_text(encoding="utf-8")


def signed(content: dict[str, Any]) -> str:
    """Return a file under a digest that fits."""
    content["digest"] = digest_of_content({name: part for name, part in content.items() if name != "digest"})
    return json.dumps(content)


def refusal(text: str | bytes) -> BadExport:
    """Return the error of a file."""
    with pytest.raises(BadExport) as caught:
        parse(text, "run.json")
    assert caught.value.where == "run.json"
    assert caught.value.repair
    assert "\n" not in caught.value.message
    return caught.value


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
ANY_JSON: st.SearchStrategy[Any] = st.recursive(LEAVES, lambda x: st.lists(x) | st.dictionaries(st.text(), x))


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
    text = signed(content)
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
    content = json.loads(MAP)
    content["steps"][5]["at"] = 1_900_000_000.0
    other = parse(signed(content), "map")
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
