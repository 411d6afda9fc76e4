"""The modules from which programs import: each loads its public names at their first use, and checks their arguments.

Such a module is called a *door* here. Wrong arguments raise a DefinitionError that says what to write instead:

- a misspelt, missing or surplus argument,
- an argument of the wrong type, if the call fails because of it,
- a text where True or False is expected,
- a number outside the range that its annotation states, such as `threads: PositiveInt`.

Flags are checked before the call. So are numbers with a range, except in calls of coroutine functions. Other arguments
are only checked after a call has failed, so a successful call costs little more than one additional function call.
Classes whose objects programs only receive from a run, such as its events, are not checked.
"""

from __future__ import annotations

import ast
import builtins
import dis
import functools
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterable, Mapping
from types import ModuleType, UnionType
from typing import TYPE_CHECKING, Any, Final, TypeVar, Union, get_args, get_origin

import lazy_loader

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from pydantic import TypeAdapter

    from graphengine.errors import GraphEngineError

F = TypeVar("F", bound="Callable[..., Any]")

_NEAR: Final = 0.8
_SUBJECTS: Final = (
    "agents models reducers errors testing testing.evaluation patterns records databases executors telemetry"
)
_OFFERS: Final = (
    "graphengine",
    *(f"graphengine.{name}" for name in f"{_SUBJECTS} memory serve agents.toolbox agents.sources".split()),
)
"""The modules from which programs import. A name that one of them lacks may be in another."""
_HANDED_OUT: Final = ("graphengine.runner.run_events", "graphengine.agents.live_events")
_IN_A_STEP: Final = "graphengine.reducers"
"""The module whose functions act in each step. They are not checked, to save time."""
_CALLED_BACK: Final = tuple(f"graphengine.{name}" for name in ("databases", "stores", "models", "telemetry", "serve"))
"""The modules whose objects have methods that the engine calls, some of them at every step."""
_CHECKED: Final[set[object]] = set()
_RANGES: Final = {
    "NonNegativeInt": ("a whole number of at least 0", "3"),
    "PositiveInt": ("a whole number of at least 1", "3"),
    "Seconds": ("a number of seconds greater than 0", "60.0"),
    "SecondsOrZero": ("a number of seconds of at least 0", "60.0"),
}
"""The annotations that state a range, each with the values that it allows and an example of them."""
_OR_NONE: Final = " | None"


def door(module: str, file: str) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """Make a package import its public names only when they are first used, so that importing the package is fast.

    The names are read from the stub beside the package's `__init__.py`.

    Returns:
        The `__getattr__`, the `__dir__` and the `__all__` to define in the package.
    """
    load, names, exported = lazy_loader.attach_stub(module, file)

    def get(name: str) -> object:
        try:
            value = checked(load(name))
        except AttributeError as error:
            raise _not_offered(module, name, error) from None
        setattr(sys.modules[module], name, value)
        return value

    return get, names, exported


def _not_offered(module: str, name: str, error: AttributeError) -> Exception:
    """Return the error for a name that a user imports from a package but that the package does not have.

    The error says from which module to import the name, or what to write instead.

    The statement `from graphengine import …` replaces an AttributeError by an ImportError without its text. Therefore
    this statement gets an ImportError. `hasattr` needs an AttributeError.
    """
    if name.startswith("_") or not name.isidentifier():
        return error
    if importlib.util.find_spec(f"{module}.{name}"):  # a submodule, which Python imports next
        return error
    from graphengine.errors import UnknownAttribute  # noqa: PLC0415 - only needed for a mistake
    from graphengine.kernel.inside import repair_for  # noqa: PLC0415

    home = next((each for each in _OFFERS if each != module and name in _read_public_names(each)), None)
    repair = f"from {home} import {name}" if home else repair_for(name, "import")
    if not repair:
        return error
    caller = sys._getframe()  # noqa: SLF001 - only the frame shows which statement asks
    while caller.f_back is not None and caller.f_code.co_filename == __file__:
        caller = caller.f_back
    if dis.opname[caller.f_code.co_code[caller.f_lasti]] == "IMPORT_FROM":
        return ImportError(f"{module} has no {name!r}; here: {repair}", name=module)
    return UnknownAttribute(f"module {module!r} has no attribute {name!r}", repair=repair)


