"""docs/use/front_ends.md: its graph is served; tests/serve/service/test_pages.py shows its pages in a browser."""

import re
from pathlib import Path

from tests.serve.service.client import Service
from tests.serve.service.front_ends import ai_sdk, text_of

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "use" / "front_ends.md").read_text(encoding="utf-8")
(SOURCE,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_its_chat_answers_by_rules(tmp_path: Path) -> None:
    """Without a model the answer comes as a text, too, and to a page that is reloaded."""
    (tmp_path / "talk.py").write_text(SOURCE, encoding="utf-8")
    service = Service(tmp_path / "runs.db", "--ai-sdk", graphs=str(tmp_path / "talk.py"))
    streams = ai_sdk(service, "ada", "Hello"), ai_sdk(service, "ada")
    assert [text_of(each.all()) for each in streams] == ["You said: Hello"] * 2
    _, messages = service.request("GET", "/ai-sdk/assistant-chat/ada")
    assert [each["parts"][0]["text"] for each in messages] == ["Hello", "You said: Hello"]
    assert service.end() == 0
