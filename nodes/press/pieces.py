"""What passes between the stages of the press: a piece, and what each stage adds to it."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic.json_schema import WithJsonSchema

from graphengine import TextFile
from nodes.passages import Passage

CHARACTERS: Final = {"title": (1, 69), "description": (150, 160)}
"""The least and the most: a title is under 70 characters, and search engines show some 160 of a description."""
TAGS: Final = (3, 5)


def _line(name: str) -> WithJsonSchema:
    least, most = CHARACTERS[name]
    return WithJsonSchema({"type": "string", "minLength": least, "maxLength": most})


class Edited(BaseModel):
    """The editor's result.

    Attributes:
        text: The whole text as Markdown.
        changes: The changes that matter, a sentence each.
    """

    text: str = Field(min_length=1)
    changes: list[str] = []


class Listing(BaseModel):
    """The publisher's result: how a post is listed.

    Attributes:
        title: Under 70 characters.
        description: 150 to 160 characters, for lists and search engines.
        tags: 3 to 5.
    """

    model_config = ConfigDict(frozen=True)

    title: Annotated[str, _line("title")]
    description: Annotated[str, _line("description")]
    tags: list[str] = Field(min_length=TAGS[0], max_length=TAGS[1])

    @field_validator("title", "description")
    @classmethod
    def _fits(cls, text: str, info: ValidationInfo) -> str:
        """Return the text as one line; a model that cannot count is told by how much it missed."""
        least, most = CHARACTERS[str(info.field_name)]
        line = " ".join(text.split())
        if not least <= len(line) <= most:
            wrong = f"{least - len(line)} too few" if len(line) < least else f"{len(line) - most} too many"
            raise ValueError(f"has {len(line)} characters and needs {least} to {most}: {wrong}")
        return line


class Post(Listing):
    """A post: its listing, and what readers get.

    Attributes:
        body: The text as Markdown, without its title, with footnotes for what it cites.
        sources: The titles of the cited sources.
    """

    body: str
    sources: list[str]


class Piece(BaseModel):
    """A piece: the order, and what each stage has added.

    Attributes:
        topic: What it is about; an item for each of several points, as "- What does it cost?".
        sources: What it rests on; without any, what a model finds on the web, or knows.
        word_budget: The most words.
        findings: What the sources say.
        draft: The text, first the writer's, then the editor's.
        changes: What the editor changed.
        output: The draft with a note on what rests on no source.
        post: What readers get.
    """

    topic: str = Field(min_length=1, pattern=r"\S")
    sources: list[TextFile] = []
    word_budget: int = Field(default=400, ge=100)
    findings: list[Passage] = []
    draft: str = ""
    changes: list[str] = []
    output: str = ""
    post: Post | None = None
