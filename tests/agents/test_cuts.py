"""No cut leaves a part of a secret: texts are searched before a cut, or the cut has a mark that the search knows."""

import logging
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from graphengine.agents.mcp_connection import ServerAddress, _Errors
from graphengine.agents.records import failed_outcome, outcome_of, traceback_text
from graphengine.models.base import Message, Request
from graphengine.models.hiding import MARK, forms_of, hide_secrets, start_of, whole_lines, without
from graphengine.models.refusals import shorten_outside_text as shown_error
from graphengine.models.scripted import shorten_middle
from graphengine.models.scripted import summarise_request as shown_request
from graphengine.state.json_values import clipped
from graphengine.state.secret import begun_at_end, clear_texts, ended_at_start, holds, scrubbed, worth_scrubbing
from tests.models.test_hiding import KEYS

KEY = "Kq7-Zw\"4…J'9 \\2Vü\n6H8T5"  # of digits and letters that nothing around it has
ALIEN = "ab cd. "
CUTS: dict[str, Callable[[str, int], str]] = {
    "clipped": clipped,
    "shortened": shorten_middle,
    "the start": start_of,
    "the end": lambda text, most: f"…{text[-most:]}",
    "dots": lambda text, most: f"{text[:most]}...",
    "a note": lambda text, most: f"{text[:most]} … ({len(text) - most} more characters)",
    "JSON": lambda text, most: clipped(repr(text), most),
}


def parts_of(secret: str, least: int) -> set[str]:
    """Return every part of a secret of this length."""
    return {secret[at : at + least] for at in range(len(secret) - least + 1)}


def assert_none(shown: str, secret: str = KEY, least: int = 3) -> None:
    """Check that no part of a secret of this length is in a text."""
    assert not [part for part in parts_of(secret, least) if part in shown], shown


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_what_was_cut_is_searched_for_parts(cut: Callable[[str, int], str]) -> None:
    """Wherever a cut falls, neither a known secret nor a run's secret is there in part."""
    texts = worth_scrubbing(clear_texts(KEY))
    long = [text for text in texts if len(text) >= 8]
    for before in range(40):
        text = ALIEN * 5 + "-" * before + KEY + "-" * (40 - before) + ALIEN * 5
        for most in range(35, 110, 5):
            left = cut(text, most)
            assert_none(without(left, forms_of([KEY])))
            assert_none(str(scrubbed(left, texts)))
            assert holds(left, long) or not [part for part in parts_of(KEY, 12) if part in left]


@pytest.mark.parametrize("key", KEYS)
def test_a_cut_key_of_a_provider_is_left_out(key: str) -> None:
    """A part of one has no form of its own: the word at the cut is left out."""
    for most in range(1, 2 * len(key)):
        assert_none(hide_secrets(start_of(f"the key {key} is wrong " + "-" * 80, most)), key, 6)


@pytest.mark.parametrize("key", [KEY, "sk-" + "Ab1" * 2_000, "Ab1" * 2_000])
def test_an_error_of_a_provider_shows_no_part_of_a_key(key: str) -> None:
    """Whatever its length, and wherever in a long message it is; also between blanks that are not shown."""
    for before in (0, 590, 600, 5_400, 5_599, 5_990, 6_000):
        for blank in ("-", " ", "- "):
            text = (blank * before)[:before] + f" {key} " + "-" * 9_000
            assert_none(shown_error(text, key), key, 6)


def test_a_servers_last_output_shows_no_part_of_its_key(caplog: pytest.LogCaptureFixture) -> None:
    """The end that is kept may begin anywhere in the key, and the key may come in pieces: see `mcp_connection`."""
    caplog.set_level(logging.DEBUG, "graphengine.agents")
    address = ServerAddress(("server",), env={"API_TOKEN": KEY})
    for after in [*range(960, 1_005), 70_000]:
        errors = _Errors(address)
        errors.ours.write(f"{ALIEN}{KEY[:9]}")
        errors.ours.flush()
        errors.ours.write(f"{KEY[9:]} --api-key=Kq7-Zw{'-' * after}")
        errors.ours.close()
        errors.join()
        assert errors.tail
        assert_none(errors.tail)
    assert_none(caplog.text)


