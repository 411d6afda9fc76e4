from pydantic import BaseModel

from graphengine import END, START, Graph
from graphengine.patterns import Critique, SelfReflection, self_reflection
from tests.patterns.scripted import named

WRITE = named("write", "{task} {draft} {critiques[-1].flaws}")
REFLECT = named("reflect", "{draft}", Critique)
AGAIN, GOOD = Critique(verdict="revise", flaws=["dull"]), Critique(verdict="accept")


class Toned(SelfReflection):
    tone: str = "plain"


class Piece(BaseModel):
    draft: str = "A title"


INNER = self_reflection(named("write", "{tone} {task}"), REFLECT, state=Toned)
OUTER = self_reflection(INNER, REFLECT.but(name="outer"), revise=named("fix", "{draft}"), state=Toned)
TITLED = Graph("titled", Piece, result="draft")
TITLED.add_node("write", lambda draft: f"{draft}, a text", writes="draft")
TITLED.add_path(START, "write", END)
