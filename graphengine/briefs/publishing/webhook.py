"""A webhook: a post as JSON to an address of your own, signed as Standard Webhooks describes.

The receiver keeps the promise: it must accept one `webhook-id` (also sent as `Idempotency-Key`) once, and answer a
repetition with a success.

Source: https://www.standardwebhooks.com.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from typing import Final

from graphengine.briefs.publishing.cms import PublishFailed, Service, checked_address, mark_of
from graphengine.briefs.publishing.html import html_of
from graphengine.briefs.publishing.post import Post, Published, Site

_PREFIX: Final = "whsec_"


class Webhook:
    """An address that takes posts.

    Args:
        address: The address.
        secret: The secret of the signature: base64, after `whsec_` or not; "" sends none.
    """

    finds = True

    def __init__(self, address: str, secret: str = "") -> None:
        self._api = Service("the webhook", checked_address(address, "a webhook"))
        try:
            self._secret = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error as error:
            message = "the secret of the webhook is not base64"
            raise PublishFailed(message, where="WEBHOOK_SECRET", repair="give the secret, as whsec_…") from error

    async def look(self) -> Site:
        """Return an empty site: a webhook only receives."""
        return Site()

    async def put(self, post: Post, key: str) -> Published:
        """Send a post; an answer with `url` names its page."""
        number, now = f"msg_{hashlib.sha256(key.encode()).hexdigest()[:32]}", str(int(time.time()))
        data = {**post.model_dump(mode="json"), "html": html_of(post.body, f"note-{mark_of(key)}")}
        event = {"type": "post.published", "timestamp": post.published_at.isoformat(), "data": data}
        content = json.dumps(event, ensure_ascii=False).encode()
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": number,
            "webhook-id": number,
            "webhook-timestamp": now,
        }
        if self._secret:
            signed = hmac.digest(self._secret, f"{number}.{now}.".encode() + content, hashlib.sha256)
            headers["webhook-signature"] = f"v1,{base64.b64encode(signed).decode()}"
        _, found = await self._api.call("POST", "", content=content, headers=headers)
        url = found.get("url") if isinstance(found, dict) else None
        return Published(post=post, path=str(url or ""))
