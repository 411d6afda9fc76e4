"""docs/use/testing.md, run by pytest as its readers would."""

import asyncio
import re
from pathlib import Path

from graphengine import Runner, ScriptedModel
from graphengine.models import RecordedModel
from graphengine.testing.recordings import file_of
from tests.kit import forks
from tests.testing.plain import QUIET

PAGE = Path(__file__).resolve().parents[2] / "docs" / "use" / "testing.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def record(module: Path, source: str) -> None:
    """Record what the page's test of a real model asks, with answers of our own."""
    names: dict[str, object] = {"__name__": "page"}
    exec(compile(source, "page", "exec"), names)  # noqa: S102 - our own page
    file = file_of(module, f"{module.name}::test_a_real_review")
    model = ScriptedModel({"writer": ["Bread is …"], "critic": [{"score": 8}]})

    async def main() -> None:
        async with Runner(models={"*": RecordedModel(file, model)}) as runner:
            await runner.start(names["graph"], {"task": "bread"}).result()  # type: ignore[arg-type]

    asyncio.run(main())


def test_every_test_of_the_page_passes(tmp_path: Path) -> None:
    """With fixtures, options, recordings, and the conformance suite of stores."""
    source = "\n\n".join(BLOCK.findall(PAGE.read_text(encoding="utf-8")))
    module = tmp_path / "test_article.py"
    module.write_text(source, encoding="utf-8")
    record(module, source)
    keys = {"ANTHROPIC_API_KEY": "", "OPENAI_API_KEY": ""}
    mode = ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")
    done = forks.run("pytest", *QUIET, *mode, "-q", folder=tmp_path, variables=keys)
    counts = re.search(r"^(\d+) passed", done.stdout, re.MULTILINE)
    assert done.returncode == 0, done.stdout
    assert counts is not None
    assert int(counts[1]) > 100
