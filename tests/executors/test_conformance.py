"""Our executors, and those of the standard library, by the suite for any executor."""

import multiprocessing
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from graphengine.errors import DefinitionError
from graphengine.executors import ProcessExecutor
from graphengine.testing import ExecutorConformance


class TestProcessExecutor(ExecutorConformance):
    """Child processes."""

    def make_executor(self) -> Executor:
        """Return two."""
        return ProcessExecutor(2)


class TestProcessPoolExecutor(ExecutorConformance):
    """The pool of the standard library, which can end nothing."""

    ends_work = False

    def make_executor(self) -> Executor:
        """Return a pool of two."""
        return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("forkserver"))


class TestThreadPoolExecutor(ExecutorConformance):
    """Threads of this process."""

    is_elsewhere = False
    ends_work = False

    def make_executor(self) -> Executor:
        """Return two."""
        return ThreadPoolExecutor(2)


def test_a_suite_without_an_executor_is_refused() -> None:
    """It would test nothing, and nobody would see that."""
    with pytest.raises(DefinitionError, match="'TestNothing' does not define make_executor"):
        type("TestNothing", (ExecutorConformance,), {})
