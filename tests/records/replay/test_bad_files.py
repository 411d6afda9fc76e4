"""Any file is refused with one clear error, or is a run that folds; `bad_files.txt` shows what is said."""

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphengine.engine.graph_spec import fingerprint_of
from graphengine.records.export import BadExport, digest_of_content, parse
from tests.kit.record import RECORDED

MAP = (RECORDED / "map.json").read_text(encoding="utf-8")
WAITING = (RECORDED / "waiting.json").read_text(encoding="utf-8")


def refusal(text: str | bytes) -> BadExport:
    """Return the error of a file."""
    with pytest.raises(BadExport) as caught:
        parse(text, "run.json")
    assert caught.value.where == "run.json"
    assert caught.value.repair
    assert "\n" not in caught.value.message
    return caught.value


CONDITIONS = {
    "of no parts": {"is": "not"},
    "of an empty list": {"is": "and", "parts": []},
    "of one part": {"is": "or", "parts": [{"is": "function", "of": "f"}]},
    "of two parts": {"is": "not", "parts": [{"is": "function", "of": "f"}, {"is": "function", "of": "f"}]},
    "of another operator": {"is": "like", "of": "n"},
    "without a quantity": {"is": ">=", "than": 1},
    "with a list": {"is": ">=", "of": [1], "than": 1},
    "with an object": {"is": ">=", "of": "n", "than": {}},
    "with another object": {"is": ">=", "of": "n", "than": {"is": "shown", "text": "a", "type": "str", "more": 1}},
    "with a number": {"is": "failed", "names": [7]},
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_spec_with_a_condition_that_nobody_can_read_is_refused(name: str) -> None:
    """The file is refused, under digests that fit, before anything puts the condition into words."""
    content = json.loads((RECORDED / "loop.json").read_text(encoding="utf-8"))
    [(fingerprint, spec)] = content["graph_specs"].items()
    for edge in spec["ways"]:
        edge.update({"when": CONDITIONS[name]} if "when" in edge else {})
    text = json.dumps({key: part for key, part in content.items() if key != "digest"})
    content = json.loads(text.replace(fingerprint, fingerprint_of(spec)))
    refusal(json.dumps({**content, "digest": digest_of_content(content)}))


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
    content["digest"] = digest_of_content({name: part for name, part in content.items() if name != "digest"})
    try:
        run = parse(json.dumps(content), "map")
    except BadExport:
        return
    assert len(run.steps) == run.info.seq
