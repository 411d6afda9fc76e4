import logging

import pytest

from graphengine.errors import DefinitionError, ModelError, NotAuthenticated, RateLimited
from graphengine.testing.model_conformance import ModelConformance
from graphengine.testing.model_kit import KEY, failure


async def raises(error: BaseException, told: str = "") -> None:
    """A call that fails, and may log."""
    logging.getLogger("provider").info("%s", told)
    raise error


async def test_an_error_of_the_right_kind_is_given() -> None:
    """The suite goes on with the error that was expected."""
    error = RateLimited("wait", repair="wait", retry_after_seconds=2)
    assert await failure(raises(error), RateLimited) is error


async def test_an_error_of_another_kind_goes_on() -> None:
    """Any other error is not swallowed."""
    with pytest.raises(NotAuthenticated):
        await failure(raises(NotAuthenticated("no", repair="r")), RateLimited)


async def test_an_answer_instead_of_an_error_is_told() -> None:
    """A call that should have failed fails the test."""

    async def answers() -> str:
        return "hello"

    with pytest.raises(AssertionError, match="RateLimited was expected, and this came: hello"):
        await failure(answers(), RateLimited)


def caused() -> ModelError:
    """An error whose cause shows the key."""
    error = ModelError("no", repair="r")
    error.__cause__ = ValueError(KEY)
    return error


def holding() -> ModelError:
    """An error that holds something that shows the key."""
    error = ModelError("no", repair="r")
    error.args = ("no",)
    vars(error)["response"] = {"key": KEY}
    return error


@pytest.mark.parametrize(
    ("error", "told", "where"),
    [
        (ModelError(f"wrong key {KEY}", repair="r"), "", "its text"),
        (ModelError("no", repair=f"look at {KEY}"), "", "its text"),
        (caused(), "", "its traceback"),
        (holding(), "", "its values"),
        (ModelError("no", repair="r"), f"sent {KEY}", "the log"),
    ],
)
async def test_a_key_that_is_shown_is_found(error: ModelError, told: str, where: str) -> None:
    """The key is looked for in all that an error shows, and is not shown again."""
    with pytest.raises(AssertionError, match=f"{where} shows the API key") as found:
        await failure(raises(error, told), ModelError)
    assert KEY not in str(found.value)


async def test_an_error_says_what_to_do() -> None:
    """An error without a repair is not good enough."""
    with pytest.raises(AssertionError, match="says no repair"):
        await failure(raises(ModelError("no")), ModelError)


def test_a_suite_without_a_model_is_refused() -> None:
    """Pytest would leave an abstract class out without a word."""
    with pytest.raises(DefinitionError, match="TestNothing makes no model to test"):
        type("TestNothing", (ModelConformance,), {})
