"""What serves HTTP: a listening socket, a server, limits of its connections, bodies, answers, and a worker's health."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
