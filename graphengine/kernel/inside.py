"""What our own wings need of the core besides the three tiers: inside, so any name can go with any commit.

It is a page so that it can be counted, and so that a new name needs a reason: what one wing needs is a method
of something in a tier, or sits in the wrong room. See `graphengine.kernel`.
"""

from graphengine.kernel.pages import page_at

__getattr__, __dir__ = page_at(__name__, __file__)
