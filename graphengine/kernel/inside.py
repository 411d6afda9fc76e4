"""The names that only graphengine's own wings use. They can change with any commit. See `graphengine.kernel`.

The names are listed here so that they can be counted, and so that adding a name needs a reason. A name that one wing
alone needs usually belongs into a method of a public class, or the code that needs it is in the wrong package.
"""

from graphengine.kernel.pages import page_at

__getattr__, __dir__ = page_at(__name__, __file__)
