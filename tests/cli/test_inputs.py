"""Inputs from files that are no text, and from addresses. What else they are read from is in `pages/inputs.txt`."""

from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, create_model

from graphengine import Graph, Media, TextFile, addresses
from graphengine.cli.inputs import forms_of, parse_pairs, state_from
from graphengine.errors import InputError
from graphengine.testing.evaluation.cases import Case, check_cases
from tests.kit.pages import Page, serving

PNG: Final = b"\x89PNG\r\n\x1a\n"
PHOTO: Final = Media(data=PNG, name="photo.png")


class State(BaseModel):
    text: str = ""
    file: TextFile | None = None
    files: list[TextFile] = []
    picture: Media | None = None
    pictures: list[Media] = []
    data: dict[str, str] = {}


def parsed(*pairs: str) -> dict[str, object]:
    """Return the values of these pairs for the state above."""
    return parse_pairs(pairs, forms_of(State), "--input")


def test_a_file_of_a_picture_is_media_and_no_text(tmp_path: Path) -> None:
    """A picture's file is media for a field of media, and for a list of them."""
    (tmp_path / "photo.png").write_bytes(PNG)
    photo = f"@{tmp_path / 'photo.png'}"
    values = parsed(f"picture={photo}", f"pictures={photo}", f"pictures={photo}")
    assert values == {"picture": PHOTO, "pictures": [PHOTO, PHOTO]}
    assert state_from(State, values).picture == PHOTO
    with pytest.raises(InputError, match="not UTF-8 text"):
        parsed(f"text={photo}")


def test_marks_of_recorded_values_count() -> None:
    """What a run shows of its state can be sent back as it came: the zone, and which fields are set."""
    state = create_model("S", at=(datetime, ...), sent=(State, ...))
    given = ["at=2026-10-25T02:30:00+01:00[Europe/Berlin]", 'sent={"text": "a", "__fields_set__": ["text"]}']
    made: Any = state_from(state, parse_pairs(given, forms_of(state), "--input"))
    assert (made.at.tzinfo, made.at.fold, made.sent.model_fields_set) == (ZoneInfo("Europe/Berlin"), 1, {"text"})
    case = Case(name="a", input={"at": "2026-10-25T02:30:00[Europe/Berlin]", "sent": {}})
    check_cases(Graph("dated", state), [case])


def test_half_a_character_in_json_becomes_a_sign() -> None:
    """As by the doors of a service; in a text that is no JSON a backslash is one."""
    assert parsed(r'data={"cut": "a \ud83d"}', r"text=a \ud83d") == {"data": {"cut": "a \ufffd"}, "text": r"a \ud83d"}


@pytest.mark.parametrize("pair", ["file", "files"])
def test_an_address_is_the_page_for_a_text_file_field(pair: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTML becomes Markdown whose path is the address; for a text field an address is a text."""
    pytest.importorskip("html_to_markdown")
    monkeypatch.setattr(addresses, "PRIVATE", {"127.0.0.1"})
    with serving({"/tides": Page("<title>Tides</title><p>The moon pulls.</p>")}) as site:
        url = f"{site.address}/tides"
        found = parsed(f"{pair}={url}")[pair]
        (page,) = found if isinstance(found, list) else [found]
        assert isinstance(page, TextFile)
        assert (page.path, "The moon pulls." in page.text) == (url, True)
        assert parsed(f"text={url}") == {"text": url}
        assert site.asked == ["/tides"]


def test_an_address_is_the_picture_for_a_field_of_media(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a field of media an address is the picture, fetched once before the run."""
    monkeypatch.setattr(addresses, "PRIVATE", {"127.0.0.1"})
    with serving({"/photo.png": Page(PNG, "image/png")}) as site:
        url = f"{site.address}/photo.png"
        found = parsed(f"picture={url}", f"pictures={url}")
    assert found == {"picture": PHOTO, "pictures": [PHOTO]}


def test_an_address_of_this_network_is_refused() -> None:
    """The error is at the option, and nothing is asked."""
    with serving({"/tides": Page("text")}) as site:
        with pytest.raises(InputError, match="is in a private network") as caught:
            parsed(f"files={site.address}/tides")
        assert site.asked == []
    assert caught.value.where.startswith("--input files=http://127.0.0.1")


def test_a_page_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason."""
    monkeypatch.setattr(addresses, "PRIVATE", {"127.0.0.1"})
    with serving({}) as site, pytest.raises(InputError, match="status 404"):
        parsed(f"files={site.address}/gone")
