"""What serves HTTP: a listening socket, a server, limits of its connections, bodies, answers, and a worker's health."""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
