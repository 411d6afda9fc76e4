"""Sets of fonts for Graphviz to find, one of them a font that no machine has: twice as wide and high as any other."""

import struct
from pathlib import Path
from typing import Final

from tests.kit.machine import IS_BARE

INSTALLED: Final = Path("/usr/share/fonts")
_CONF: Final = '<?xml version="1.0"?><fontconfig><dir>{fonts}</dir><cachedir>{cache}</cachedir></fontconfig>'
_EM: Final = 1000
_ADVANCE: Final = 2 * _EM
_BOX: Final = struct.pack(">5h H H 4B 8h", 1, 0, 0, _EM, _EM, 3, 0, 1, 1, 1, 1, 0, 0, _EM, 0, 0, _EM, 0, -_EM)
"""A glyph: the square of an em. Contours, bounds, its last point, no instructions, flags, steps in x, steps in y."""


def config(folder: Path, fonts: Path) -> Path:
    """Write a configuration for fontconfig that lists only the fonts of one folder.

    Args:
        folder: Where the configuration and its cache go.
        fonts: The folder.
    """
    folder.mkdir(exist_ok=True)
    file = folder / "fonts.conf"
    file.write_text(_CONF.format(fonts=fonts, cache=folder / "cache"), encoding="utf-8")
    return file


def installed(family: str) -> Path | None:
    """Return the folder of an installed font family, if there is one."""
    found = [] if IS_BARE else sorted(INSTALLED.glob(f"*/{family}*"))
    return next((path for path in found if path.is_dir()), None)


def giant(folder: Path) -> Path:
    """Create a folder with one font that claims to be Helvetica."""
    folder.mkdir()
    (folder / "giant.ttf").write_bytes(_true_type(_tables()))
    return folder


def _tables() -> dict[bytes, bytes]:
    """Return the tables of a font in which every character is the same square; only fields that readers use are set."""
    names = [(1, "Helvetica"), (2, "Regular"), (4, "Helvetica"), (6, "Helvetica")]
    texts = [text.encode("utf-16-be") for _, text in names]
    records, offset = b"", 0
    for (kind, _), text in zip(names, texts, strict=True):
        records += struct.pack(">6H", 3, 1, 0x409, kind, len(text), offset)
        offset += len(text)
    one_for_all = struct.pack(">2H 6I", 13, 0, 28, 0, 1, 0x20, 0x2FFF, 1)
    head = struct.pack(">4I 2H 16x 4h 2H 3h", 0x10000, 0, 0, 0x5F0F3CF5, 0, _EM, 0, 0, _EM, _EM, 0, 8, 2, 1, 0)
    return {
        b"OS/2": struct.pack(
            ">H h 2H 54x 3H 3h 2H", 0, _ADVANCE, 400, 5, 64, 32, 0x2FFF, _ADVANCE, -_EM, 0, _ADVANCE, _EM
        ),
        b"cmap": struct.pack(">4H I", 0, 1, 3, 10, 12) + one_for_all,
        b"glyf": _BOX,
        b"head": head,
        b"hhea": struct.pack(">I 3h H 22x H", 0x10000, _ADVANCE, -_EM, 0, _ADVANCE, 1),
        b"hmtx": struct.pack(">H 2h", _ADVANCE, 0, 0),
        b"loca": struct.pack(">3I", 0, 0, len(_BOX)),
        b"maxp": struct.pack(">I 14H", 0x10000, 2, 4, 1, *[0] * 11),
        b"name": struct.pack(">3H", 0, len(names), 6 + len(records)) + records + b"".join(texts),
        b"post": struct.pack(">I 28x", 0x30000),
    }


def _true_type(tables: dict[bytes, bytes]) -> bytes:
    """Return the file that holds these tables."""
    offset = 12 + 16 * len(tables)
    directory, body = b"", b""
    for tag, table in sorted(tables.items()):
        directory += tag + struct.pack(">3I", 0, offset + len(body), len(table))
        body += table + b"\0" * (-len(table) % 4)
    return struct.pack(">I 4H", 0x10000, len(tables), 0, 0, 0) + directory + body
