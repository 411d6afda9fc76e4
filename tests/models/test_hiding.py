"""Which texts count as secrets."""

import pytest
from pydantic import BaseModel

from graphengine.models.hiding import hide_secrets

KEYS = [
    "sk-ant-api03-abcDEF_123",
    "sk-abcdef",
    "sk-proj-ab.cdef_12",
    "sk-...wxyz",
    "sk-1234****wxyz",
    *(f"{kind}0123456789abcdef" for kind in ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "hf_")),
    *(f"{kind}0123456789abcdef" for kind in ("gsk_", "xai-", "xoxb-", "xoxp-")),
    "AKIAIOSFODNN7EXAMPLE",
    "AIzaSyA0123456789abcdefghijkl",
    "eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl",
]


@pytest.mark.parametrize("key", KEYS)
def test_keys_of_providers_are_secrets(key: str) -> None:
    """Keys of providers are hidden at any place in a text."""
    assert hide_secrets(f'a "{key}", b') == 'a "[secret]", b'
    assert hide_secrets(f"x={key}") == "x=[secret]"


class Inner(BaseModel):
    texts: tuple[str, ...]
    extra: dict[str, object]


def test_whatever_holds_texts_is_gone_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists, tuples, dicts with their keys, pydantic instances; other values are unchanged."""
    monkeypatch.setenv("A_PASSWORD", "open sesame")
    monkeypatch.setenv("A_TINY_KEY", "on")
    given = Inner(texts=("open sesame", "on"), extra={"open sesame": [1, None, True, "open sesame!"]})
    mark = "[secret A_PASSWORD]"
    assert hide_secrets(given) == Inner(texts=(mark, "on"), extra={mark: [1, None, True, f"{mark}!"]})


def test_the_longest_secret_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that contains another one is hidden completely."""
    monkeypatch.setenv("A_KEY", "abcdef")
    monkeypatch.setenv("B_KEY", "abcdef-ghijkl")
    assert hide_secrets("abcdef-ghijkl abcdef") == "[secret B_KEY] [secret A_KEY]"