def _read_public_names(module: str) -> Collection[str]:
    """Return the public names of a module without importing it.

    The names are read from the text of the module's stub.
    """
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        return ()
    from pathlib import Path  # noqa: PLC0415 - as above

    stub = Path(found.origin).with_suffix(".pyi")
    text = (stub if stub.is_file() else Path(found.origin)).read_text(encoding="utf-8")
    return set(re.findall(r"(?<= as )\w+|(?<=^class )\w+|(?<=^def )\w+|(?<=^    \")\w+(?=\",)", text, re.MULTILINE))


def check_arguments(module: str) -> None:
    """Check the arguments of all public functions and classes of a module that imports its names at once."""
    names = vars(sys.modules[module])
    for name in names["__all__"]:
        names[name] = checked(names[name])


def checked(value: Any) -> Any:  # noqa: ANN401 - a class, a function or a constant
    """Wrap a public function, or the methods of a public class, so that wrong arguments raise an error with a repair.

    The wrapped object replaces the original object in the module that defines it. Constants are returned unchanged.
    """
    home = getattr(value, "__module__", None) or ""
    if not home.startswith("graphengine.") or home in _HANDED_OUT:
        return value
    if isinstance(value, type):
        for each in reversed(value.__mro__):  # so that a subclass inherits the checked methods
            if each not in _CHECKED and each.__module__.startswith("graphengine."):
                _CHECKED.add(each)
                _check_class(each)
    elif inspect.isfunction(value) and value not in _CHECKED and home != _IN_A_STEP:
        place, name = sys.modules[home], value.__name__
        value = _refusing(value)
        setattr(place, name, value)
    return value


def _check_class(cls: Any) -> None:  # noqa: ANN401 - any class
    """Wrap the constructor and the public methods of a class, so that wrong arguments raise an error with a repair.

    Methods that the engine calls, such as those of stores, are not wrapped, because a check would take time at each
    step.
    """
    if _is_protocol(cls):
        return
    is_called_back = cls.__module__.startswith(_CALLED_BACK) or any(map(_is_protocol, cls.__mro__))
    for name, member in {**_inherited(cls), **vars(cls)}.items():
        function = getattr(member, "__func__", member)
        if not inspect.isfunction(function) or function in _CHECKED:
            continue
        if name == "__init__" or not (name.startswith("_") or is_called_back):
            wrapped = _refusing(function)
            setattr(cls, name, wrapped if function is member else type(member)(wrapped))


def _inherited(cls: Any) -> Mapping[str, Callable[..., None]]:  # noqa: ANN401 - any class
    """Return an `__init__` to add to a class that only inherits one, such as pydantic's, so that it can be wrapped.

    The method calls the next `__init__` in the order of the bases, because a mixin of a user may come between the two
    classes. The result is empty if the inherited `__init__` is already wrapped.
    """
    if not inspect.isfunction(cls.__init__) or cls.__init__ in _CHECKED:
        return {}

    @functools.wraps(cls.__init__)
    def init(self: object, *args: object, **kwargs: object) -> None:
        super(cls, self).__init__(*args, **kwargs)

    return {"__init__": init}


def _is_protocol(cls: type[Any]) -> bool:
    return getattr(cls, "_is_protocol", False)


def _refusing(function: F) -> F:
    """Wrap a function so that a call with wrong arguments raises a DefinitionError that says how to repair the call."""
    flags = {name for name, kind in function.__annotations__.items() if kind in ("bool", bool)}
    wrapped: Any = (_awaited if inspect.iscoroutinefunction(function) else _called_with)(function, flags)
    _CHECKED.add(wrapped)
    return wrapped  # type: ignore[no-any-return]


def _called_with(function: Callable[..., object], flags: set[str]) -> Callable[..., object]:
    ranges = _ranges_of(function)
    ranged = {name for _, name, _ in ranges}
    first = min((place for place, _, _ in ranges), default=sys.maxsize)

    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        if flags and not flags.isdisjoint(kwargs):
            _refuse_texts(function, args, {name: kwargs[name] for name in flags & kwargs.keys()})
        if ranges and (len(args) > first or not ranged.isdisjoint(kwargs)):
            _refuse_outside(function, args, kwargs, ranges)
        try:
            return function(*args, **kwargs)
        except Exception as error:
            refused = _refusal_of(function, args, kwargs, error)
            if refused is None:
                raise
        raise refused

    return call


