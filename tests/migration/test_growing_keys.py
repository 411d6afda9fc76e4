"""Additions to the list under one key of a dict: only the additions are written, and no other list grows."""

from __future__ import annotations

from tests.engine.test_growing_keys import Short, State, forked, memo_ops, remembered
from tests.kit.session import Session


def test_additions_of_arms_fit_a_tightened_type() -> None:
    """The lists under the key are then written whole, for the current type to validate."""
    run = Session(forked(State))
    run.start({"memos": {"k": [0]}})
    run.finish(remembered(1), of="a")
    run.finish(remembered(2, value={}), of="b")
    run.resume(graph=forked(Short))
    run.join()
    assert memo_ops(run) == [["put", "memos", "k", [0, 1]], ["put", "memos", "k", [0, 1, 2]]]
