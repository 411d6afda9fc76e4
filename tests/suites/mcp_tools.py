"""The graphs that the MCP conformance suite calls as tools, by the names that it gives them."""

import asyncio
from typing import Any, Literal

from pydantic import BaseModel, Field

from graphengine import END, START, Graph, ask


class Nothing(BaseModel):
    """A tool of the suite."""

    said: str = ""


def fails() -> str:
    """Fail."""
    raise ValueError("This tool intentionally returns an error for testing")


async def pause() -> None:
    """Take a moment."""
    await asyncio.sleep(0)


simple = Graph("test_simple_text", Nothing, result="said")
simple.add_node("say", lambda: "This is a simple text response for testing.", writes="said", thread=False)
simple.add_path(START, "say", END)

broken = Graph("test_error_handling", Nothing, result="said")
broken.add_node("fails", fails, writes="said", thread=False)
broken.add_path(START, "fails", END)

progress = Graph("test_tool_with_progress", Nothing, result="said")
for name in ("first", "second", "third"):
    progress.add_node(name, pause)
progress.add_node("say", lambda: "done", writes="said", thread=False)
progress.add_path(START, "first", "second", "third", "say", END)


class Person(BaseModel):
    """Who answers."""

    username: str = Field(description="User's response")
    email: str = Field(description="User's email address")


class Message(BaseModel):
    """Ask a person."""

    message: str
    answer: Person | None = None


asks = Graph("test_elicitation", Message, result="answer")
asks.add_node("ask", ask("{message}", Person), writes="answer")
asks.add_path(START, "ask", END)


class Defaults(BaseModel):
    """Values of each plain type, each with a default."""

    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: Literal["active", "inactive", "pending"] = "active"
    verified: bool = True


class WithDefaults(BaseModel):
    """Ask with defaults."""

    answer: Defaults | None = None


defaults = Graph("test_elicitation_sep1034_defaults", WithDefaults, result="answer")
defaults.add_node("ask", ask("Is this so?", Defaults), writes="answer")
defaults.add_path(START, "ask", END)

Plain = Literal["option1", "option2", "option3"]


def titled(*titles: str) -> Any:
    """Return choices with titles."""
    return [{"const": f"value{number}", "title": title} for number, title in enumerate(titles, 1)]


class Choices(BaseModel):
    """The five forms of choices."""

    untitledSingle: Plain  # noqa: N815 - the suite's name, as those below
    titledSingle: str = Field(json_schema_extra={"oneOf": titled("First Option", "Second Option", "Third Option")})  # noqa: N815
    legacyEnum: Literal["opt1", "opt2", "opt3"] = Field(  # noqa: N815
        json_schema_extra={"enumNames": ["Option One", "Option Two", "Option Three"]}
    )
    untitledMulti: list[Plain]  # noqa: N815
    titledMulti: list[str] = Field(  # noqa: N815
        json_schema_extra={"items": {"anyOf": titled("First Choice", "Second Choice", "Third Choice")}}
    )


class WithChoices(BaseModel):
    """Ask for choices."""

    answer: Choices | None = None


choices = Graph("test_elicitation_sep1330_enums", WithChoices, result="answer")
choices.add_node("ask", ask("Which?", Choices), writes="answer")
choices.add_path(START, "ask", END)


class Street(BaseModel):
    """Where somebody lives."""

    model_config = {"title": "address"}
    street: str = ""
    city: str = ""


Street.__name__ = Street.__qualname__ = "address"


class Named(BaseModel):
    """Tool with JSON Schema 2020-12 features."""

    name: str = ""
    address: Street | None = None
    said: str = ""


schemas = Graph("json_schema_2020_12_tool", Named, result="said")
schemas.add_node("say", lambda name: name, writes="said", thread=False)
schemas.add_path(START, "say", END)


class Username(BaseModel):
    """A name."""

    name: str


class Color(BaseModel):
    """A color."""

    color: str


class Sure(BaseModel):
    """Whether somebody is sure."""

    ok: bool


class Answers(BaseModel):
    """What was answered, one after the other."""

    user_name: Username | None = None
    color: Color | None = None
    confirm: Sure | None = None
    said: str = ""


def asking(name: str, **kinds: type[BaseModel]) -> Graph[Answers]:
    """Return a tool that asks one thing after the other; the names of the nodes are the keys of what is asked."""
    made = Graph(name, Answers, result="said")
    for field, kind in kinds.items():
        made.add_node(field, ask(f"{field}?", kind), writes=field)
    made.add_node("say", lambda: "done", writes="said", thread=False)
    made.add_path(START, *kinds, "say", END)
    return made


elicits = asking("test_input_required_result_elicitation", user_name=Username)
keeps_state = asking("test_input_required_result_request_state", confirm=Sure)
tampered = asking("test_input_required_result_tampered_state", confirm=Sure)
rounds = asking("test_input_required_result_multi_round", user_name=Username, color=Color)
streams = asking("test_streaming_elicitation", user_name=Username)
logs = asking("test_logging_tool")