def _awaited(function: Callable[..., Awaitable[object]], flags: set[str]) -> Callable[..., Awaitable[object]]:
    @functools.wraps(function)
    async def awaited(*args: object, **kwargs: object) -> object:
        if flags and not flags.isdisjoint(kwargs):
            _refuse_texts(function, args, {name: kwargs[name] for name in flags & kwargs.keys()})
        try:
            return await function(*args, **kwargs)
        except Exception as error:
            refused = _refusal_of(function, args, kwargs, error)
            if refused is None:
                raise
        raise refused

    return awaited


def _ranges_of(function: Callable[..., object]) -> Sequence[tuple[int, str, str]]:
    """Return the parameters of a function whose annotation is a range of numbers, such as `PositiveInt`.

    Returns:
        The position, the name and the annotation of each of these parameters. The position of a parameter that can only
        be given by name is `sys.maxsize`.
    """
    kinds = function.__annotations__
    if not any(map(_range, kinds.values())):
        return ()
    parameters = enumerate(inspect.signature(function).parameters.values())
    return [
        (sys.maxsize if one.kind is one.KEYWORD_ONLY else place, one.name, kind)
        for place, one in parameters
        if (kind := _range(kinds.get(one.name)))
    ]


def _refuse_outside(
    function: Callable[..., object],
    args: Sequence[object],
    kwargs: Mapping[str, object],
    ranges: Sequence[tuple[int, str, str]],
) -> None:
    """Raise an error if a call has a number outside the range in the annotation of its parameter.

    Args:
        function: The function that is called.
        args: The arguments by position.
        kwargs: The arguments by name.
        ranges: The parameters with a range, from `_ranges_of`.
    """
    for place, name, kind in ranges:
        if name in kwargs:
            value = kwargs[name]
        elif place < len(args):
            value = args[place]
        else:
            continue
        if not _checker(kind)(value, strict=True):
            raise _outside(kind, _called(function, args), name, value)


def _range(annotation: object) -> str:
    """Return the text of an annotation with a range, such as `PositiveInt`; "" for any other annotation."""
    text = str(annotation)
    return text if text.removesuffix(_OR_NONE) in _RANGES else ""


@functools.cache
def _checker(kind: str) -> Callable[..., bool]:
    """Return a function that checks whether a number is in the range of an annotation such as `PositiveInt`."""
    import pydantic  # noqa: PLC0415 - `import graphengine` does not need pydantic

    from graphengine.kernel import extension  # noqa: PLC0415

    name = kind.removesuffix(_OR_NONE)
    bounded: Any = getattr(pydantic if hasattr(pydantic, name) else extension, name)
    adapter: TypeAdapter[Any] = pydantic.TypeAdapter(bounded | None if name != kind else bounded)
    return adapter.validator.isinstance_python


def _outside(kind: str, called: str, name: str, value: object) -> GraphEngineError:
    from graphengine.errors import DefinitionError  # noqa: PLC0415 - only a mistake needs these
    from graphengine.kernel.inside import shown  # noqa: PLC0415

    allowed, example = _RANGES[kind.removesuffix(_OR_NONE)]
    or_none = ", or None" if kind.endswith(_OR_NONE) else ""
    text = f"{called}({name}={shown(value)}): {name} must be {allowed}{or_none}"
    if name.endswith(("tokens", "bytes")):
        example = "100_000"
    return DefinitionError(text, repair=f"write {name}={example}{or_none}")


def _refuse_texts(function: Callable[..., object], args: Sequence[object], flags: Mapping[str, object]) -> None:
    """Raise an error if a call has a text where the parameter expects True or False.

    Python counts any text as true, even `"false"`.
    """
    for name, given in flags.items():
        if isinstance(given, str):
            from graphengine.errors import DefinitionError  # noqa: PLC0415 - only a mistake needs it

            text = f"{_called(function, args)}({name}={given!r}): {name} must be True or False, but it is a text"
            raise DefinitionError(text, repair=f"write {name}=True or {name}=False")


def _refusal_of(
    function: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object], error: Exception
) -> GraphEngineError | None:
    """Return the error to raise instead of an error in a call, if the cause is a wrong argument or a wrong set-up.

    The new error says how to repair the call. The result is None if the call failed for another reason.
    """
    from graphengine.errors import GraphEngineError  # noqa: PLC0415 - only a mistake needs these
    from graphengine.kernel.extension import signature_of  # noqa: PLC0415

    if isinstance(error, GraphEngineError):
        return without_frames(error)
    if not isinstance(error, TypeError | AttributeError | ValueError | LookupError):
        return None
    try:
        signature_of(function).bind(*args, **kwargs)
    except TypeError as unfit:
        is_pythons = error.__traceback__ is not None and error.__traceback__.tb_next is None
        return refusal(function, args, kwargs, error if is_pythons else unfit)
    found = _ill_typed(function, args, kwargs)
    if found is not None:
        found.__cause__ = error  # the cause may be a mistake in the user's own code
    return found


