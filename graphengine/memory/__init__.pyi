from .kept import Entry as Entry
from .kept import Memory as Memory
