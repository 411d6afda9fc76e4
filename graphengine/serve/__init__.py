"""Serve runs over HTTP: the parts that the HTTP service, the inspector and the health of workers have in common.

The package `service` contains the HTTP service of `graphengine serve`. The package `inspector` contains the local page
of `graphengine inspect`. The package `reads` contains the requests that read runs, for both servers. The modules of
this package contain the shared parts: the listening socket and the server, limits on connections and bodies, tokens and
users, the checks on a request, the form of answers and errors, and notifications to other services.

These words have a meaning of their own here:

- A *caller* (`Caller`) is the person or program that sent the current request, with its tenant and its rights.
- A *row* (`Endpoint`) is the description of one request in the table of `routes`: its path, its right, its parameters
  and its answer. `Router` makes a route of each row.
- A *door* is a set of routes that speaks a protocol other than the service's own HTTP API, such as OpenAI's API, MCP or
  A2A.
"""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
