"""The command line. `main.py` lists the commands; each is a module of its own, imported when it is used."""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
