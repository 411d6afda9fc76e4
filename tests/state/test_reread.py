"""Records that are read under changed types: every recorded value is in what is read, or is noted, or stops the run."""

from itertools import count
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, create_model

from graphengine.compile.described_types import types_in
from graphengine.errors import RecordUnreadable
from graphengine.state.encoded import encode, opened
from graphengine.state.reread import Reread
from graphengine.state.schema import StateType
from graphengine.state.view import RecordsAlone, View
from tests.state.drawn_types import (
    HARMLESS,
    annotation_of,
    changed_types,
    classes_in,
    drawn_value,
    edited,
    leaves_in,
    lost_leaves,
    shapes,
)


def state_of(annotation: Any) -> StateType[Any]:
    """Return a state that holds one value of a type."""
    return StateType.of(create_model("State", __module__=__name__, held=(annotation, ...)))


def recorded_of(annotation: Any, json: Any) -> tuple[Any, Any]:
    """Return the record of a value, and the value."""
    state = state_of(annotation)
    value = TypeAdapter(annotation).validate_json(encode(json), by_name=True, by_alias=False)
    record, typed = state.fields["held"].record(value, View(state, RecordsAlone({})))
    return opened(record), typed


def reread(before: Any, after: Any, record: Any) -> tuple[Reread[Any], Any]:
    """Return what a record is read as under other types, and what that is written as."""
    state = state_of(after)
    view = View(state, RecordsAlone({"held": record}))
    found = state.fields["held"].reread(record, view, types_in([before]), types_in([after]))
    again, _ = state.fields["held"].record(found.value, view)
    return found, opened(again)


@given(st.data())
def test_reading_under_changed_types_keeps_each_value_or_notes_it_or_stops(data: st.DataObject) -> None:
    """No leaf of a record vanishes without a note, and no object becomes another member of its union."""
    shape, changed, json = changed_types(data.draw)
    before, after = annotation_of(shape), annotation_of(changed)
    record, typed = recorded_of(before, json)
    try:
        found, again = reread(before, after, record)
    except RecordUnreadable:
        return
    noted = [each.path for each in found.notes]
    assert not lost_leaves(record, again, noted)
    if not noted and "is_open=True" not in repr(
        changed
    ):  # an open class keeps an object that it does not name as a dict
        assert [*classes_in(found.value)] == [*classes_in(typed)]


@pytest.mark.skipif(
    tuple(map(int, pydantic.VERSION.split(".")[:2])) < (2, 13),
    reason="models inside keep their validators there",
)
@given(st.data())
def test_reading_after_an_edit_that_keeps_the_meaning_neither_notes_nor_stops(data: st.DataObject) -> None:
    """A new field with a default, an added alias, and a field renamed with an alias lose nothing: nobody is told."""
    shape = data.draw(shapes(count()))
    before, after = annotation_of(shape), annotation_of(edited(data.draw, shape, HARMLESS, {}))
    record, typed = recorded_of(before, drawn_value(data.draw, shape, count(1)))
    found, again = reread(before, after, record)
    assert not found.notes
    assert [leaf for _, leaf in sorted(leaves_in(again), key=str)] or not [*leaves_in(record)]
    assert {leaf for _, leaf in leaves_in(again)} == {leaf for _, leaf in leaves_in(record)}
    assert [*classes_in(found.value)] == [*classes_in(typed)]
