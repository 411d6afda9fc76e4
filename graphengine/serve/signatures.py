"""Signatures of webhooks: check whether a body was signed with the secret that its sender shares with this service.

A sender signs the body of a request, but not its address. Therefore each address, including its query, has its own
secret, which is derived from the secret of the service. A body that was signed for one graph, queue or tenant is
refused at every other address.

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
"""The key in the scope of a request that was accepted because of its signature instead of a token."""
_PREFIX: Final = "whsec_"
_LATE_SECONDS: Final = 300.0
"""The maximum distance of a signature's time from now, so that a recorded request cannot be sent again later."""


def key_of(secret: str) -> bytes:
    """Return the bytes with which requests of a webhook are signed, from the secret in its text form.

    In a secret that begins with `whsec_`, the rest of the text is the key in base64, as in Standard Webhooks. The bytes
    of any other text are the key.

    Raises:
        ValueError: The text after `whsec_` is not base64, or is empty. Everybody could sign with an empty key.
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
    """Derive the secret with which senders sign webhooks to one address of the service.

    Args:
        secret: The secret of the service.
        path: The path of the address, without percent-encoding: `/graphs/news desk/runs`.
        query: The query of the address. The order of its parameters makes no difference.

    Raises:
        ValueError: The secret of the service has no valid key; see `key_of`.

    Example:
        >>> path = "/graphs/news/runs"
        >>> one, other = secret_for("a secret", path, "field=a&tag=b"), secret_for("a secret", path, "tag=b&field=a")
        >>> one == other, one == secret_for("a secret", path), one[:6]
        (True, False, 'whsec_')
    """
    address = json.dumps([path, sorted(parse_qsl(query, keep_blank_values=True))])
    derived = hmac.new(key_of(secret), f"graphengine {address}".encode(), hashlib.sha256).digest()
    return _PREFIX + base64.b64encode(derived).decode()


def has_signature(headers: Headers) -> bool:
    """Return whether a request has the header of a signature. The signature is not checked."""
    return "webhook-signature" in headers or "x-hub-signature-256" in headers


def is_signed(headers: Headers, body: bytes, secret: str, now: float) -> bool:
    """Return whether a request has a valid signature of its body.

    Args:
        headers: The headers of the request.
        body: The body of the request.
        secret: The secret. GitHub signs with the text of the secret, Standard Webhooks with the bytes that are base64
            after `whsec_`.
        now: The current time, in epoch seconds.

    Raises:
        ValueError: The secret has no valid key; see `key_of`.

    Example:
        >>> from starlette.datastructures import Headers
        >>> headers = Headers({"X-Hub-Signature-256": "sha256=" + hmac.new(b"key", b"{}", "sha256").hexdigest()})
        >>> is_signed(headers, b"{}", "key", 0.0), is_signed(headers, b"[]", "key", 0.0)
        (True, False)
    """
    signatures = headers.get("webhook-signature")
    if signatures is None:
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        return is_same(headers.get("x-hub-signature-256", ""), f"sha256={signature}")
    number, time = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not number or not (time.isascii() and time.isdecimal()) or abs(now - int(time)) > _LATE_SECONDS:
        return False
    digest = hmac.new(key_of(secret), f"{number}.{time}.".encode() + body, hashlib.sha256).digest()
    expected = f"v1,{base64.b64encode(digest).decode()}"
    return any(is_same(each, expected) for each in signatures.split())


def signed(key: bytes, number: str, now: float, body: bytes) -> dict[str, str]:
    """Return the headers that sign a body, in the form that `is_signed` reads.

    Args:
        key: The key of the secret.
        number: The id of the message. A message that is sent again has the same id.
        now: The current time, in epoch seconds.
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
