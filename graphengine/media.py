"""Pictures, documents, sound and text files as values of the state, which agents show to models."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

if TYPE_CHECKING:
    from collections.abc import Iterable

_TYPE: Final = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+-]+")
_SIGNATURES: Final = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"%PDF-", "application/pdf"),
    (8, b"WAVE", "audio/wav"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
)
"""Beginnings of files: offset, bytes, type."""

_BEGINNING: Final = 64  # characters of base64, which hold all signatures
_KILOBYTE: Final = 1000


_ADDRESSES: Final = ("http://", "https://")
_NO_ADDRESS: Final = (
    "media are bytes, not an address: fetch it once, in a node of its own, with `read_media(url)` of "
    "graphengine.agents.sources.web"
)


def _as_base64(given: object) -> object:
    """Return bytes as base64; text must be base64 already."""
    if isinstance(given, (bytes, bytearray, memoryview)):
        return base64.b64encode(given).decode("ascii")
    if isinstance(given, str):
        if given.startswith(_ADDRESSES):
            raise ValueError(_NO_ADDRESS)
        try:
            binascii.a2b_base64(given, strict_mode=True)
        except (ValueError, binascii.Error) as error:
            message = f"the data of media is bytes, or their base64: {error}"
            raise ValueError(message) from None
    return given


class Media(BaseModel):
    """A picture, a PDF document or a piece of sound.

    A field of the state, a prompt (`{picture}`) and the result of a tool may hold it. A store keeps the data once,
    however many steps and runs hold it.

    Args:
        data: Its bytes; recorded, and given back, as base64.
        type: Its MIME type, as `image/png`; found by the data if it is a PNG, JPEG, GIF, WebP, PDF, WAV or MP3 file.
        name: A name for people and models, as `receipt.png`.

    Example:
        >>> Media(data=b"%PDF-1.7", name="report.pdf")
        Media('application/pdf', 8 bytes, name='report.pdf')
    """

    model_config = ConfigDict(frozen=True)
    __unrecorded__: ClassVar = ("model_fields_set",)

    data: Annotated[str, BeforeValidator(_as_base64)]
    type: Annotated[str, Field(validate_default=True)] = ""
    name: str = ""

    if TYPE_CHECKING:  # the validator of `data` takes bytes, which checkers cannot see

        def __init__(self, *, data: bytes | str, type: str = "", name: str = "") -> None: ...  # noqa: A002 - the field

    @model_validator(mode="before")
    @classmethod
    def _no_address(cls, given: object) -> object:
        """Refuse an address in place of the data."""
        address = given.get("url") if isinstance(given, dict) and "data" not in given else given
        if isinstance(address, str) and address.startswith(_ADDRESSES):
            raise ValueError(_NO_ADDRESS)
        return given

    @field_validator("type")
    @classmethod
    def _known(cls, given: str, info: ValidationInfo) -> str:
        """Return the type; find it by the data if it is not given."""
        data = info.data.get("data")
        found = given or ("" if data is None else _type_of(data))
        if not _TYPE.fullmatch(found) and data is not None:
            message = f"{given!r} is not a MIME type" if given else "the type cannot be found by the data: give type="
            raise ValueError(message)
        return found

    @property
    def content(self) -> bytes:
        """Its bytes."""
        return base64.b64decode(self.data)

    @property
    def size_bytes(self) -> int:
        """The number of its bytes."""
        return len(self.data) * 3 // 4 - self.data[-2:].count("=")

    @property
    def kind(self) -> str:
        """The first part of its type, as `image`."""
        return self.type.partition("/")[0]

    def __repr__(self) -> str:
        name = f", name={self.name!r}" if self.name else ""
        return f"Media({self.type!r}, {self.size_bytes:,} bytes{name})"

    def __str__(self) -> str:
        size = self.size_bytes
        shown = f"{size} bytes" if size < _KILOBYTE else f"{size / _KILOBYTE:,.0f} KB"
        return f"[{self.name or self.type}, {shown}]"


def _type_of(data: str) -> str:
    """Return the type of base64 data by its beginning, "" if it is unknown."""
    start = base64.b64decode(data[:_BEGINNING])
    found = (kind for offset, sign, kind in _SIGNATURES if start[offset : offset + len(sign)] == sign)
    return next(found, "")


def joined(parts: Iterable[str | Media]) -> tuple[str, list[Media]]:
    """Return texts and media as one text, in which `[media 1: receipt.png]` stands for the first medium, and the media.

    Example:
        >>> text, media = joined(["Read ", Media(data=b"%PDF-1", name="a.pdf"), "."])
        >>> text, len(media)
        ('Read [media 1: a.pdf].', 1)
    """
    media: list[Media] = []
    texts = [part if isinstance(part, str) else mark(part, media) for part in parts]
    return "".join(texts), media


def mark(one: Media, media: list[Media]) -> str:
    """Return the text that stands for a medium, which is added to the others unless it is one of them."""
    if one not in media:
        media.append(one)
    return label(media.index(one) + 1, one)


def label(number: int, one: Media) -> str:
    """Return the text that stands for a medium."""
    name = re.sub(r"[\[\]\s]+", " ", one.name).strip() or one.type
    return f"[media {number}: {name}]"


class TextFile(BaseModel):
    """A text file as a value of the state.

    Attributes:
        path: The name of the file as the user wrote it; it is only shown, never opened again.
        text: The content of the file.

    >>> TextFile(path="notes.md", text="# Tides").text
    '# Tides'
    """

    model_config = ConfigDict(frozen=True)

    path: str
    text: str


__all__ = ["Media", "TextFile", "joined", "label", "mark"]
