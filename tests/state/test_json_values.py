"""Recorded values are parsed once, and not deeper than any record can hold."""

import pytest

from graphengine.state.json_values import DEEPEST, check_depth, parsed


def nested(depth: int) -> bytes:
    """Return so many lists in one another, with others next to them."""
    return b'["a",' * (depth - 1) + b"[" + b"]" * depth


@pytest.mark.parametrize("depth", [1, 7, DEEPEST - 1, DEEPEST])
def test_a_value_up_to_the_limit_is_read(depth: int) -> None:
    """It is the value itself, whether the depth had to be checked or not."""
    value, read = parsed(nested(depth)), 1
    while len(value) > 1:
        assert value[0] == "a"
        value, read = value[1], read + 1
    assert (value, read) == ([], depth)


def test_many_values_side_by_side_are_not_deep() -> None:
    """Brackets are counted only to skip the check."""
    body = b"[" + b",".join([b"[{}]"] * 500) + b"]"
    assert parsed(body) == [[{}]] * 500
    check_depth(body)


@pytest.mark.parametrize("check", [parsed, check_depth])
def test_a_value_beyond_the_limit_is_refused(check: object) -> None:
    """A value beyond the limit is refused, with the limit."""
    assert callable(check)
    with pytest.raises(ValueError, match=f"deeper than {DEEPEST} lists and objects"):
        check(nested(DEEPEST + 2))  # the parser counts from 0


@pytest.mark.parametrize("body", [b"[1", b"1]", b"1,2", b"],[", b"[[]]" * 100, b"[]],[[]" * 80, b'{"a":1}' * 200])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    """What is not JSON is refused, also if it would fit into the brackets that the check adds."""
    with pytest.raises(ValueError, match=r"line 1"):
        parsed(body)
