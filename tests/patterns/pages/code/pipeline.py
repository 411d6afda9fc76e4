from pydantic import BaseModel

from graphengine import Node, Retry
from graphengine.patterns import pipeline
from tests.patterns.scripted import named


class Article(BaseModel):
    task: str
    tone: str = "plain"
    points: list[str] = []
    draft: str = ""


TRIED = []


def broken(text):
    TRIED.append(text)
    raise OSError(f"no editor, {len(TRIED)}")


POINTS = Node(named("find", "{task}", list[str]), writes="points")
EDIT = Node(
    broken, retry=Retry(attempts=2, initial_seconds=0), fallback=lambda text: f"{text}, tried {len(TRIED)} times"
)
INNER = pipeline({"one": named("one"), "two": named("two", "{text}")})
