import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from graphengine.briefs.publishing import Post, Published, Site
from graphengine.briefs.publishing.folder import look_at, page_of, put

POST = Post(
    title='Tides: "high" & low',
    description="d" * 150,
    tags=["sea", "moon", "coast: north"],
    body="# Not a title\n\nThe sea rises [a.md:1].",
    sources=["a.md:1"],
    published_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
)
WRITERS, KEYS = 6, [f"run/publish/{number}" for number in range(20)]


def test_a_post_is_a_file_that_site_generators_read(tmp_path: Path) -> None:
    """It has YAML front matter, and the text."""
    made = put(str(tmp_path / "new"), POST, "run/publish/1")
    path = Path(made.path)
    assert (made.was_there, path.parent, path.name[:15]) == (False, tmp_path / "new", "tides-high-low-")
    _, front, body = path.read_text(encoding="utf-8").split("---\n", 2)
    fields = dict(row.split(": ", 1) for row in front.splitlines())
    assert {name: json.loads(value) for name, value in fields.items()} == {
        **POST.model_dump(mode="json", exclude={"body", "published_at"}),
        "published_at": "2026-03-01T12:00:00+00:00",
    }
    assert body == f"\n{POST.body}\n"
    assert path.read_text(encoding="utf-8") == page_of(POST)


def test_one_key_publishes_once(tmp_path: Path) -> None:
    """A second attempt reports that the post was there; another key is another post."""
    first = put(str(tmp_path), POST, "key")
    again = put(str(tmp_path), POST, "key")
    assert (again.path, again.was_there) == (first.path, True)
    assert put(str(tmp_path), POST, "other key").path != first.path
    assert len(list(tmp_path.glob("*.md"))) == 2


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """A key that published something else publishes nothing new, and the existing post stays."""
    first = put(str(tmp_path), POST, "key")
    other = POST.model_copy(update={"title": "Another", "body": "Another text."})
    with pytest.raises(FileExistsError, match="was published under the same key"):
        put(str(tmp_path), other, "key")
    assert [str(path) for path in tmp_path.glob("*.md")] == [first.path]
    assert "The sea rises" in Path(first.path).read_text(encoding="utf-8")


def test_a_post_that_was_half_written_is_none(tmp_path: Path) -> None:
    """A dead process's partial file is not a post, and the next attempt publishes."""
    made = Path(put(str(tmp_path), POST, "key").path)
    made.rename(tmp_path / ".graphengine-0123")
    (tmp_path / ".graphengine-0123").write_text("---\ntitle: half", encoding="utf-8")
    assert look_at(str(tmp_path)) == Site()
    again = put(str(tmp_path), POST, "key")
    assert (again.was_there, [path.name for path in tmp_path.glob("*.md")]) == (False, [made.name])


def test_writers_at_the_same_time_publish_once(tmp_path: Path) -> None:
    """Of many writers one publishes a post under a key, whole; the others find it, and no draft is left."""
    with ThreadPoolExecutor(WRITERS) as pool:
        tasks = {key: [pool.submit(put, str(tmp_path), POST, key) for _ in range(WRITERS)] for key in KEYS}
        made = {key: [task.result() for task in each] for key, each in tasks.items()}
    assert [sorted(one.was_there for one in each) for each in made.values()] == [[False] + [True] * 5] * len(KEYS)
    paths = {Path(one.path) for each in made.values() for one in each}
    assert {path.name for path in tmp_path.iterdir()} == {*(path.name for path in paths), ".publishing.lock"}
    assert {path.read_text(encoding="utf-8") for path in paths} == {page_of(POST)}


def test_of_two_posts_at_the_same_time_under_one_key_one_is_refused(tmp_path: Path) -> None:
    """Whoever is second gets an error, also if the title, and so the file's name, is another."""

    def attempt(number: int) -> Published | None:
        post = POST.model_copy(update={"title": f"Tides {number % WRITERS}"})
        try:
            return put(str(tmp_path), post, KEYS[number // WRITERS])
        except FileExistsError:
            return None

    with ThreadPoolExecutor(WRITERS) as pool:
        made = [one for one in pool.map(attempt, range(WRITERS * len(KEYS))) if one is not None]
    assert {Path(one.path): page_of(one.post) for one in made} == {
        path: path.read_text(encoding="utf-8") for path in tmp_path.glob("*.md")
    }
    assert len(made) == len(KEYS)


@pytest.mark.parametrize(
    "title",
    ["../../etc/passwd", "a/b\\c", "..", "\u6f6e\u6c50" * 34, "\U0001f30a" * 60, "CON: a|b?*", "\U00020000" * 69],
)
def test_a_title_leads_nowhere_else(tmp_path: Path, title: str) -> None:
    """The file is in the folder, whatever the title and its length."""
    made = Path(put(str(tmp_path / "site"), POST.model_copy(update={"title": title}), "key").path)
    assert made.parent == tmp_path / "site"
    assert made.is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_the_site_is_read_back(tmp_path: Path) -> None:
    """It has titles, and tags by frequency; a missing folder is an empty site."""
    assert look_at(str(tmp_path / "nowhere")) == Site()
    put(str(tmp_path), POST, "1")
    put(str(tmp_path), POST.model_copy(update={"title": "Ebb", "tags": ["ebb", "sea", "sun"]}), "2")
    site = look_at(str(tmp_path))
    assert sorted(site.titles) == ["Ebb", POST.title]
    assert site.tags == ["sea", "coast: north", "ebb", "moon", "sun"]


@pytest.mark.parametrize(
    ("page", "titles", "tags"),
    [
        ("---\ntitle: Plain words\ntags: [a, b]\n---\n", ["Plain words"], ["[a, b]"]),
        ("---\ntitle: 'Quoted'\ntags:\n  - a\n---\n", ["Quoted"], []),
        ("---\ntitle: 42\ntags: 7\n---\n", [], []),
        ("title: no front matter\n", [], []),
        ("---\ntitle: never ends\n", ["never ends"], []),
        ("", [], []),
        ('\ufeff---\r\ntitle: "BOM"\r\n---\r\n', ["BOM"], []),
    ],
)
def test_files_of_others_are_read_as_far_as_they_go(
    tmp_path: Path, page: str, titles: list[str], tags: list[str]
) -> None:
    """Files of others are read as far as they can be, and cause no errors."""
    (tmp_path / "a.md").write_bytes(page.encode())
    (tmp_path / "b.md").write_bytes(b"---\ntitle: \xff\xfe\n")
    (tmp_path / "c.md").mkdir()
    site = look_at(str(tmp_path))
    assert ([title for title in site.titles if "\ufffd" not in title], site.tags) == (titles, tags)
