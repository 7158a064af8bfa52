"""What the tests of the page share: how they find things on it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page


def lines(page: Page) -> Locator:
    return page.locator(".list-body > [role=row]")


def line(page: Page, name: str) -> Locator:
    """The line of the task of this name."""
    return lines(page).filter(has=page.locator(".cell-name").get_by_text(name, exact=True))


def names(page: Page) -> list[str]:
    return lines(page).locator(".cell-name a").all_inner_texts()


def until(what: str, holds: Callable[[], Any], timeout_s: float = 20) -> None:
    """Wait until `holds()` is true."""
    give_up = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < give_up, f"not within {timeout_s} s: {what}"
        time.sleep(0.05)
