"""Models by name: the meaning of each form, and the errors of invalid names."""

import subprocess
import sys

CHEAP = """
import sys
import graphengine
from graphengine.models import *
for name in ("rules", "recorded:x.json", "anthropic:claude-x", "openai:gpt-x", "openai-chat:m@http://127.0.0.1:1/v1"):
    model_of(name)
Router(["anthropic:claude-x", "openai:gpt-x"])
print([name for name in ("anthropic", "openai", "genai_prices", "httpx", "httpx2") if name in sys.modules])
"""


def test_no_sdk_is_imported_to_make_a_model() -> None:
    """Making a model, or importing the package, imports no SDK; each is loaded at its first call."""
    done = subprocess.run([sys.executable, "-c", CHEAP], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
