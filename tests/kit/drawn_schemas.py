"""Random JSON Schemas of pydantic's types, and the same schemas with their definitions elsewhere."""

from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, create_model
from typing_extensions import TypedDict

# Types are values here.
MADE: Any = create_model
TYPED: Any = TypedDict
ADAPTER: Any = TypeAdapter
LIST: Any = list
DICT: Any = dict
TUPLE: Any = tuple


class Tree(BaseModel):
    """A model that contains itself."""

    word: str = Field(default="leaf", min_length=1)
    below: "list[Tree]" = []


class Left(BaseModel):
    """One of two models that contain each other."""

    other: "Right | None" = None
    count: Annotated[int, Field(ge=0, le=9)]


class Right(BaseModel):
    """The other one."""

    lefts: list[Left]


Left.model_rebuild()
PLAIN: Final[tuple[Any, ...]] = (
    str,
    int,
    float,
    bool,
    type(None),
    Literal["a", "b"],
    Literal[1],
    Annotated[str, Field(min_length=3)],
)
PLACES: Final = ("plain", "a/b", "a~b", "50% off", "~1", "%2F", "", "ä b", "$defs")
"""Names that definitions get, which a pointer writes with escapes."""


def wider(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return types made of these."""
    names = st.sampled_from(["a/b", "~0", "x", "y%"])
    return (
        inner.map(lambda kind: LIST[kind])
        | inner.map(lambda kind: DICT[str, kind])
        | st.tuples(inner, inner).map(lambda kinds: kinds[0] | kinds[1] if kinds[0] != kinds[1] else kinds[0])
        | st.tuples(inner, inner).map(lambda kinds: TUPLE[kinds[0], kinds[1]])
        | st.dictionaries(names, inner, min_size=1, max_size=2).map(lambda kinds: TYPED("Typed", kinds))
        | st.tuples(inner, inner).map(lambda kinds: MADE("Made", one=(kinds[0], ...), two=(kinds[1] | None, None)))
        | inner.map(lambda kind: MADE("Described", one=(kind, Field(description="which one"))))
    )


TYPES: Final[st.SearchStrategy[Any]] = st.recursive(st.sampled_from([*PLAIN, Tree, Left, Right]), wider, max_leaves=5)


def pointer(*steps: str) -> str:
    """Return a reference to a place in a schema."""
    return "#" + "".join("/" + quote(each.replace("~", "~0").replace("/", "~1"), safe="~") for each in steps)


def moved(schema: dict[str, Any], names: dict[str, str], shelf: str | None) -> dict[str, Any]:
    """Return a schema with its definitions under other names, those inside another one if there is a shelf."""

    def place(name: str) -> tuple[str, ...]:
        return ("$defs", names[name]) if shelf is None else ("$defs", shelf, "$defs", names[name])

    references = {f"#/$defs/{name}": pointer(*place(name)) for name in names}

    def copied(part: Any) -> Any:
        if isinstance(part, dict):
            return {
                key: references.get(each, each) if key == "$ref" else copied(each)
                for key, each in part.items()
                if part is not schema or key != "$defs"
            }
        return [copied(each) for each in part] if isinstance(part, list) else part

    kept = {names[name]: copied(each) for name, each in schema.get("$defs", {}).items()}
    held = kept if shelf is None else {shelf: {"$defs": kept}}
    return {**copied(schema), **({"$defs": held} if kept else {})}


@st.composite
def schema_pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Draw a schema, and one that says the same, with its definitions elsewhere."""
    schema = ADAPTER(draw(TYPES)).json_schema()
    known = list(schema.get("$defs", {}))
    places = draw(st.permutations(PLACES))
    shelf = draw(st.none() | st.sampled_from(["shelf", "a/b~c%"]))
    return schema, moved(schema, dict(zip(known, [*places, *map(str, range(len(known)))], strict=False)), shelf)
