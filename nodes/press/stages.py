"""The data passed between stages until a post is published: each stage's result has a type that the next one reads.

`graphengine.briefs.article.Findings`, then a `Manuscript`, an `Edited` text, a `Listing`, and at the end a `Post`; the
last two are in `graphengine.briefs.publishing`. The limits of a post are constraints of these types: if a model's
answer breaks one, the message says by how much.
"""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from graphengine import Failure, TextFile
from graphengine.briefs.article import Findings
from graphengine.briefs.publishing import Listing, Site

LEAST_WORDS: Final = 120
"""Of a text: enough for a title, an introduction, a claim and its sources."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Manuscript(_Frozen):
    """The writer's result.

    Args:
        text: The text as Markdown, its title after #.
        open_questions: What was requested and could not be answered from the findings.
    """

    text: str = Field(min_length=1, pattern=r"\S")
    open_questions: list[str] = []


class Edited(_Frozen):
    """The editor's result.

    Args:
        text: The text as Markdown.
        changes: The changes, or why there are none.
        is_edited: False if the editor failed and this is the writer's text. Not part of a model's answer.
    """

    text: str = Field(min_length=1, pattern=r"\S")
    changes: list[str] = []
    is_edited: SkipJsonSchema[bool] = True


class Parcel(BaseModel):
    """A piece on its way between agents that share no state: the order, and the result of each stage.

    Args:
        topic, sources, word_budget, wishes: The order.
        site: The posts that are already published.
        findings, manuscript, edited, listing: The results.
        failure: Why a stage failed; the later stages skip the piece.
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
