"""A folder of Markdown files that stands in for a site: what is published there, and publishing one more post.

Each post is a file with front matter (YAML whose values are written as JSON, which is YAML too), as static site
generators read it. It is no CMS: nothing is sent anywhere. What a CMS would have to promise it keeps: a post is there
whole or not at all, nothing is written over, and publishing twice under one key publishes once.

    ---
    title: "How tides work"
    tags: ["tides", "moon", "coast"]
    published_at: "2026-03-01T12:00:00+00:00"
    ---
    The moon …
"""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias, cast

from nodes.press.stages import Post, Published, Site

Put: TypeAlias = Callable[[str, Post, str], Published]
"""Publishes a post on a site: `put(site, post, key)`. Under one key it publishes once, however often it is called."""

MAX_POSTS: Final = 500  # the newest ones; whoever has more wants an index
SLUG_CHARACTERS: Final = 48  # with four bytes each still well below the 255 bytes of a file's name
_RULE: Final = "---"


@dataclass(frozen=True, slots=True)
class Cms:
    """How a site is reached; the functions of your own CMS go in the place of those of a folder.

    Args:
        look: tells which titles and tags a site has.
        put: publishes a post on it, once for each key.
    """

    look: Callable[[str], Site]
    put: Put


def look_at(folder: str) -> Site:
    """See which titles and tags a site has; a folder that is not there yet has none.

    Args:
        folder: where the site's posts are.
    """
    found = [_front_matter(path) for path in _newest(Path(folder))]
    tags = Counter(tag for each in found for tag in _texts(each.get("tags")))
    titles = [title for each in found if (title := "".join(_texts(each.get("title"))))]
    return Site(titles=titles, tags=sorted(tags, key=lambda tag: (-tags[tag], tag)))


def put(folder: str, post: Post, key: str) -> Published:
    """Write a post into the folder, once for each key.

    Args:
        folder: where the site's posts are; made if it is not there.
        post: the post.
        key: what tells this publication from every other one, as a node's `ctx.idempotency_key` does.

    Raises:
        FileExistsError: under this key something else was published.
        OSError: the folder cannot be written to.
    """
    page = page_of(post)
    mark = hashlib.sha256(key.encode()).hexdigest()[:10]
    path = Path(folder) / f"{_slug(post.title)}-{mark}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    there = next(path.parent.glob(f"*-{mark}.md"), None)
    if there is not None:
        if there.read_text(encoding="utf-8") != page:
            raise FileExistsError(f"{there} was published under the same key, and says something else")
        return Published(post=post, path=str(there), was_there=True)
    draft = path.with_suffix(".part")  # no post: look_at reads *.md
    with draft.open("w", encoding="utf-8", newline="\n") as file:
        file.write(page)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return Published(post=post, path=str(path))


def page_of(post: Post) -> str:
    """Return the file of a post: front matter, and the text under its title."""
    listed = post.model_dump(mode="json", exclude={"body"}) | {"published_at": post.published_at.isoformat()}
    rows = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in listed.items()]
    return "\n".join([_RULE, *rows, _RULE, "", post.body.strip(), ""])


FOLDER: Final = Cms(look_at, put)


def _newest(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    files = [(path.stat().st_mtime, path) for path in folder.glob("*.md") if path.is_file()]
    return [path for _, path in sorted(files, reverse=True)[:MAX_POSTS]]


def _front_matter(path: Path) -> Mapping[str, object]:
    """Return the fields above a text; those that another program wrote in other YAML as they stand."""
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


def _slug(title: str) -> str:
    """Return a title as part of a file's name: letters and digits of any language, nothing that leads elsewhere."""
    plain = re.sub(r"[\W_]+", "-", title.casefold()).strip("-")
    return plain[:SLUG_CHARACTERS].rstrip("-") or "post"
