"""Models for tests whose answers are recorded in files next to the tests, so that later tests run offline.

    async def test_a_review_has_a_score(runner, recordings):
        runner.use(models={"*": recordings("anthropic:claude-haiku-4-5")})
        result = await runner.start(graph, {"draft": "…"}).result()

    pytest --graphengine-record         # calls the model for requests that the file does not have
    pytest                              # answers from the file; no key, no network

The file of `tests/test_review.py::test_a_review_has_a_score` is
`tests/recordings/test_review/test_a_review_has_a_score.jsonl`. `graphengine.models.recorded` describes its form. Keep
the file in version control. Text that looks like a secret is hidden (`graphengine.models.hiding`).
"""

from __future__ import annotations

import hashlib
import re
import shlex
from typing import TYPE_CHECKING, Final

from graphengine.models.names import as_model
from graphengine.models.recorded import RecordedModel

if TYPE_CHECKING:
    from pathlib import Path

    from graphengine.models.base import Model

FOLDER: Final = "recordings"
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST: Final = 120  # characters of a file's name


class Recordings:
    """The value of the fixture `recordings`: makes models whose answers are recorded in files next to the test.

    Args:
        file: The file of the first model's answers.
        test: The test's pytest node id, for messages.
        is_recording: Whether models are called for requests that the files do not have.
    """

    def __init__(self, file: Path, test: str, *, is_recording: bool) -> None:
        self.file = file
        self._test = test
        self._is_recording = is_recording

    def __call__(self, model: Model | str, *, name: str = "") -> Model:
        """Return a model that answers from the test's file.

        With `pytest --graphengine-record`, requests that are not in the file are sent to the model and recorded.

        Args:
            model: The model to call when answers are recorded, as an object or a name. Without
                `--graphengine-record` the model is not called and needs no key.
            name: A part of the file's name, if a test uses several models: `recordings("openai:…", name="critic")`.

        Raises:
            ModelUnavailable: The model does not exist.
        """
        asked = as_model(model)
        file = self.file.with_name(f"{self.file.stem}.{_fit(name)}.jsonl") if name else self.file
        return _TestsModel(file, asked if self._is_recording else None, self._test)


class _TestsModel(RecordedModel):
    """A model that answers from a file of recordings.

    If an answer is missing, the error names the `pytest` command that records it.
    """

    def __init__(self, file: Path, model: Model | None, test: str) -> None:
        super().__init__(file, model)
        again = f"pytest --graphengine-record {shlex.quote(test)}"
        self._repair = f"record it: {again} calls the model, which needs its key; existing recordings are kept"


def file_of(module: Path, test: str) -> Path:
    """Return the path of the file with a test's recorded answers.

    Args:
        module: The test's file.
        test: The test's pytest node id. Its class, function and parameters become the name of the file.
    """
    return module.parent / FOLDER / module.stem / f"{_fit(test.partition('::')[2])}.jsonl"


def _fit(name: str) -> str:
    """Return a name that every file system accepts.

    If the name had to be changed, a digest of the original name is added at the end, so that the name stays unique.
    """
    fit = _UNFIT.sub("-", name.replace("::", "."))
    if fit.count("-") == name.count("-") and len(fit) <= _LONGEST:
        return fit
    digest = hashlib.blake2b(name.encode(), digest_size=4).hexdigest()
    return f"{fit[:_LONGEST].strip('-')}-{digest}"


__all__ = ["Recordings", "file_of"]
