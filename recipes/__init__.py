"""Patterns to copy: `graphengine new PATH --from PATTERN` copies one of these modules into a project, as its graph."""
