"""The texts with which servers report a request that is too long, a model that does not exist, or a refused schema.

Servers have no common code for these cases. The texts are from the servers' sources, documentation or answers. Each row
names the first server with this text; other servers use the same. `tests/models/values/server_words.txt` contains a
message for each row.
"""

from __future__ import annotations

import re
from typing import Final

TOO_LONG: Final[dict[str, str]] = {
    "Anthropic": r"prompt is too long|exceed context limit",
    "Anthropic, HTTP 413": r"request exceeds the maximum (?:size|allowed number of bytes)",
    "OpenAI, vLLM, Mistral, OpenRouter": r"maximum context|context[ _-]*(?:length|window|size|limit)",
    "vLLM's engine": r"longer than the maximum model length",
    "vLLM before 0.6": r"\bprompt \(\d+ tokens\) is too long",
    "Gemini": r"input token count.{0,30}exceeds the maximum",
    "xAI": r"maximum prompt length",
    "Groq, on the length": r"reduce the length of the (?:input )?messages",
    "Groq, on tokens per minute": r"request too large for model",
    "GitHub Copilot": r"prompt token count.{0,30}exceeds the limit",
    "GitHub Models": r"request body too large for .{1,80} model",
    "Bedrock": r"input (?:is )?too long|too many (?:input )?tokens|number of input tokens exceeds",
    "Kimi": r"exceeded model token limit",
    "Qwen": r"range of input length should be",
    "GLM": r"prompt exceeds (?:the )?max(?:imum)? length",
    "llama.cpp": r"exceeds? .{0,40}\bcontext\b",
    "llama.cpp, for a batch": r"input is too large to process",
    "ik_llama.cpp": r"context shift is disabled",
    "TGI": r"`?inputs`? tokens \+ `?max_new_tokens`? must be|`?inputs`? must have less than \d+ tokens",
    "TensorRT-LLM": r"should not exceed max_seq_len|prompt length \(\d+\) exceeds",
    "TabbyAPI": r"prompt length \d+ is greater than max_seq_len",
}
"""Texts about a request with more tokens than the model accepts, by server."""

NO_MODEL: Final[dict[str, str]] = {
    "Ollama": r"\bmodel ['\"`]?[^\s'\"`]{1,100}['\"`]? (?:is )?not found",
    "OpenAI, vLLM": r"\bmodel ['\"`]?[^\s'\"`]{1,100}['\"`]? does(?: not|n't) exist",
    "LM Studio": r"invalid model identifier|\bno models loaded",
    "LiteLLM": r"invalid model name",
    "llama-swap": r"could not find real modelid",
    "LocalAI": r"could not load model - all backends returned error",
    "Xinference": r"model not found in the model list",
    "others": r"\b(?:no such|unknown) model\b(?! arch)",
}
"""Texts about a model that does not exist, by server.

Some servers send them with a status that otherwise means a temporary failure.
"""

ANSWER_TOO_LONG: Final = re.compile(
    r"max_(?:completion_|output_)?tokens\W{0,3}.{0,60}too large(?!.{0,200}\byour request has \d+ input tokens)",
    re.IGNORECASE | re.DOTALL,
)
"""The text about an answer that may not have so many tokens, however short the request is."""

_SCHEMA: Final = (
    r"(?:grammar|json[ _-]?schema|input_?schema|\btools?\b.{0,80}schema"
    r"|schema (?:for|of|in) (?:the )?(?:tool|function))"
)
SAYS_REFUSED_SCHEMA: Final = re.compile(
    r"^(?!.*not match).*(?:grammar_?error"
    rf"|\b(?:pars|compil|conver|(?:un)?support|invalid|unrecogni)\w*.{{0,80}}{_SCHEMA}"
    rf"|{_SCHEMA}.{{0,80}}(?:\b(?:fail|invalid|unsupported|unrecogni|error)"
    r"|(?:\bnot|n't|cannot|unable to) ))",
    re.IGNORECASE | re.DOTALL,
)
"""The text about a schema of the request that the server cannot convert to its own form.

llama.cpp and others send this text with the status 500, or in an event of a stream that began with the status 200.
"""


def _compile_any_of(table: dict[str, str]) -> re.Pattern[str]:
    return re.compile("|".join(table.values()), re.IGNORECASE)


SAYS_TOO_LONG: Final = _compile_any_of(TOO_LONG)
SAYS_NO_MODEL: Final = _compile_any_of(NO_MODEL)

__all__ = ["ANSWER_TOO_LONG", "NO_MODEL", "SAYS_NO_MODEL", "SAYS_REFUSED_SCHEMA", "SAYS_TOO_LONG", "TOO_LONG"]
