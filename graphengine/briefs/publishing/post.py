"""A post and what a site has already: the limits of a post are constraints of its type.

If a model's answer breaks one, the message says by how much.
"""

import unicodedata
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

CHARACTERS: Final = {"title": (1, 69), "description": (150, 160)}
"""The minimum and maximum: a title is under 70 characters, and search engines show some 160 of a description."""
TAGS: Final = (3, 5)
TAG_CHARACTERS: Final = 40
_NO_TEXT: Final = frozenset(["Cc", "Zl", "Zp", "Cs"])  # line breaks, control characters, lone surrogates


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Site(_Frozen):
    """The posts that are already on the site.

    Args:
        titles: The titles of its posts.
        tags: The tags of its posts, the most used ones first.
    """

    titles: list[str] = []
    tags: list[str] = []


class Listing(_Frozen):
    """The publisher's result: how a post is listed.

    Args:
        title: Under 70 characters.
        description: 150 to 160 characters, for lists and search engines.
        tags: 3 to 5 different ones.
    """

    title: Annotated[str, Field(json_schema_extra={"maxLength": CHARACTERS["title"][1]})]
    description: Annotated[
        str,
        Field(json_schema_extra=dict(zip(("minLength", "maxLength"), CHARACTERS["description"], strict=True))),
    ]
    tags: Annotated[list[str], Field(json_schema_extra=dict(zip(("minItems", "maxItems"), TAGS, strict=True)))]

    @field_validator("title", "description")
    @classmethod
    def _fits_a_line(cls, text: str, info: ValidationInfo) -> str:
        least, most = CHARACTERS[str(info.field_name)]
        line = " ".join(text.split())
        if any(unicodedata.category(character) in _NO_TEXT for character in line):
            raise ValueError("has control characters")
        if not least <= len(line) <= most:
            wrong = f"{least - len(line)} too few" if len(line) < least else f"{len(line) - most} too many"
            raise ValueError(f"has {len(line)} characters and needs {least} to {most}: {wrong}")
        return line

    @field_validator("tags")
    @classmethod
    def _are_different(cls, tags: list[str]) -> list[str]:
        least, most = TAGS
        clean = [" ".join(tag.split()) for tag in tags]
        once = list({tag.casefold(): tag for tag in reversed(clean)}.values())[::-1]
        if not least <= len(once) <= most:
            raise ValueError(f"there are {len(once)} different tags, but there must be {least} to {most}")
        if bad := [tag for tag in once if not 1 <= len(tag) <= TAG_CHARACTERS]:
            raise ValueError(f"a tag has 1 to {TAG_CHARACTERS} characters, but these do not: {bad}")
        return once


class Post(Listing):
    """A published post.

    Args:
        body: The text as Markdown, without its title; its citations are footnotes.
        sources: The titles of the sources that the body cites.
        published_at: When it was published.
    """

    body: str = Field(min_length=1, pattern=r"\S")
    sources: list[str]
    published_at: AwareDatetime


class Published(_Frozen):
    """A post and its place.

    Args:
        post: The post.
        path: The file, or the address of the page; "" if the site names none.
        was_there: Whether an earlier attempt had written it, and died before that was recorded.
    """

    post: Post
    path: str
    was_there: bool = False
