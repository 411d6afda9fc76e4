import datetime
import enum
import io
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from pydantic import BaseModel

from graphengine import Media, TextFile
from graphengine.agents.sources import web
from graphengine.cli.inputs import forms_of, parse_pairs, state_from
from graphengine.errors import InputError
from tests.cli.programs import Invoke, document
from tests.kit.pages import Page, serving


class Color(enum.Enum):
    RED = "red"


class Item(BaseModel):
    x: int = 1


PNG: Final = b"\x89PNG\r\n\x1a\n"


class State(BaseModel):
    text: str = ""
    maybe: str | None = None
    number: int = 0
    yes: bool = False
    price: Decimal = Decimal(0)
    day: datetime.date | None = None
    color: Color = Color.RED
    size: Literal["s", "m"] = "s"
    either: str | int = 0
    anything: Any = None
    item: Item = Item()
    items: list[Item] = []
    words: list[str] = []
    numbers: set[int] = set()
    nothing: list[int] | None = []
    file: TextFile | None = None
    files: list[TextFile] = []
    picture: Media | None = None
    pictures: list[Media] = []


LIMITED: Final = """
from pydantic import BaseModel, Field
from graphengine import END, START, Graph

class State(BaseModel):
    budget: int
    draft: str
    score: int = Field(default=0, le=10)

graph = Graph("limited", State)
graph.add_node("a")
graph.add_path(START, "a", END)
"""


def parsed(*pairs: str) -> dict[str, object]:
    """Return the values of these pairs for the state above."""
    return parse_pairs(pairs, forms_of(State), "--input")


@pytest.mark.parametrize("text", ["[1]", "null", "5", '"quoted"', "a=b", "", " x "])
def test_a_text_is_never_parsed(text: str) -> None:
    """A text field receives its value unchanged."""
    assert parsed(f"text={text}", f"maybe={text}") == {"text": text, "maybe": text}


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("number=3", 3),
        ("yes=true", True),
        ('item={"x": 2}', {"x": 2}),
        ("day=2024-02-29", "2024-02-29"),
        ("color=red", "red"),
        ("size=m", "m"),
        ("price=0.1234567890123456789", "0.1234567890123456789"),
        ("either=12", 12),
        ("either=twelve", "twelve"),
        ("anything=[1, null]", [1, None]),
        ("nothing=null", None),
    ],
)
def test_other_values_are_read_by_the_type_of_their_field(pair: str, value: object) -> None:
    """Numbers, objects and lists are read as JSON; a field whose values are all texts gets plain text."""
    assert list(parsed(pair).values()) == [value]


def test_a_repeated_key_appends_to_a_list() -> None:
    """A list takes an item for each time its key is given, or a whole JSON array."""
    found = parsed("words=a", "words=b]", "words=c d", "numbers=1", "numbers=[2, 3]", 'items={"x": 7}')
    assert found == {"words": ["a", "b]", "c d"], "numbers": [1, 2, 3], "items": [{"x": 7}]}


def test_a_file_is_read_by_the_type_of_its_field(tmp_path: Path) -> None:
    """`@file` is a TextFile, a text, or JSON, by the field; a list gets one item of it."""
    note, data = tmp_path / "note.md", tmp_path / "data.json"
    note.write_text("hello\n")
    data.write_text("[1, 2]")
    whole = TextFile(path=str(note), text="hello\n")
    found = parsed(f"text=@{note}", f"file=@{note}", f"files=@{note}", f"words=@{note}", f"numbers=@{data}")
    assert found == {"text": "hello\n", "file": whole, "files": [whole], "words": ["hello\n"], "numbers": [1, 2]}


