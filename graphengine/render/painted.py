"""A painted drawing: SVG with its words, a page around that, PNG, PDF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.render.dot import dot_text

if TYPE_CHECKING:
    from graphengine.render.images import ImageFormat
    from graphengine.render.looks import Theme
    from graphengine.render.parts import Drawing


def svg_of(drawing: Drawing, theme: Theme, *, is_part: bool = False) -> bytes:
    """Return the drawing as SVG.

    Args:
        drawing: The drawing.
        theme: Whether it is dark, light, or follows the reader's preference.
        is_part: Whether it becomes part of a page, so that it needs no XML declaration.

    Raises:
        RenderError: No painter is installed, or it failed.
    """
    from graphengine.render.svg import accessible_svg  # noqa: PLC0415 - only pictures need it

    return accessible_svg(image_of(drawing, "svg", theme), drawing, is_adaptive=theme == "auto", is_part=is_part)


def html_of(drawing: Drawing, theme: Theme) -> bytes:
    """Return the drawing as a page of its own.

    Args:
        drawing: The drawing.
        theme: Whether it is dark, light, or follows the reader's preference.

    Raises:
        RenderError: No painter is installed, or it failed.
    """
    from graphengine.render.page import page_of  # noqa: PLC0415 - only pages need it

    return page_of(svg_of(drawing, theme, is_part=True), drawing, theme)


def image_of(drawing: Drawing, image_format: ImageFormat, theme: Theme) -> bytes:
    """Return the drawing as painted; `auto` is light.

    Raises:
        RenderError: No painter is installed, or it failed.
    """
    from graphengine.render.images import paint  # noqa: PLC0415 - only pictures need it

    return paint(dot_text(drawing, dark=theme == "dark"), image_format)
