"""Check the documents that commands write under `--json` against their published JSON Schemas."""

from functools import cache

import jsonschema

from graphengine.cli.schemas import schema_of


def check_document(command: str, document: object) -> None:
    """Raise an error if a command's document does not match the command's schema."""
    _validator(command).validate(document)


@cache
def _validator(command: str) -> jsonschema.Draft202012Validator:
    """Return the validator of a command; making it costs far more than a check."""
    schema = schema_of(command)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)
