from .kept import Embed as Embed
from .kept import Entry as Entry
from .kept import Memory as Memory
