from collections.abc import Iterator

import pytest

from graphengine.executors import ProcessExecutor


@pytest.fixture(scope="session")
def processes() -> Iterator[ProcessExecutor]:
    """Provide two child processes."""
    executor = ProcessExecutor(2)
    yield executor
    executor.shutdown(cancel_futures=True)
