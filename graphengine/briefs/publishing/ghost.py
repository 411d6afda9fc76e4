"""Ghost over its Admin API, with a key of a custom integration.

Source: https://ghost.org/docs/admin-api/.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any, Final

from graphengine.briefs.publishing.cms import PublishFailed, Service, checked_address, mark_of, slug_for
from graphengine.briefs.publishing.html import html_of
from graphengine.briefs.publishing.post import Post, Published, Site

_MOST: Final = "100"
_TOKEN_SECONDS: Final = 300
_NOT_FOUND, _CONFLICT = 404, 409
_CARD: Final = "<!--kg-card-begin: html-->\n{html}\n<!--kg-card-end: html-->"  # kept as it is, with its anchors


class Ghost:
    """A site of Ghost.

    Names of posts are unique in Ghost: a second draft of one key gets another name, and is removed.

    Args:
        address: The address of the site.
        key: An Admin API key, `id:secret`.
    """

    finds = True

    def __init__(self, address: str, key: str) -> None:
        self._api = Service("Ghost", checked_address(address, "Ghost") + "/ghost/api/admin")
        self._id, _, secret = key.partition(":")
        try:
            self._secret = bytes.fromhex(secret)
        except ValueError:
            self._secret = b""
        if not self._id or not self._secret:
            message = "the key of Ghost is not of the form id:secret, with a secret in hexadecimal"
            raise PublishFailed(message, where="GHOST_ADMIN_KEY", repair="copy the key of a custom integration")

    async def look(self) -> Site:
        """Return the newest titles, and the tags by how often they are used."""
        posts = await self._call("GET", "/posts/", query={"limit": _MOST, "fields": "title"})
        order = {"limit": _MOST, "include": "count.posts", "order": "count.posts desc"}
        tags = await self._call("GET", "/tags/", query=order)
        return Site(titles=[one["title"] for one in posts["posts"]], tags=[one["name"] for one in tags["tags"]])

    async def put(self, post: Post, key: str) -> Published:
        """Create a draft, unless one has this key, and publish it."""
        slug = slug_for(post.title, key)
        found = await self._of(slug)
        was_there = found is not None and found["status"] == "published"
        if found is None:
            made = (await self._send("POST", "/posts/", self._fields(post, key, slug)))["posts"][0]
            if made["slug"] != slug:  # another process was faster; its draft has the name
                await self._api.call("DELETE", f"/posts/{made['id']}/", headers=self._headers(), allowed=(_NOT_FOUND,))
            found = await self._of(slug)
        while found is not None and found["status"] != "published":
            found = await self._publish(found, slug)
        if found is None:
            raise PublishFailed(f"the draft {slug} was removed while it was published", where="Ghost")
        return Published(post=post, path=str(found.get("url") or ""), was_there=was_there)

    async def _publish(self, found: dict[str, Any], slug: str) -> dict[str, Any] | None:
        """Publish a draft; if it changed meanwhile, return its current form."""
        change = {"posts": [{"status": "published", "updated_at": found["updated_at"]}]}
        status, answer = await self._api.call(
            "PUT", f"/posts/{found['id']}/", body=change, headers=self._headers(), allowed=(_CONFLICT, _NOT_FOUND)
        )
        return await self._of(slug) if status in (_CONFLICT, _NOT_FOUND) else answer["posts"][0]

    async def _of(self, slug: str) -> dict[str, Any] | None:
        status, found = await self._api.call(
            "GET", f"/posts/slug/{slug}/", headers=self._headers(), allowed=(_NOT_FOUND,)
        )
        return None if status == _NOT_FOUND else dict(found["posts"][0])

    def _fields(self, post: Post, key: str, slug: str) -> object:
        fields = {
            "title": post.title,
            "slug": slug,
            "status": "draft",
            "html": _CARD.format(html=html_of(post.body, f"note-{mark_of(key)}")),
            "custom_excerpt": post.description,
            "meta_description": post.description,
            "tags": [{"name": name} for name in post.tags],
            "published_at": post.published_at.isoformat(),
        }
        return {"posts": [fields]}

    async def _send(self, method: str, path: str, body: object) -> dict[str, Any]:
        _, found = await self._api.call(method, path, query={"source": "html"}, body=body, headers=self._headers())
        return dict(found)

    async def _call(self, method: str, path: str, query: dict[str, str]) -> dict[str, Any]:
        _, found = await self._api.call(method, path, query=query, headers=self._headers())
        return dict(found)

    def _headers(self) -> dict[str, str]:
        """Return the headers of a request, with a token that is valid for minutes."""
        now = int(time.time())
        head = {"alg": "HS256", "typ": "JWT", "kid": self._id}
        claims = {"iat": now, "exp": now + _TOKEN_SECONDS, "aud": "/admin/"}
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in (head, claims))
        token = f"{signed}.{_encoded(hmac.digest(self._secret, signed.encode(), hashlib.sha256))}"
        return {"Authorization": f"Ghost {token}", "Accept-Version": "v5.0"}


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
