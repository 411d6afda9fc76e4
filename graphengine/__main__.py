"""`python -m graphengine` is the command `graphengine`."""

from __future__ import annotations

from graphengine.cli.main import main

if __name__ == "__main__":
    main()
