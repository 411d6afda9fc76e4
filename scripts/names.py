"""Print two shares of the names that the package gives, and the names behind them: `python -m scripts.names [WORD]`.

A function is a verb: the first share is of functions whose name begins with a participle, as `_listed`; a property is a
value and not counted. One name is one thing: the second share is of the definitions of module level, classes and
functions, whose name another module defines too. With a word, the places of the participles that begin with it are
printed, or of the name, if several modules define it. `tests/test_names.py` holds both at what they are.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGE: Final = ROOT / "graphengine"
IRREGULAR: Final = re.compile(
    "begun|bound|built|done|drawn|driven|found|fitted|forgotten|given|gone|grown|had|heard|held|hidden|kept|known|laid|"
    "led|left|lent|lost|made|meant|met|paid|proven|said|seen|sent|shown|sought|spent|spoken|stood|taken|taught|thought|"
    "told|understood|won|worn|written"
)
VERBS: Final = re.compile("feed|need|seed|speed|shed|embed|ping|ring|bring|string|thing")
"""Words that end as participles do, and are none."""


class Function(NamedTuple):
    """A function of the package, with its place. `is_value` is true of a property, whose name need not be a verb."""

    name: str
    place: str
    is_value: bool


class Shares(NamedTuple):
    """The counts from which the two shares are computed.

    Attributes:
        functions: The number of functions whose names must be verbs.
        participles: The functions among them whose names begin with a participle.
        definitions: The number of classes and functions at the top level of modules.
        repeated: The names that several modules define, with the places of the definitions.
    """

    functions: int
    participles: list[Function]
    definitions: int
    repeated: dict[str, list[str]]

    @property
    def again(self) -> int:
        """The number of definitions whose name is also defined by another module."""
        return sum(map(len, self.repeated.values()))

    def __str__(self) -> str:
        shares = len(self.participles) / self.functions, self.again / self.definitions
        return (
            f"functions that begin with a participle: {len(self.participles)} of {self.functions} ({shares[0]:.1%})\n"
            f"definitions of a name that several modules define: {self.again} of {self.definitions} ({shares[1]:.1%})"
        )


def is_participle(name: str) -> bool:
    """Return whether a name begins with a participle.

    Example:
        >>> [name for name in ("_listed", "list_runs", "read", "shown", "bring", "feed") if is_participle(name)]
        ['_listed', 'shown']
    """
    word = name.strip("_").split("_")[0]
    return bool(IRREGULAR.fullmatch(word)) or (word.endswith(("ed", "ing")) and not VERBS.fullmatch(word))


def measured(package: Path = PACKAGE) -> Shares:
    """Count the functions, definitions and repeated names of a package."""
    functions: list[Function] = []
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(package.rglob("*.py")):
        tree, where = ast.parse(path.read_text()), str(path.relative_to(package.parent))
        functions += _functions_of(tree, where)
        for node in tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                places[node.name].append(f"{where}:{node.lineno}")
    verbs = [each for each in functions if not each.is_value]
    named = [each for each in verbs if is_participle(each.name)]
    repeated = {name: each for name, each in places.items() if len({place.partition(":")[0] for place in each}) > 1}
    return Shares(len(verbs), named, sum(map(len, places.values())), repeated)


def _functions_of(tree: ast.Module, where: str) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("__"):
            decorators = {ast.unparse(each).split("(")[0] for each in node.decorator_list}
            is_value = bool(decorators & {"property", "cached_property", "overload"}) or ".setter" in str(decorators)
            yield Function(node.name, f"{where}:{node.lineno}", is_value)


def main() -> None:
    """Print the shares and the most frequent names behind them.

    With WORD, print the places of that name or participle.
    """
    found = measured()
    if len(sys.argv) > 1:
        begun = [each for each in found.participles if each.name.strip("_").split("_")[0] == sys.argv[1]]
        print(*(f"{each.place} {each.name}" for each in begun), *found.repeated.get(sys.argv[1], ()), sep="\n")
        return
    print(found)
    words = Counter(each.name.strip("_").split("_")[0] for each in found.participles)
    print("participles:", ", ".join(f"{word} {count}" for word, count in words.most_common(30)))
    most = sorted(found.repeated.items(), key=lambda each: -len(each[1]))[:30]
    print("names:", ", ".join(f"{name} {len(places)}" for name, places in most))


if __name__ == "__main__":
    main()
