"""The JSON document that `graphengine render --json` writes."""

from __future__ import annotations

from typing import Final

from graphengine.records.base_documents import Document
from graphengine.wings import Kind


class Drawn(Document):
    """The result of a command that drew a picture: the file with the picture.

    Attributes:
        file: The path of the file.
    """

    file: str


DOCUMENTS: Final = (Kind(Drawn),)
