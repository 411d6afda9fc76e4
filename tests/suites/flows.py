"""The graphs that the clients of suites call: one that replies, one that fails, one that asks, and a chat."""

from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, ask


class Text(BaseModel):
    """Say a text again."""

    text: str
    said: str = ""


def fails(text: str) -> str:
    """Fail."""
    raise ValueError(f"cannot say {text}")


echo = Graph("echo", Text, result="said")
echo.add_node("say", lambda text: f"You said: {text}", writes="said", thread=False)
echo.add_path(START, "say", END)

broken = Graph("broken", Text, result="said")
broken.add_node("fails", fails, writes="said", thread=False)
broken.add_path(START, "fails", END)


class Post(BaseModel):
    """Publish a post, once a person agrees."""

    title: str
    approved: bool = False


posts = Graph("posts", Post, result="approved")
posts.add_node("approve", ask("Publish {title}?", bool), writes="approved")
posts.add_path(START, "approve", END)

helper = Graph.chat(Agent("helper", by_rules=lambda question: f"You said: {question}"))
