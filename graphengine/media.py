"""Pictures, documents, sound and text files as values of the state, which agents show to models."""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
from operator import not_
from posixpath import splitext
from typing import TYPE_CHECKING, Annotated, ClassVar, Final
from urllib.parse import urlsplit

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
_OFFICE: Final = "application/vnd.openxmlformats-officedocument"
_ENDS: Final = (
    *((f"image/{kind}", kind) for kind in ("avif", "bmp", "gif", "heic", "png", "webp")),
    *(("image/jpeg", "jpg jpeg"), ("image/svg+xml", "svg"), ("image/tiff", "tif tiff"), ("audio/flac", "flac")),
    *(("audio/mp4", "m4a"), ("audio/mpeg", "mp3"), ("audio/ogg", "ogg"), ("audio/wav", "wav"), ("video/mp4", "mp4")),
    *(("video/quicktime", "mov"), ("video/webm", "webm"), ("application/pdf", "pdf"), ("application/json", "json")),
    *(("text/csv", "csv"), ("text/html", "htm html"), ("text/markdown", "md"), ("text/plain", "txt")),
    *((f"{_OFFICE}.wordprocessingml.document", "docx"), (f"{_OFFICE}.spreadsheetml.sheet", "xlsx")),
    (f"{_OFFICE}.presentationml.presentation", "pptx"),
)
_TYPES: Final = {f".{end}": kind for kind, ends in _ENDS for end in ends.split()}
"""Types by the end of an address. `mimetypes`, which has others, says another of these by release and by system."""

_BEGINNING: Final = 64  # characters of base64, which hold all signatures
_KILOBYTE: Final = 1000


_ADDRESSES: Final = ("http://", "https://")
_NO_ADDRESS: Final = (
    "Media needs bytes, and the value is an address: fetch the address once, in a node of its own, with "
    "`read_media(url)` of graphengine.agents.sources.web; or give Media(url=…), which the provider fetches at each call"
)
_PLACES: Final = ("data", "url", "file_id")


def _as_base64(given: object) -> object:
    """Convert the data of a medium to base64. A text is accepted only if it is already base64."""
    if isinstance(given, (bytes, bytearray, memoryview)):
        return base64.b64encode(given).decode("ascii")
    if isinstance(given, str):
        if given.startswith(_ADDRESSES):
            raise ValueError(_NO_ADDRESS)
        try:
            binascii.a2b_base64(given, strict_mode=True)
        except (ValueError, binascii.Error) as error:
            message = f"data= must be bytes, or a text that contains bytes in base64: {error}"
            raise ValueError(message) from None
    return given


