"""A page of names of the core: what stores are made of, and what they record. See `graphengine.kernel`."""

from graphengine.kernel.pages import page_at

__getattr__, __dir__ = page_at(__name__, __file__)
