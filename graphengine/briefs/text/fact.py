"""A sentence of a source, with its place."""

from pydantic import BaseModel, ConfigDict, Field


class Fact(BaseModel):
    """One sentence of a source, word for word apart from its markup.

    Args:
        text: The sentence; code keeps its backticks, other markup is removed.
        file: The path of the source, as given.
        line: The line of the source on which the sentence starts, from 1.
        rank: Its place among all statements of the sources by centrality; 1 is the most central.
        position: Its place among them in reading order, from 0; distinguishes two facts on one line.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    file: str
    line: int = Field(ge=1)
    rank: int = Field(default=1, ge=1)
    position: int = Field(default=0, ge=0)

    @property
    def key(self) -> tuple[str, int, str]:
        """The identity of the fact, independent of its rank."""
        return self.file, self.line, self.text
