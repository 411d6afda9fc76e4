from pydantic import ValidationError

from graphengine import Media
from graphengine.media import joined

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


def kind(data):
    """Return the type that is found by the data, which are recorded as base64 and given back."""
    media = Media(data=data)
    assert media.content == data
    assert Media.model_validate_json(media.model_dump_json()) == media
    return f"{media.type}, {media.size_bytes} bytes, recorded as {media.data}"


def refused(given):
    """Return the one problem of a value that is no media."""
    try:
        return Media.model_validate(given)
    except ValidationError as error:
        (problem,) = error.errors()
        return problem["msg"]
