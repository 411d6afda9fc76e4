"""A page of names of the core: what checks, pictures and patterns read of graphs, and make them of.

See `graphengine.kernel`.
"""

from graphengine.kernel.pages import page_at

__getattr__, __dir__ = page_at(__name__, __file__)