class Media(BaseModel):
    """A picture, a PDF document or a sound, which a model can read.

    The content of a `Media` object is given by its bytes, by a web address, or by the id of a file that was uploaded to
    a model provider.

    A `Media` object can be the value of a field of the state, the value of a placeholder in a prompt (such as
    `{picture}`), or a part of the result of a tool. A store keeps the bytes of a `Media` object only once, however many
    steps and runs contain it. If the object is only a web address or the id of a file at a provider, its content is not
    recorded. The provider then reads the content at each call of the model.

    Args:
        data: The bytes of the medium. They are recorded, and given back, as base64.
        type: The MIME type, such as `image/png`. If it is not given, it is found by the data of a PNG, JPEG, GIF, WebP,
            PDF, WAV or MP3 file, or by the end of an address.
        name: A name for people and models, such as `receipt.png`.
        url: The web address of the medium, instead of the data.
        file_id: The id of the file at the model provider, instead of the data.

    Example:
        >>> Media(data=b"%PDF-1.7", name="report.pdf")
        Media('application/pdf', 8 bytes, name='report.pdf')
    """

    model_config = ConfigDict(frozen=True)
    __unrecorded__: ClassVar = ("model_fields_set",)

    data: Annotated[str, BeforeValidator(_as_base64)] = ""
    type: Annotated[str, Field(validate_default=True)] = ""
    name: str = ""
    url: str = Field(default="", exclude_if=not_)
    file_id: str = Field(default="", exclude_if=not_)

    if TYPE_CHECKING:  # the validator of `data` takes bytes, which checkers cannot see

        def __init__(
            self,
            *,
            data: bytes | str = "",
            type: str = "",  # noqa: A002 - the field
            name: str = "",
            url: str = "",
            file_id: str = "",
        ) -> None: ...

    @model_validator(mode="before")
    @classmethod
    def _in_one_place(cls, given: object) -> object:
        """Check that a medium is given by exactly one of its data, its address and its file id.

        For an address, the MIME type is derived from the end of the address.
        """
        if isinstance(given, str) and given.startswith(_ADDRESSES):
            raise ValueError(_NO_ADDRESS)
        if not isinstance(given, dict):
            return given
        places = [name for name in _PLACES if given.get(name)]
        url = given.get("url") or ""
        if len(places) > 1 or not (places or "data" in given):
            raise ValueError("Media needs exactly one of data=, url= and file_id=")
        if url and not (isinstance(url, str) and url.startswith(_ADDRESSES)):
            raise ValueError(f"{url!r} is not an http or https address")
        return {**given, "type": given.get("type") or (_type_at(urlsplit(url).path) if url else "")}

    @field_validator("type")
    @classmethod
    def _known(cls, given: str, info: ValidationInfo) -> str:
        """Check the MIME type of a medium. If no type is given, find it by the beginning of the data."""
        data = info.data.get("data")
        found = given or ("" if data is None else _type_of(data))
        if not _TYPE.fullmatch(found) and data is not None:
            unknown = "the type of the media is not known: give type=, such as type='image/png'"
            message = f"{given!r} is not a MIME type, such as 'image/png'" if given else unknown
            raise ValueError(message)
        return found

    @property
    def content(self) -> bytes:
        """The bytes of the picture, document or sound.

        Raises:
            ValueError: The medium is an address or a file at a provider, so its bytes are not here.
        """
        if self.url or self.file_id:
            raise ValueError(f"{self!r} contains no bytes, because they are elsewhere: read Media(data=…) instead")
        return base64.b64decode(self.data)

    @property
    def size_bytes(self) -> int:
        """The number of bytes of the medium."""
        return len(self.data) * 3 // 4 - self.data[-2:].count("=")

    @property
    def kind(self) -> str:
        """The first part of the MIME type, such as `image`."""
        return self.type.partition("/")[0]

    def __repr__(self) -> str:
        name = f", name={self.name!r}" if self.name else ""
        place = f"url={self.url!r}" if self.url else f"file_id={self.file_id!r}" if self.file_id else ""
        return f"Media({self.type!r}, {place or f'{self.size_bytes:,} bytes'}{name})"

    def __str__(self) -> str:
        size = self.size_bytes
        shown = f"{size} bytes" if size < _KILOBYTE else f"{size / _KILOBYTE:,.0f} KB"
        shown = self.url or self.file_id or shown
        return f"[{self.name or self.type}, {shown}]"


def _type_of(data: str) -> str:
    """Find the MIME type of base64 data by its first bytes; "" if they are unknown."""
    start = base64.b64decode(data[:_BEGINNING])
    found = (kind for offset, sign, kind in _SIGNATURES if start[offset : offset + len(sign)] == sign)
    return next(found, "")


def _type_at(path: str) -> str:
    """Find the MIME type of a file by the ending of its name; "" if the ending is unknown."""
    return _TYPES.get(splitext(path)[1].lower()) or mimetypes.guess_type(path)[0] or ""


def joined(parts: Iterable[str | Media]) -> tuple[str, list[Media]]:
    """Join texts and media to one text, in which each medium is replaced by a mark such as `[media 1: receipt.png]`.

    Returns the text, and the media in the order of the numbers in their marks.

    Example:
        >>> text, media = joined(["Read ", Media(data=b"%PDF-1", name="a.pdf"), "."])
        >>> text, len(media)
        ('Read [media 1: a.pdf].', 1)
    """
    media: list[Media] = []
    texts = [part if isinstance(part, str) else mark(part, media) for part in parts]
    return "".join(texts), media


def mark(one: Media, media: list[Media]) -> str:
    """Return the mark of a medium, such as `[media 1: receipt.png]`, and append the medium to `media` if it is new."""
    if one not in media:
        media.append(one)
    return label(media.index(one) + 1, one)


def label(number: int, one: Media) -> str:
    """Return the mark of the medium with this number, such as `[media 1: receipt.png]`."""
    name = re.sub(r"[\[\]\s]+", " ", one.name).strip() or one.type
    return f"[media {number}: {name}]"


class TextFile(BaseModel):
    """The name and the content of a text file, to use as a value in the state of a run.

    Attributes:
        path: The name of the file as the user wrote it. The name is only shown: the file is never opened again.
        text: The content of the file.

    Example:
        >>> TextFile(path="notes.md", text="# Tides").text
        '# Tides'
    """

    model_config = ConfigDict(frozen=True)

    path: str
    text: str


__all__ = ["Media", "TextFile", "joined", "label", "mark"]