def test_a_whole_state_comes_from_a_file_or_stdin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`@FILE`, or `-`, without a key is a JSON object of fields; further fields can be given, none twice."""
    state = tmp_path / "state=1.json"
    state.write_text('{"text": "@ann", "numbers": [1]}')
    assert parsed(f"@{state}", "words=b") == {"text": "@ann", "numbers": [1], "words": ["b"]}
    monkeypatch.setattr("sys.stdin", io.StringIO('{"number": 2}'))
    assert parsed("-") == {"number": 2}
    for text, message in (
        ('{"numbr": 1}', "unknown input 'numbr'"),
        ('{"@none.json": 1}', "unknown input '@none.json'"),  # a key is a name, not an option
        ('{"text=b": 1}', "unknown input 'text=b'"),
        ("[1]", "no object of fields"),
        ("{", "invalid JSON"),
    ):
        state.write_text(text)
        with pytest.raises(InputError, match=message) as caught:
            parsed(f"@{state}")
        assert caught.value.repair
    state.write_text('{"text": "a"}')
    with pytest.raises(InputError, match="'text' is given twice"):
        parsed("text=b", f"@{state}")


def test_json_can_be_given_to_any_field(tmp_path: Path) -> None:
    """`key:=value` is JSON, also for a text; so it can be None, and a list can be given whole."""
    (tmp_path / "data.json").write_text('{"x": 5}')
    found = parsed("maybe:=null", 'text:="null"', 'words:=["[1]"]', "words=b", f"item:=@{tmp_path / 'data.json'}")
    assert found == {"maybe": None, "text": "null", "words": ["[1]", "b"], "item": {"x": 5}}


def test_a_literal_at_is_written_twice() -> None:
    """`@@ann` is the text `@ann`, also as an item of a list."""
    assert parsed("text=@@ann", "words=@@bob") == {"text": "@ann", "words": ["@bob"]}


@pytest.mark.parametrize(
    ("pairs", "message", "repair"),
    [
        (["numbr=1"], "unknown input 'numbr'", "did you mean 'number'?"),
        (["number=three"], "invalid JSON", "write a number"),
        (["number=NaN"], "invalid JSON", "write a number"),
        (["yes=True"], "invalid JSON", "true or false"),
        (["item={x: 1}"], "invalid JSON", "key=@file"),
        (["anything=word"], "invalid JSON", "quotes"),
        (["file=notes.md"], "invalid JSON", "key=@file"),
        (["text"], "no '='", "key=value"),
        (["text=@missing.md"], "cannot be read", "@@"),
        (["maybe:=nul"], "invalid JSON", "quotes"),
        (["numbr:=1"], "unknown input 'numbr'", "did you mean 'number'?"),
        (["words=[1,2"], "invalid JSON", "each item"),
        (["words=a", "words:=[]"], "given twice", "once"),
        (["number=1", "number=2"], "given twice", "once"),
    ],
)
def test_an_invalid_input_is_reported_with_the_syntax(pairs: list[str], message: str, repair: str) -> None:
    """Each mistake in an input has a message with the syntax, and a repair."""
    with pytest.raises(InputError) as caught:
        parsed(*pairs)
    assert message in caught.value.message
    assert repair in caught.value.repair


def test_all_invalid_inputs_are_reported_at_once(project: Path, invoke: Invoke) -> None:
    """What cannot be read, and what is misspelt."""
    (project / "limited.py").write_text(LIMITED)
    pairs = [word for pair in ("budget=many", "draf=@none") for word in ("--input", pair)]
    found = invoke("run", "limited.py", *pairs, "--json")
    error = document(found.stdout)["error"]
    assert (found.exit_code, error["message"].count("; ")) == (2, 1)
    for text in ("budget=many: the value is invalid JSON", "unknown input 'draf'"):
        assert text in error["message"]
    assert error["repair"] == "write a number; did you mean 'draft'?"


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """A file that is not UTF-8 is refused."""
    (tmp_path / "picture").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8 text"):
        parsed(f"text=@{tmp_path / 'picture'}")


def test_a_file_of_a_picture_is_media(tmp_path: Path) -> None:
    """A picture's file is media for a field of media, and for a list of them; another file is refused."""
    photo = tmp_path / "photo.png"
    photo.write_bytes(PNG)
    media = Media(data=PNG, name="photo.png")
    pairs = (f"picture=@{photo}", f"pictures=@{photo}", f"pictures=@{photo}")
    values = parsed(*pairs)
    assert values == {"picture": media, "pictures": [media, media]}
    assert state_from(State, values).picture == media
    (tmp_path / "notes.md").write_text("hello")
    for name, message in (("notes.md", "is not a picture"), ("missing.png", "cannot be read")):
        with pytest.raises(InputError, match=message):
            parsed(f"picture=@{tmp_path / name}")


