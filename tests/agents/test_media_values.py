"""Pictures, documents and sound as values."""

from __future__ import annotations

import base64

import pytest
from pydantic import ValidationError

from graphengine import Media
from graphengine.media import joined

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/wav"),
        (b"ID3\x04", "audio/mpeg"),
        (b"%PDF-1.7", "application/pdf"),
    ],
)
def test_the_type_is_found_by_the_data(data: bytes, kind: str) -> None:
    """Bytes are recorded as base64, and given back."""
    media = Media(data=data)
    assert (media.type, media.content, media.size_bytes) == (kind, data, len(data))
    assert media.data == base64.b64encode(data).decode()
    assert Media.model_validate_json(media.model_dump_json()) == media


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"data": b"?"}, "give type="),
        ({"data": b"?", "type": "png"}, "not a MIME type"),
        ({"data": "not base64!"}, "bytes, or their base64"),
        ({"data": 3}, "valid string"),
    ],
)
def test_invalid_media_are_refused(given: dict[str, object], message: str) -> None:
    """The error has the repair, and one error is reported."""
    with pytest.raises(ValidationError, match=message) as caught:
        Media.model_validate(given)
    assert caught.value.error_count() == 1


def test_media_are_shown_without_their_data() -> None:
    """Media are shown without their data in a repr, and as text for people."""
    media = Media(data=PNG + bytes(12_000), name="a b.png")
    assert repr(media) == "Media('image/png', 12,016 bytes, name='a b.png')"
    assert str(media) == "[a b.png, 12 KB]"
    assert str(Media(data=PNG)) == "[image/png, 16 bytes]"


def test_equal_media_have_one_mark() -> None:
    """A name cannot end a mark."""
    one, other = Media(data=PNG, name="a]\n[b"), Media(data=b"%PDF-1")
    text, media = joined([one, " and ", other, " and ", one])
    assert text == "[media 1: a b] and [media 2: application/pdf] and [media 1: a b]"
    assert media == [one, other]
