"""JSON Schemas: their parts, their descriptions in words, the smallest values that fit, and the check of a value.

A `Schema` is the JSON object of a JSON Schema, and the root is the whole schema with its definitions, in which
references are looked up. `walking` follows the references and the parts of a schema. `words` describes a schema to a
person, and lists the reasons why a value does not fit it. `formats` explains the formats of texts, such as `date`.
`examples` makes the smallest values that fit a schema.

Every package may import this package, because it knows nothing of graphengine except JSON.
"""