def test_values_are_validated_as_json() -> None:
    """A strict state accepts from the command line what it accepts from JSON."""

    class Strict(BaseModel, strict=True):
        pair: tuple[int, str] = (0, "")
        day: datetime.date | None = None

    values = parse_pairs(['pair=[1, "a"]', "day=2024-02-29"], forms_of(Strict), "--input")
    assert state_from(Strict, values) == Strict(pair=(1, "a"), day=datetime.date(2024, 2, 29))


def test_a_missing_field_is_named_in_the_repair() -> None:
    """A missing required field is reported with the option to add."""

    class Needy(BaseModel):
        task: str

    with pytest.raises(InputError) as caught:
        state_from(Needy, {})
    assert caught.value.repair == "--input task=…"


def test_a_file_of_any_kind_is_read_for_a_text_file_field(tmp_path: Path) -> None:
    """A page becomes Markdown as a TextFile; a text field takes the file unchanged."""
    page = tmp_path / "page.html"
    page.write_text("<h1>Tides</h1><p>They turn.</p>")
    found = parsed(f"file=@{page}", f"text=@{page}")
    assert found["file"] == TextFile(path=str(page), text="# Tides\n\nThey turn.\n")
    assert found["text"] == "<h1>Tides</h1><p>They turn.</p>"


def test_a_folder_adds_its_files_to_a_list_with_a_note(tmp_path: Path) -> None:
    """The note says what was left out; a field of one file refuses a folder."""
    (tmp_path / "b.md").write_text("B")
    (tmp_path / "a.csv").write_text("A")
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\0")
    notes: list[str] = []
    found = parse_pairs([f"files=@{tmp_path}"], forms_of(State), "--input", notes)
    assert found == {
        "files": [TextFile(path=(tmp_path / n).as_posix(), text=t) for n, t in (("a.csv", "A"), ("b.md", "B"))]
    }
    assert len(notes) == 1
    assert "2 files were read, 1 left out" in notes[0]
    assert "photo.png" in notes[0]
    with pytest.raises(InputError, match="is a folder"):
        parsed(f"file=@{tmp_path}")


def test_an_unreadable_source_is_an_error_at_its_option() -> None:
    """The error names the option; only a missing file could be a text that begins with @."""
    with pytest.raises(InputError) as caught:
        parsed("files=@missing.pdf")
    assert caught.value.where == "--input files=@missing.pdf"
    assert "@@" in caught.value.repair


@pytest.mark.parametrize("pair", ["file", "files"])
def test_an_address_is_the_page_for_a_text_file_field(pair: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTML becomes Markdown whose path is the address; for a text field an address is a text."""
    pytest.importorskip("html_to_markdown")
    monkeypatch.setattr(web, "PRIVATE", {"127.0.0.1"})
    with serving({"/tides": Page("<title>Tides</title><p>The moon pulls.</p>")}) as site:
        url = f"{site.address}/tides"
        found = parse_pairs([f"{pair}={url}"], forms_of(State), "--input")[pair]
        (page,) = found if isinstance(found, list) else [found]
        assert isinstance(page, TextFile)
        assert (page.path, "The moon pulls." in page.text) == (url, True)
        assert parse_pairs([f"text={url}"], forms_of(State), "--input") == {"text": url}
        assert site.asked == ["/tides"]


def test_an_address_is_the_picture_for_a_field_of_media(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a field of media an address is the picture, fetched once before the run."""
    monkeypatch.setattr(web, "PRIVATE", {"127.0.0.1"})
    with serving({"/photo.png": Page(PNG, "image/png")}) as site:
        url = f"{site.address}/photo.png"
        found = parse_pairs([f"picture={url}", f"pictures={url}"], forms_of(State), "--input")
    media = Media(data=PNG, name="photo.png")
    assert found == {"picture": media, "pictures": [media]}


def test_an_address_of_this_network_is_refused() -> None:
    """The error is at the option, and nothing is asked."""
    with serving({"/tides": Page("text")}) as site:
        with pytest.raises(InputError, match="is an address of a private network") as caught:
            parse_pairs([f"files={site.address}/tides"], forms_of(State), "--input")
        assert site.asked == []
    assert caught.value.where.startswith("--input files=http://127.0.0.1")


def test_a_page_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason."""
    monkeypatch.setattr(web, "PRIVATE", {"127.0.0.1"})
    with serving({}) as site, pytest.raises(InputError, match="status 404"):
        parse_pairs([f"files={site.address}/gone"], forms_of(State), "--input")
