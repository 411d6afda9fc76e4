"""What axe-core finds wrong with a page, where it is installed: contrast, names, roles, and structure."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Page

_AXE = Path(__file__).parent / "axe" / "node_modules" / "axe-core" / "axe.min.js"
_RUN = """() => axe.run(document, {resultTypes: ["violations"]}).then((found) => found.violations
  .filter((each) => ["serious", "critical"].includes(each.impact))
  .map((each) => `${each.id}: ${each.nodes.slice(0, 3).map((node) => node.html).join(" | ")}`))"""
needs_axe = pytest.mark.skipif(not _AXE.is_file(), reason="axe-core is not installed: make servers")


def serious_findings(page: Page) -> Sequence[str]:
    """Return what is seriously wrong with a page as it is shown; nothing where axe-core is not installed."""
    if not _AXE.is_file():
        return []
    if not page.evaluate("'axe' in window"):
        page.evaluate(_AXE.read_text(encoding="utf-8"))
    found: Sequence[str] = page.evaluate(_RUN)
    return found


def check_accessible(page: Page) -> None:
    """Assert that axe-core finds nothing serious, by day and by night."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert serious_findings(page) == []


__all__ = ["check_accessible", "needs_axe", "serious_findings"]
