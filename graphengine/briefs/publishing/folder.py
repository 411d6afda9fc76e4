"""A folder of Markdown files used as a site: its published posts, and publishing one more.

Each post is a file with front matter as static site generators read it (YAML whose values are written as JSON, which is
also YAML). Nothing is sent anywhere. The folder keeps the promises that a CMS has to keep: a post appears whole or not
at all, nothing is overwritten, and publishing twice under one key publishes once. A hidden file in it is the lock of
those who publish.

    ---
    title: "How tides work"
    tags: ["tides", "moon", "coast"]
    published_at: "2026-03-01T12:00:00+00:00"
    ---
    The moon …
"""

import asyncio
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, cast

from filelock import FileLock

from graphengine.briefs.publishing.post import Post, Published, Site
from graphengine.output_file import write_file

MAX_POSTS: Final = 500  # the newest ones; a larger site needs an index
SLUG_CHARACTERS: Final = 48  # even with four bytes each below the 255 bytes of a file's name
_RULE: Final = "---"
_LOCK: Final = ".publishing.lock"


class Folder:
    """A folder as a site.

    Args:
        path: The folder of the site's posts; created if missing.
    """

    finds = True

    def __init__(self, path: str) -> None:
        self._path = path

    async def look(self) -> Site:
        """Return the titles and tags of its posts."""
        return await asyncio.to_thread(look_at, self._path)

    async def put(self, post: Post, key: str) -> Published:
        """Write a post, once per key."""
        return await asyncio.to_thread(put, self._path, post, key)


def look_at(folder: str) -> Site:
    """Return the titles and tags of a site; a folder that does not exist yet has none.

    Args:
        folder: The folder of the site's posts.
    """
    found = [_front_matter(path) for path in _newest(Path(folder))]
    tags = Counter(tag for each in found for tag in _texts(each.get("tags")))
    titles = [title for each in found if (title := "".join(_texts(each.get("title"))))]
    return Site(titles=titles, tags=sorted(tags, key=lambda tag: (-tags[tag], tag)))


def put(folder: str, post: Post, key: str) -> Published:
    """Write a post into the folder, once per key.

    Args:
        folder: The folder of the site's posts; created if missing.
        post: The post.
        key: A unique key of this publication, for example a node's `ctx.idempotency_key`.

    Raises:
        FileExistsError: Another text was published under this key.
        OSError: The folder is not writable.
    """
    page = page_of(post)
    mark = hashlib.sha256(key.encode()).hexdigest()[:10]
    path = Path(folder) / f"{slug_of(post.title)}-{mark}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    # The lock makes the look and the write one act. Without it: 1. A and B see no post of this key. 2. A publishes.
    # 3. B, whose text is another, overwrites it, or adds a second post if the title differs.
    with FileLock(path.with_name(_LOCK)):
        existing = next(path.parent.glob(f"*-{mark}.md"), None)
        if existing is None:
            write_file(path, page.encode())
            return Published(post=post, path=str(path))
    if existing.read_text(encoding="utf-8") != page:
        raise FileExistsError(f"{existing} was published under the same key with another text")
    return Published(post=post, path=str(existing), was_there=True)


def page_of(post: Post) -> str:
    """Return the file of a post: front matter, then the text under its title."""
    listed = post.model_dump(mode="json", exclude={"body"}) | {"published_at": post.published_at.isoformat()}
    rows = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in listed.items()]
    return "\n".join([_RULE, *rows, _RULE, "", post.body.strip(), ""])


def _newest(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    files = [(path.stat().st_mtime, path) for path in folder.glob("*.md") if path.is_file()]
    return [path for _, path in sorted(files, reverse=True)[:MAX_POSTS]]


def _front_matter(path: Path) -> Mapping[str, object]:
    """Return the fields above a text; values that are not JSON as plain text."""
    return dict(_fields(path.read_text(encoding="utf-8", errors="replace")))


def _fields(text: str) -> Iterator[tuple[str, object]]:
    first, *lines = text.removeprefix("\ufeff").splitlines() or [""]
    if first.strip() != _RULE:
        return
    for line in lines:
        if line.strip() == _RULE:
            return
        name, colon, value = line.partition(":")
        if colon and name.strip().isidentifier():
            try:
                yield name.strip(), cast("object", json.loads(value))
            except ValueError:
                yield name.strip(), value.strip().strip("'\"")


def _texts(value: object) -> list[str]:
    values = cast("list[object]", value) if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str) and each]


def slug_of(title: str) -> str:
    """Return a title as part of a file's name: letters and digits of any language, no path separators."""
    plain = re.sub(r"[\W_]+", "-", title.casefold()).strip("-")
    return plain[:SLUG_CHARACTERS].rstrip("-") or "post"
