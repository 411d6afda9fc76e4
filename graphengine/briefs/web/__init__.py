"""The web as a source: a search that is chosen by the environment, and pages that become texts.

engine = engine_from_environment()     # SEARXNG_URL or BRAVE_API_KEY
async with Web() as web:
    hits = await engine.search("how tides arise", 5)
    page = await web.fetch(hits[0].url)  # a TextFile; quotations are checked against it
"""

from graphengine.briefs.web.fetch import PageRefused, Web
from graphengine.briefs.web.search import Brave, Hit, SearchEngine, SearchFailed, SearXNG, engine_from_environment

__all__ = [
    "Brave",
    "Hit",
    "PageRefused",
    "SearXNG",
    "SearchEngine",
    "SearchFailed",
    "Web",
    "engine_from_environment",
]
