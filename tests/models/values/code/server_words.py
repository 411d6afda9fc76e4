import re

from graphengine.models.refusals import complaint, kind_of
from graphengine.models.server_words import NO_MODEL, TOO_LONG

OVERFLOWS = [
    (400, "prompt is too long: 205000 tokens > 200000 maximum"),
    (400, "input length and `max_tokens` exceed context limit: 174167 + 64000 > 200000, decrease input length"),
    (413, {"type": "request_too_large", "message": "Request exceeds the maximum size"}),
    (400, "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens."),
    (400, "Your input exceeds the context window of this model. Please adjust your input and try again."),
    (400, "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length"),
    (
        400,
        "'max_tokens' is too large: 8192. The maximum context length is 4096 and your request has 1000 input tokens",
    ),
    (500, "The decoder prompt (length 9254) is longer than the maximum model length of 4096."),
    (400, "Input prompt (5000 tokens) is too long and exceeds limit of 4096"),
    (400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
    (400, "This model's maximum prompt length is 131072 but the request contains 537812 tokens."),
    (400, "Please reduce the length of the messages or completion."),
    (
        413,
        {
            "code": "rate_limit_exceeded",
            "message": "Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 9000",
        },
    ),
    (
        429,
        {
            "code": "rate_limit_exceeded",
            "message": "Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 9000",
        },
    ),
    (400, "prompt token count of 70000 exceeds the limit of 64000"),
    (
        413,
        {"code": "tokens_limit_reached", "message": "Request body too large for gpt-4o model. Max size: 8000 tokens."},
    ),
    (400, "Input is too long for requested model."),
    (400, "Too many input tokens. Max input tokens: 8192, request input token count: 9279"),
    (400, "Your request exceeded model token limit: 262144 (requested: 291351)"),
    (400, "Range of input length should be [1, 30720]"),
    (400, {"code": "1261", "message": "Prompt exceeds max length"}),
    (400, "request (33056 tokens) exceeds the available context size (32768 tokens), try increasing it"),
    (500, "the request exceeds the available context size"),
    (500, "input is too large to process. increase the physical batch size"),
    (500, {"type": "server_error", "message": "context shift is disabled"}),
    (
        422,
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens",
    ),
    (422, "Input validation error: `inputs` must have less than 1024 tokens. Given: 2000"),
    (
        400,
        "The sum of prompt length (4000) and query length (0) max_tokens (2048) should not exceed max_seq_len (4096)",
    ),
    (400, "Prompt length 5000 is greater than max_seq_len 4096"),
    (500, "Ollama_chatException - prompt too long; exceeded max context length by 200 tokens"),
    (400, "the prompt is longer than the context length currently available to the model; shorten the prompt"),
    (400, "The model is loaded with context length of only 4096 tokens, which is not enough"),
    (413, None),
    (413, "<html><h1>413 Request Entity Too Large</h1></html>"),
    (0, "exceeds the available context size"),
]
UNKNOWN = [
    (404, "model 'llama9' not found"),
    (500, "model 'llama9' not found, try pulling it first"),
    (400, "The model `gpt-9` does not exist or you do not have access to it."),
    (400, 'Invalid model identifier "qwen9". Please specify a valid downloaded model (e.g., qwen3-14b).'),
    (400, "No models loaded. Please load a model in the developer page or use the 'lms load' command."),
    (400, "/chat/completions: Invalid model name passed in model=gpt-9. Call `/v1/models` to view available models"),
    (400, "could not find real modelID for qwen9"),
    (500, "could not find real modelID for qwen9"),
    (500, "could not load model - all backends returned error: 12 errors occurred: failed loading model"),
    (400, "Model not found in the model list, uid: qwen9"),
    (500, "unknown model qwen9"),
    (0, "model 'qwen9' not found"),
]


def kind(status, body):
    return kind_of(complaint({"message": body} if isinstance(body, str) and body[:1] != "<" else body, status)).__name__


def others(messages, name):
    """Return those of the messages whose class is another one."""
    return [(*each, kind(*each)) for each in messages if kind(*each) != name]


def unheard(table, messages):
    """Return the rows that no message has."""
    texts = [str(body["message"] if isinstance(body, dict) else body) for _, body in messages]
    return [
        server for server, words in table.items() if not any(re.search(words, text, re.IGNORECASE) for text in texts)
    ]
