"""Signatures of webhooks: whether a body was signed with the secret that its sender shares with this service.

A sender signs bodies, not where they go. So each address, with its query, has a secret of its own, which is made of
that of the service: a body that was signed for one graph, queue or tenant is worth nothing at another.

Source: https://www.standardwebhooks.com (`webhook-id`, `webhook-timestamp`, `webhook-signature`), and
https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries (`X-Hub-Signature-256`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from graphengine.serve.messages import is_same

if TYPE_CHECKING:
    from starlette.datastructures import Headers

SIGNED: Final = "graphengine.signed"
"""In the scope of a request: it was let in because of its signature, not of a token."""
_PREFIX: Final = "whsec_"
_LATE_SECONDS: Final = 300.0
"""How far the time of a signature can be from now, so that a recorded request cannot be sent again later."""


def key_of(secret: str) -> bytes:
    """Return the key of a secret: base64 after `whsec_`, as Standard Webhooks write it, else its bytes.

    Raises:
        ValueError: It is not base64, or empty: anyone could sign with an empty key.
    """
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    if not key:
        raise ValueError("the key is empty")
    return key


def secret_for(secret: str, path: str, query: str = "") -> str:
    """Return the secret for one address of a service, as its senders are given it.

    Args:
        secret: That of the service.
        path: The path of the address, decoded: `/graphs/news desk/runs`.
        query: Its query. The order of its parameters makes no difference.

    Raises:
        ValueError: As `key_of`.

    Example:
        >>> path = "/graphs/news/runs"
        >>> one, other = secret_for("a secret", path, "field=a&tag=b"), secret_for("a secret", path, "tag=b&field=a")
        >>> one == other, one == secret_for("a secret", path), one[:6]
        (True, False, 'whsec_')
    """
    told = json.dumps([path, sorted(parse_qsl(query, keep_blank_values=True))])
    made = hmac.new(key_of(secret), f"graphengine {told}".encode(), hashlib.sha256).digest()
    return _PREFIX + base64.b64encode(made).decode()


def has_signature(headers: Headers) -> bool:
    """Return whether a request is signed, rightly or not."""
    return "webhook-signature" in headers or "x-hub-signature-256" in headers


def is_signed(headers: Headers, body: bytes, secret: str, now: float) -> bool:
    """Return whether a request has a valid signature of its body.

    Args:
        headers: Its headers.
        body: Its body.
        secret: The secret. GitHub signs with its text, Standard Webhooks with what is base64 after `whsec_`.
        now: The time, epoch seconds.

    Raises:
        ValueError: As `key_of`.

    Example:
        >>> from starlette.datastructures import Headers
        >>> headers = Headers({"X-Hub-Signature-256": "sha256=" + hmac.new(b"key", b"{}", "sha256").hexdigest()})
        >>> is_signed(headers, b"{}", "key", 0.0), is_signed(headers, b"[]", "key", 0.0)
        (True, False)
    """
    given = headers.get("webhook-signature")
    if given is None:
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        return is_same(headers.get("x-hub-signature-256", ""), f"sha256={signature}")
    number, time = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not number or not (time.isascii() and time.isdecimal()) or abs(now - int(time)) > _LATE_SECONDS:
        return False
    made = hmac.new(key_of(secret), f"{number}.{time}.".encode() + body, hashlib.sha256).digest()
    expected = f"v1,{base64.b64encode(made).decode()}"
    return any(is_same(each, expected) for each in given.split())


def signed(key: bytes, number: str, now: float, body: bytes) -> dict[str, str]:
    """Return the headers that sign a body, as `is_signed` reads them.

    Args:
        key: The key of the secret.
        number: The message's own id; a message that is sent again has the same.
        now: The time, epoch seconds.
        body: The body.

    Example:
        >>> from starlette.datastructures import Headers
        >>> headers = signed(b"key", "msg_1", 1000.0, b"{}")
        >>> is_signed(Headers(headers), b"{}", "key", 1000.0), is_signed(Headers(headers), b"[]", "key", 1000.0)
        (True, False)
    """
    digest = hmac.new(key, f"{number}.{int(now)}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": number, "webhook-timestamp": str(int(now)), "webhook-signature": signature}


__all__ = ["SIGNED", "has_signature", "is_signed", "key_of", "secret_for", "signed"]
