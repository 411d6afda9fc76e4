import logging

import pytest

from graphengine.models.errors import ModelError
from tests.conformance.model_kit import KEY, failure


async def raises(error: BaseException, logged: str = "") -> None:
    """Make a call that fails, and may log."""
    logging.getLogger("provider").info("%s", logged)
    raise error


def caused() -> ModelError:
    """Return an error whose cause shows the key."""
    error = ModelError("no", repair="r")
    error.__cause__ = ValueError(KEY)
    return error


def holding() -> ModelError:
    """Return an error with an attribute that shows the key."""
    error = ModelError("no", repair="r")
    error.args = ("no",)
    vars(error)["response"] = {"key": KEY}
    return error


@pytest.mark.parametrize(
    ("error", "logged", "where"),
    [
        (ModelError(f"wrong key {KEY}", repair="r"), "", "its text"),
        (ModelError("no", repair=f"look at {KEY}"), "", "its text"),
        (caused(), "", "its traceback"),
        (holding(), "", "its values"),
        (ModelError("no", repair="r"), f"sent {KEY}", "the log"),
    ],
)
async def test_a_key_that_is_shown_is_found(error: ModelError, logged: str, where: str) -> None:
    """All that an error shows is searched for the key, which is not shown again."""
    with pytest.raises(AssertionError, match=f"{where} shows the API key") as found:
        await failure(raises(error, logged), ModelError)
    assert KEY not in str(found.value)
