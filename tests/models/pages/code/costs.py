from graphengine import Media, Message
from tests.models.acts import Raw
from tests.models.wire import Event

MANY = 1_000_000
SAID = {"role": "assistant", "content": "yes"}
HEARD = {"prompt_tokens_details": {"audio_tokens": MANY}}
SPOKEN = {"completion_tokens": MANY, "completion_tokens_details": {"audio_tokens": MANY}}
SOUND = Message(role="user", text="[media 1]", media=(Media(type="audio/wav", data="AAAA"),))


def message(stop="end_turn", **usage):
    usage = {"input_tokens": MANY, "output_tokens": 0} | usage
    return Raw(
        body={"type": "message", "content": [{"type": "text", "text": "yes"}], "stop_reason": stop, "usage": usage}
    )


def completion(*usages):
    usage = {"prompt_tokens": MANY, "completion_tokens": 0}
    for each in usages:
        usage |= each
    return Raw(body={"choices": [{"index": 0, "finish_reason": "stop", "message": SAID}], "usage": usage})


def pieces(tier):
    said = {"choices": [{"index": 0, "delta": {"content": "yes"}, "finish_reason": "stop"}], "service_tier": tier}
    usage = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 1}}
    return Raw(events=(Event(said), Event(usage), Event("[DONE]")))


def response(*output, status="completed", **more):
    usage = {"input_tokens": 9, "output_tokens": 1}
    return Raw(body={"status": status, "usage": usage, "output": [*output], **more})
