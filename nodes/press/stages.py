"""What goes from hand to hand until a post is published: each stage's result has a type that the next one reads.

Findings (see `article.py`), then a `Manuscript`, an `Edited` text, a `Listing`, and at the end a `Post`. The limits
of a post stand here once, as constraints of the types: a model whose answer breaks one is told by how much.
"""

import unicodedata
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic.json_schema import SkipJsonSchema

from graphengine import Failure, TextFile
from nodes.review.article import Findings

CHARACTERS: Final = {"title": (1, 69), "description": (150, 160)}
"""The least and the most characters: a title is under 70, and search engines show some 160 of a description."""
TAGS: Final = (3, 5)
TAG_CHARACTERS: Final = 40
_NO_TEXT: Final = frozenset(["Cc", "Zl", "Zp", "Cs"])  # line breaks, control characters, halves of characters


LEAST_WORDS: Final = 120
"""Of a text: what rules write has a title, an introduction, a claim and its sources."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Manuscript(_Frozen):
    """What the writer hands to the editor.

    Args:
        text: the text as Markdown, its title after #.
        open_questions: what was asked for and could not be answered from the findings.
    """

    text: str = Field(min_length=1, pattern=r"\S")
    open_questions: list[str] = []


class Edited(_Frozen):
    """What the editor hands on.

    Args:
        text: the text as Markdown.
        changes: what was changed, or why nothing was.
        is_edited: False where the editor failed and this is the writer's text. No model is asked for it.
    """

    text: str = Field(min_length=1, pattern=r"\S")
    changes: list[str] = []
    is_edited: SkipJsonSchema[bool] = True


class Site(_Frozen):
    """What the place to publish at has already.

    Args:
        titles: the titles of its posts.
        tags: the tags of its posts, the most used ones first.
    """

    titles: list[str] = []
    tags: list[str] = []


class Listing(_Frozen):
    """What a post is listed with: what the publisher adds to the text.

    Args:
        title: under 70 characters.
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
            raise ValueError(f"there are {len(once)} different tags, and there must be {least} to {most}")
        if bad := [tag for tag in once if not 1 <= len(tag) <= TAG_CHARACTERS]:
            raise ValueError(f"a tag has 1 to {TAG_CHARACTERS} characters, and these do not: {bad}")
        return once


class Post(Listing):
    """A post as it is published.

    Args:
        body: the text as Markdown, without its title; it cites by footnotes.
        sources: the titles of the sources that the body cites.
        published_at: when it was published.
    """

    body: str = Field(min_length=1, pattern=r"\S")
    sources: list[str]
    published_at: AwareDatetime


class Parcel(BaseModel):
    """A piece on its way between hands that share no state: what was ordered, and what each made of it.

    Args:
        topic, sources, word_budget, wishes: what was ordered.
        site: what is published already.
        findings, manuscript, edited, listing: what each hand made.
        failure: why one could make nothing of it; those behind leave it alone.
    """

    topic: str = Field(min_length=1, pattern=r"\S")
    sources: list[TextFile] = []
    word_budget: int = Field(default=400, ge=LEAST_WORDS)
    wishes: list[str] = []
    site: Site = Site()
    findings: Findings = Findings()
    manuscript: Manuscript | None = None
    edited: Edited | None = None
    listing: Listing | None = None
    failure: Failure | None = None


class Published(_Frozen):
    """A post and where it stands.

    Args:
        post: the post.
        path: the file.
        was_there: whether an attempt before this one had written it, and died before that was recorded.
    """

    post: Post
    path: str
    was_there: bool = False