@pytest.mark.parametrize("written", [str, lambda text: f"{text} ..."], ids=["plain", "cut"])
def test_a_line_that_is_no_message_shows_no_part_of_a_key(written: Callable[[str], str]) -> None:
    """It is cut where a key may be."""

    class Line(BaseModel):
        line: int

    address = ServerAddress(("server",), env={"API_TOKEN": KEY})
    for before in range(50, 80):
        with pytest.raises(ValidationError) as caught:
            Line.model_validate({"line": "-" * before + written(KEY)})
        assert len(address.line(caught.value)) <= 80
        assert_none(address.line(caught.value))
        assert_none(address.line(ValueError("-" * before + written(KEY))))
        assert_none(address.public(str(caught.value)))  # which pydantic has cut


@given(st.lists(st.sampled_from([KEY, "one\ntwo", "\n", "K", "Kq7", "6H8T5", " ", "ab"]), max_size=8), st.data())
def test_a_text_in_pieces_is_shown_without_secrets(words: list[str], data: st.DataObject) -> None:
    """However it is divided, what is shown in all is what is shown of the whole; a secret may have several lines."""
    text, forms = "".join(words), forms_of([KEY, "one\ntwo"])
    shown = left = ""
    while text:
        length = data.draw(st.integers(1, len(text)))
        lines, left = whole_lines(left + text[:length], lambda each: without(each, forms), forms, 200)
        text, shown = text[length:], shown + lines
    assert shown + without(left, forms) == without("".join(words), forms)


def test_a_line_without_an_end_is_not_kept_whole() -> None:
    """Its start is dropped, and neither a known key nor one of a provider is shown in part."""
    known, of_provider = "Kq7" * 4, "sk-" + "Zw4" * 4
    for before in range(40):
        for key in (known, of_provider):
            _, left = whole_lines("a" * 60 + " " * before + key + " " * (40 - before), str, [], 80)
            assert len(left) <= 41
            assert_none(hide_secrets(left, known=[known]), key, 6)


def test_a_tools_long_texts_are_marked_where_they_are_cut() -> None:
    """The result, the error and the traceback of a tool reach the search for secrets already cut."""
    texts = worth_scrubbing(clear_texts(KEY))
    for before in range(len(KEY)):
        error = ValueError("-" * (10_000 - len("ValueError: ") - before) + KEY + "-" * 20)
        assert_none(str(scrubbed(failed_outcome(error).text, texts)))
        assert_none(str(scrubbed(outcome_of("look", "-" * (2_000 - before) + KEY + "-" * 200_000).text, texts)))
        late = ValueError("-" * 20_000 + KEY + "-" * (10_000 - before))
        assert_none(str(scrubbed(traceback_text(late), texts)))


def test_a_request_is_searched_before_it_is_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    """The middle of a long prompt is left out, and with it the middle of a key."""
    monkeypatch.setenv("SOME_TOKEN", KEY)
    for before in range(180, 220):
        text = "-" * before + KEY + " sk-ant-Ab1Cd2Ef3 " + "-" * 300
        shown = shown_request(Request("a", text, [Message(role="user", text=text)]))
        assert_none(shown)
        assert_none(shown, "Ab1Cd2Ef3", 4)


@given(st.text("ab", min_size=1, max_size=6), st.text("ab", max_size=12))
def test_the_parts_of_a_secret_at_an_edge(secret: str, text: str) -> None:
    """The longest beginning at the end of a text, and the longest end at its start, without the whole."""
    lengths = range(1, len(secret))
    assert begun_at_end(secret, text) == max((n for n in lengths if text.endswith(secret[:n])), default=0)
    assert ended_at_start(secret, text) == max((n for n in lengths if text.startswith(secret[-n:])), default=0)


def test_every_form_of_a_known_secret_is_found() -> None:
    """A server may quote a key as Python or JSON write it."""
    for form in clear_texts(KEY):
        assert without(f"<{form}>", forms_of([KEY])) == f"<{MARK}>"
