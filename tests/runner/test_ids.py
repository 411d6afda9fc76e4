"""Ids of runs: no caller can meet what is not theirs by its name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.errors import InputError
from graphengine.runner.ids import RESERVED, OwnId, check_id, chosen_id, derive_id, new_nonce, tenants_id

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=30)


@given(st.lists(NAMES, min_size=1, max_size=3), st.lists(NAMES, min_size=1, max_size=3))
def test_other_parts_have_another_id(first: list[str], second: list[str]) -> None:
    """Derived ids are equal only if all that they are derived from is; each is an id, and none can be chosen."""
    ids = [derive_id("chat", *parts) for parts in (first, second)]
    assert (ids[0] == ids[1]) == (first == second)
    for each in ids:
        assert check_id(each) == chosen_id(OwnId(each)) == each
        with pytest.raises(InputError, match="begins with"):
            chosen_id(each)


@given(NAMES, NAMES, NAMES)
def test_two_tenants_never_have_the_same_id(first: str, second: str, name: str) -> None:
    """Nor has a caller without a tenant that of one with a tenant: a slash parts them."""
    try:
        ids = {tenant: tenants_id(tenant, name) for tenant in (first, second, None)}
    except InputError:
        return
    assert len(set(ids.values())) == len(ids)
    for tenant in (first, second):
        assert tenants_id(tenant, ids[tenant]) == ids[tenant]
        with pytest.raises(InputError, match="contains a slash"):
            chosen_id(ids[tenant])


def test_what_is_the_engines_own_is_refused() -> None:
    """The same prefix is refused of ids, also behind a tenant."""
    for run_id, tenant in ((f"{RESERVED}chat:ada", None), (f"acme/{RESERVED}chat:ada", "acme")):
        with pytest.raises(InputError, match="reserved for the engine"):
            chosen_id(run_id, tenant)


def test_a_nonce_is_never_a_number() -> None:
    """A nonce has letters alone, so that no reader of JSON or of a form takes a cursor, `7.NONCE`, for a number."""
    nonces = [new_nonce() for _ in range(2000)]
    assert all(len(nonce) == 7 and nonce.isalpha() and nonce.isascii() and nonce.islower() for nonce in nonces)
    assert len({*nonces}) > 1990