def without_frames(error: GraphEngineError) -> GraphEngineError | None:
    """Remove the engine's lines from the traceback of an error about the set-up, such as a missing package.

    The message of such an error says what is missing and how to get it. Eighty lines of traceback before the message
    would hide this. Returns None for other errors, and if the user's code is part of the traceback.
    """
    from traceback import walk_tb  # noqa: PLC0415 - only a mistake needs these

    from graphengine.errors import GraphEngineError  # noqa: PLC0415
    from graphengine.kernel.inside import is_user_code  # noqa: PLC0415

    chain: list[BaseException] = []
    link: BaseException | None = error if error.of_set_up else None
    while link is not None and not any(link is each for each in chain):
        chain.append(link)
        link = link.__cause__
    if not chain or any(is_user_code(at.f_code.co_filename) for each in chain for at, _ in walk_tb(each.__traceback__)):
        return None
    link = error
    while isinstance(link, GraphEngineError) and link.of_set_up:
        cause = None if isinstance(link.__cause__, ModuleNotFoundError) else link.__cause__
        link.__traceback__ = link.__context__ = None
        link.__cause__ = cause
        link = cause
    return error


def refusal(
    function: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object], error: Exception
) -> GraphEngineError:
    """Return the error, with a repair, for a call that has too many or too few arguments, or an unknown one.

    Args:
        function: The function that was called.
        args: The arguments by position.
        kwargs: The arguments by name.
        error: Python's own TypeError about the arguments.
    """
    from graphengine.errors import DefinitionError  # noqa: PLC0415 - only a mistake needs these
    from graphengine.kernel.extension import signature_of  # noqa: PLC0415
    from graphengine.kernel.inside import repair_for, shown  # noqa: PLC0415

    is_model = bool(args) and hasattr(type(args[0]), "__pydantic_validator__")
    parameters = signature_of(type(args[0]) if is_model else function).parameters
    own = {name for name, one in parameters.items() if name not in ("self", "cls") and one.kind is not one.VAR_KEYWORD}
    # An object has no repr before its `__init__` has ended.
    called, is_made = _called(function, args), function.__name__ != "__init__"
    where = shown(args[0]) if args and is_made and next(iter(parameters)) in ("self", "graph") else ""
    where = "" if where.startswith("<") else where
    text = f"{called}() {str(error).rpartition('() ')[2]}"
    names = ", ".join(name for name in parameters if name in own)
    takes = f"its parameters are {names}" if names else "it takes no arguments"
    repair = repair_for(f"{called}()", "keyword") or takes
    for name in sorted(kwargs.keys() - own):
        text, state = f"{called} has no option {name!r}", getattr(args[0], "state", None) if where else None
        near = _near(name, own)
        is_ours = near.startswith("did") and not any(name.startswith(f"{each}_") for each in own)
        of_call = repair_for(f"{called}.{name}", "keyword", whole=True) or _inside(function, name)
        alike = "" if is_ours else repair_for(name, "keyword", whole=True) or repair_for(f"{called}.{name}", "keyword")
        repair = of_call or alike or near
        if "state" in own and name in getattr(state, "model_fields", ()):
            repair = f"the state is one argument: {{{name!r}: …}}"
    return DefinitionError(text, where=where, repair=repair)


def _called(function: Callable[..., object], args: Sequence[object]) -> str:
    return type(args[0]).__name__ if function.__name__ == "__init__" and args else function.__name__


