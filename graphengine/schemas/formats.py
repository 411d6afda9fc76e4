"""The meaning of the formats of texts in a JSON Schema.

They are the formats that pydantic writes, and pydantic reads them.
"""

from __future__ import annotations

import datetime
import functools
import ipaddress
import uuid
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

WORDS: Final[Mapping[str, str]] = {
    "date": "a date, such as 2026-12-31",
    "date-time": "a date with a time, such as 2026-12-31T09:30:00Z",
    "time": "a time, such as 09:30:00",
    "duration": "a duration, such as PT90M",
    "uuid": "a UUID",
    "uri": "a URL, such as https://example.org/",
    "ipv4": "an IPv4 address",
    "ipv6": "an IPv6 address",
    "ipvanyaddress": "an IP address",
    "email": "an e-mail address",
}
"""A description of a text of each format, for people."""


@functools.cache
def checker() -> Any:  # noqa: ANN401 - of a library that is loaded late
    """Return a checker for the `format` keyword of JSON Schema, such as `date` or `email`.

    A format that the checker does not know accepts any text.
    """
    from jsonschema import FormatChecker  # noqa: PLC0415 - heavy, and needed for answers alone
    from pydantic import UUID1, UUID3, UUID4, UUID5, AnyUrl, Base64Bytes, IPvAnyAddress, TypeAdapter  # noqa: PLC0415

    types: dict[str, Any] = {
        "date": datetime.date,
        "date-time": datetime.datetime,
        "time": datetime.time,
        "duration": datetime.timedelta,
        "uuid": uuid.UUID,
        "uuid1": UUID1,
        "uuid3": UUID3,
        "uuid4": UUID4,
        "uuid5": UUID5,
        "uri": AnyUrl,
        "ipv4": ipaddress.IPv4Address,
        "ipv6": ipaddress.IPv6Address,
        "ipv4network": ipaddress.IPv4Network,
        "ipv6network": ipaddress.IPv6Network,
        "ipv4interface": ipaddress.IPv4Interface,
        "ipv6interface": ipaddress.IPv6Interface,
        "ipvanyaddress": IPvAnyAddress,
        "base64": Base64Bytes,
    }
    found = FormatChecker(formats=())
    for name, kind in types.items():
        found.checks(name, raises=ValueError)(functools.partial(_fits_adapter, TypeAdapter(kind)))
    return found


def _fits_adapter(adapter: Any, value: object) -> bool:  # noqa: ANN401 - a TypeAdapter of any type
    if isinstance(value, str):
        adapter.validate_python(value)
    return True
