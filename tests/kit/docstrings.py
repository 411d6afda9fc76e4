"""Parse each docstring once in a process, and those of a service's documents now.

A service describes all its documents when it starts, for which it parses 400 docstrings: more than half of its start.
Tests start hundreds of services in one process, or in forks of one, which begin with what it knows.
"""

from contextlib import suppress
from functools import cache

import docstring_parser

from graphengine.serve.service.openapi import description

docstring_parser.parse = cache(docstring_parser.parse)
with suppress(Exception):  # a service that cannot be described says so itself
    description({}, "", takes_webhooks=True)
