"""WordPress over its REST API, with an application password.

Source: https://developer.wordpress.org/rest-api/reference/posts/, https://developer.wordpress.org/rest-api/reference/tags/.
"""

from __future__ import annotations

import base64
from html import unescape
from typing import Any, Final

from graphengine.briefs.publishing.cms import PublishFailed, Service, checked_address, mark_of, slug_for
from graphengine.briefs.publishing.html import html_of
from graphengine.briefs.publishing.post import Post, Published, Site

_STATUSES: Final = "publish,future,draft,pending,private"
_MOST: Final = "100"
_BAD_REQUEST: Final = 400
_RENAMED: Final = 4


class WordPress:
    """A site of WordPress.

    Several posts of one key can exist only as drafts: the one with the lowest number is published, the others go to the
    bin.

    Args:
        address: The address of the site.
        user: A user who may publish.
        password: An application password of that user.
    """

    finds = True

    def __init__(self, address: str, user: str, password: str) -> None:
        self._api = Service("WordPress", checked_address(address, "WordPress") + "/wp-json/wp/v2")
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {token}"}

    async def look(self) -> Site:
        """Return the newest titles, and the tags by how often they are used."""
        posts = await self._get("/posts", {"per_page": _MOST, "_fields": "title"})
        tags = await self._get("/tags", {"per_page": _MOST, "orderby": "count", "order": "desc", "_fields": "name"})
        return Site(
            titles=[unescape(one["title"]["rendered"]) for one in posts], tags=[unescape(one["name"]) for one in tags]
        )

    async def put(self, post: Post, key: str) -> Published:
        """Create a draft, unless one has this key, and publish the first that has it."""
        slug = slug_for(post.title, key)
        found = await self._of(slug)
        was_there = bool(found) and found[0]["status"] == "publish"
        if not found:
            await self._send("POST", "/posts", {**await self._fields(post, key), "slug": slug, "status": "draft"})
            found = await self._of(slug)
        if not found:
            message = f"a draft with the name {slug} was created, and is not found"
            raise PublishFailed(message, where="WordPress", repair="let the user of the password edit their own drafts")
        first, *others = found
        for other in others:  # before the first is published: WordPress renames a post whose name another one has
            if other["status"] == "draft":
                await self._send("DELETE", f"/posts/{other['id']}", None)
        if first["status"] != "publish":
            first = await self._send("POST", f"/posts/{first['id']}", {"slug": slug, "status": "publish"})
        return Published(post=post, path=str(first.get("link") or ""), was_there=was_there)

    async def _of(self, slug: str) -> list[dict[str, Any]]:
        """Return the posts of this name, a published one first, then the oldest.

        A draft that arrives late, just before the first one is published, makes WordPress name that one `…-2`.
        """
        names = ",".join([slug, *(f"{slug}-{number}" for number in range(2, _RENAMED + 2))])
        query = {"slug": names, "status": _STATUSES, "orderby": "id", "order": "asc", "_fields": "id,status,link"}
        found = await self._get("/posts", {**query, "context": "edit"})
        return sorted(found, key=lambda one: (one["status"] != "publish", one["id"]))

    async def _fields(self, post: Post, key: str) -> dict[str, object]:
        tags = [await self._tag(name) for name in post.tags]
        return {
            "title": post.title,
            "content": html_of(post.body, f"note-{mark_of(key)}"),
            "excerpt": post.description,
            "tags": tags,
            "date_gmt": post.published_at.strftime("%Y-%m-%dT%H:%M:%S"),
        }

    async def _tag(self, name: str) -> int:
        """Return the number of the tag with this name; create it if it does not exist."""
        status, found = await self._api.call(
            "POST", "/tags", body={"name": name}, headers=self._headers, allowed=(_BAD_REQUEST,)
        )
        if status == _BAD_REQUEST and found.get("code") != "term_exists":
            raise self._api.failed(status, found)
        return int(found["data"]["term_id"] if status == _BAD_REQUEST else found["id"])

    async def _get(self, path: str, query: dict[str, str]) -> list[dict[str, Any]]:
        _, found = await self._api.call("GET", path, query=query, headers=self._headers)
        return found if isinstance(found, list) else []

    async def _send(self, method: str, path: str, body: object) -> dict[str, Any]:
        _, found = await self._api.call(method, path, body=body, headers=self._headers)
        return found if isinstance(found, dict) else {}
