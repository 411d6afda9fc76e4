from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from graphengine.briefs.publishing import CHARACTERS, Listing, Post
from nodes.press.stages import Edited, Manuscript

GOOD = {"title": "Tides", "description": "d" * 150, "tags": ["sea", "moon", "sun"]}


def test_the_longest_and_the_shortest_that_fit_are_taken() -> None:
    """A title of 1 and of 69 characters, a description of 150 and of 160, 3 tags and 5."""
    for title, description, tags in (("T", "d" * 150, "abc"), ("T" * 69, "d" * 160, "abcde")):
        listed = Listing(title=title, description=description, tags=list(tags))
        assert (listed.title, listed.description, listed.tags) == (title, description, list(tags))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"title": "T" * 70}, "has 70 characters and needs 1 to 69: 1 too many"),
        ({"title": " \n "}, "has 0 characters and needs 1 to 69: 1 too few"),
        ({"title": "a\x1b[31mred"}, "has control characters"),
        ({"description": "d" * 149}, "has 149 characters and needs 150 to 160: 1 too few"),
        ({"description": "d" * 163}, "has 163 characters and needs 150 to 160: 3 too many"),
        ({"tags": ["sea", "moon"]}, "there are 2 different tags, but there must be 3 to 5"),
        ({"tags": ["sea", "Sea", "moon"]}, "there are 2 different tags"),
        ({"tags": list("abcdef")}, "there are 6 different tags"),
        ({"tags": ["sea", "moon", "x" * 41]}, "a tag has 1 to 40 characters"),
        ({"tags": ["sea", "moon", " "]}, "a tag has 1 to 40 characters"),
    ],
)
def test_an_invalid_length_is_reported_with_its_size(changes: dict[str, object], message: str) -> None:
    """The author learns by how much to change it."""
    with pytest.raises(ValidationError) as raised:
        Listing.model_validate({**GOOD, **changes})
    assert message in str(raised.value)


def test_line_breaks_become_blanks_before_anything_is_counted() -> None:
    """A title is one line, and invisible blanks do not count."""
    listed = Listing(title="The\n  tides", description="d " * 75 + "   d", tags=[" the  sea", "sun", "moon"])
    assert (listed.title, len(listed.description), listed.tags[0]) == ("The tides", 151, "the sea")


def test_a_provider_gets_the_limits() -> None:
    """The JSON Schema of a listing has them, and that of an edited text has only the model's fields."""
    fields = Listing.model_json_schema()["properties"]
    assert (fields["description"]["minLength"], fields["description"]["maxLength"]) == CHARACTERS["description"]
    assert (fields["title"]["maxLength"], fields["tags"]["minItems"], fields["tags"]["maxItems"]) == (69, 3, 5)
    assert list(Edited.model_json_schema()["properties"]) == ["text", "changes"]


def test_a_post_has_a_time_with_its_zone() -> None:
    """A post's time has its zone, and is not a placeholder."""
    post = Post.model_validate({**GOOD, "body": "Text.", "sources": [], "published_at": "2026-03-01T12:00:00Z"})
    assert post.published_at == datetime(2026, 3, 1, 12, tzinfo=UTC)
    for time in ("{{published_at}}", "2026-03-01T12:00:00", ""):
        with pytest.raises(ValidationError):
            Post.model_validate({**GOOD, "body": "Text.", "sources": [], "published_at": time})


@pytest.mark.parametrize("made", [Manuscript, Edited])
@pytest.mark.parametrize("text", ["", " \n"])
def test_nothing_is_no_text(made: type[Manuscript] | type[Edited], text: str) -> None:
    """An agent that returns nothing has failed."""
    with pytest.raises(ValidationError):
        made(text=text)
