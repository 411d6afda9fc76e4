import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from graphengine.agents import tool
from graphengine.agents.tools import ToolOutcome
from graphengine.runner.threads import in_thread
from tests.kit.runs import SOON
from tests.runner.test_time_limits import LIMIT, exceed_limit, wait_for_calls, work


async def test_tools_that_wait_for_a_thread_use_up_no_time() -> None:
    """A tool's time begins when its function is called."""
    slow, taken, over = tool(work, timeout_seconds=LIMIT), threading.Event(), threading.Event()

    def take() -> None:
        taken.set()
        over.wait(SOON)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(take)
        taken.wait(SOON)
        call = asyncio.create_task(slow.call("{}", {}, lambda function, _: in_thread(pool, function)))
        await wait_for_calls(pool, 1)
        await exceed_limit()
        over.set()
        assert await call == ToolOutcome("1")
