"""What axe finds on a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

SCRIPT = Path(__file__).resolve().parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
RULES = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']"


def axe(page: Page) -> list[str]:
    """Each violation with the first element that it was found at."""
    page.evaluate(SCRIPT.read_text())
    found = page.evaluate(f"axe.run(document, {{runOnly: {RULES}}})")
    assert len(found["passes"]) > 10, "axe looked at nothing"
    return [f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}" for one in found["violations"]]
