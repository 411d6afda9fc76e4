"""The command line. `main.py` lists the commands; each is a module of its own, imported when it is used."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