def _near(word: str, known: set[str]) -> str:
    """Return the repair for a misspelt name of an argument.

    The repair suggests a known name that is similar, or else lists all known names.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake needs it

    parts = sorted(name for name in known if name.startswith(f"{word}_") or word.startswith(f"{name}_"))
    near = (get_close_matches(word, sorted(known), n=1, cutoff=_NEAR) or parts)[:1]
    return (
        f"did you mean {near[0]!r}?" if near else f"use one of: {', '.join(sorted(known))}" if known else "leave it out"
    )


def _inside(function: Callable[..., object], name: str) -> str:
    """Return how to pass an option that is a field of another argument, such as `settings=Settings(temperature=…)`.

    The result is "" if no argument has such a field.

    Args:
        function: The function that was called.
        name: The name of the option, such as `temperature`.
    """
    from graphengine.kernel.extension import signature_of  # noqa: PLC0415 - only a mistake needs it

    for parameter in signature_of(function).parameters:
        for kind in (annotation := _annotation(function, parameter), *get_args(annotation)):
            if isinstance(kind, type) and name in getattr(kind, "__dataclass_fields__", ()):
                return f"{parameter}={kind.__name__}({name}=…)"
    return ""


def _ill_typed(
    function: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object]
) -> GraphEngineError | None:
    """Return the error for the first argument of a call that has the wrong type; None if no argument has.

    Types that cannot be checked count as right.
    """
    from graphengine.errors import DefinitionError  # noqa: PLC0415 - only a mistake needs these
    from graphengine.kernel.extension import signature_of  # noqa: PLC0415
    from graphengine.kernel.inside import shown  # noqa: PLC0415

    signature = signature_of(function)
    for name, given in signature.bind(*args, **kwargs).arguments.items():
        kind = signature.parameters[name].kind
        each = given if kind is inspect.Parameter.VAR_POSITIONAL else [given]
        if name in ("self", "cls") or kind is inspect.Parameter.VAR_KEYWORD:
            continue
        for value in each:
            if not _fits(_annotation(function, name), value):
                text = str(signature.parameters[name].annotation).removesuffix(" | None")
                is_list = text.startswith(("Sequence", "Iterable", "list", "tuple")) and not isinstance(value, list)
                repair = f"write a list: {name}=[…]" if is_list else f"give a value of type {text}"
                message = f"{_called(function, args)}({name}={shown(value)}): {name} must be of type {text}"
                return DefinitionError(message, repair=repair)
    return None


def _fits(annotation: Any, value: object) -> bool:  # noqa: ANN401 - a type, or a form of one
    """Return whether a value fits the annotation of a parameter.

    An annotation that cannot be checked counts as fitting.
    """
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - only a mistake needs these
    from typing_extensions import get_protocol_members  # noqa: PLC0415

    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return any(_fits(each, value) for each in get_args(annotation))
    if isinstance(value, str) and isinstance(origin, type) and issubclass(origin, Iterable):
        return isinstance(value, origin) and get_args(annotation) == (str,)
    # In strict mode, only a dict is accepted.
    given = dict(value) if origin is Mapping and isinstance(value, Mapping) else value
    try:
        TypeAdapter(annotation, config={"arbitrary_types_allowed": True}).validate_python(given, strict=True)
    except ValidationError:
        return False
    except Exception:  # noqa: BLE001 - pydantic cannot check values of this type
        cls = origin or annotation
        if isinstance(cls, type) and _is_protocol(cls):
            return all(hasattr(value, name) for name in get_protocol_members(cls))
        return not isinstance(cls, type) or isinstance(value, cls)
    return True


def _annotation(function: Callable[..., object], name: str) -> object:
    """Return the type of a parameter, by evaluating the text of its annotation.

    Names that the module imports only for type checkers are imported for this purpose. If the type cannot be found, the
    result is `Any`.
    """
    text = getattr(inspect.unwrap(function), "__annotations__", {}).get(name, Any)
    if not isinstance(text, str):
        return text
    try:
        return eval(text, {}, _Names(sys.modules[function.__module__]))  # noqa: S307 - an annotation of our own
    except Exception:  # noqa: BLE001 - a type that cannot be checked
        return Any


class _Names(dict[str, Any]):
    """The names of a module with which its annotations are evaluated.

    They include names that the module imports only for type checkers, which are imported on first use.
    """

    def __init__(self, module: ModuleType) -> None:
        super().__init__({**vars(builtins), **vars(module)})
        self._module = module

    def __missing__(self, name: str) -> Any:  # noqa: ANN401 - whatever it names
        for node in ast.walk(ast.parse(inspect.getsource(self._module))):
            for alias in node.names if isinstance(node, ast.Import | ast.ImportFrom) else ():
                if (alias.asname or alias.name) == name:
                    module = importlib.import_module(getattr(node, "module", None) or name)
                    return getattr(module, alias.name) if isinstance(node, ast.ImportFrom) else module
        return Any
