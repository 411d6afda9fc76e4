"""The typed state of a run: its fields, their values and records, and the code that reads and writes them.

The state of a run is a pydantic model, a TypedDict or a dataclass. This package splits it into its fields, so that the
cost of an update depends on what the update writes and not on the size of the state. The main types:

- `StateType` (schema.py): the type of a state, with its fields. It validates and records updates.
- `FieldType` (field.py): one field: its type, its reducer, and how its values are recorded and read back.
- `View` (view.py): the typed fields of one frame, as a node, a condition or a reducer sees them.
- `Injected` (injection.py): a function of the user that is called with the values that its parameters name.
- `Path` (path.py): a place in the state, such as `history[-1].score`.

Words that the modules use:

- record: a value as it is stored, which is a JSON value. A large record can stay encoded as bytes (encoded.py). Records
  are the source of truth.
- typed value: a value of the declared type, built from a record.
- mark, in records: an addition to the JSON of a value for something that JSON lacks, such as the name of a time zone
  (marks.py). A mark of a condition is something else: its memory, see `engine.trackers`.
- set fields: the fields of a pydantic model that were set explicitly (`model_fields_set`).
- Two values are the same if they are equal in everything that a record keeps (same.py).
"""
