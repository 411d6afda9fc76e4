from .files import Sources as Sources, read_source as read_source, read_sources as read_sources
from .kinds import MAX_FILE_BYTES as MAX_FILE_BYTES, MAX_TEXT_CHARACTERS as MAX_TEXT_CHARACTERS
from .kinds import source_from_bytes as source_from_bytes
from .quotations import quoted_at as quoted_at
from .resources import read_resources as read_resources
from .web import PageRefused as PageRefused, read_media as read_media, read_page as read_page
