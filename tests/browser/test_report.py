"""The report of a run in Chromium: opened as a file, with nothing on the console and nobody asked."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from headway.exporters.report import report
from headway.tasks.states import STATES
from headway.views.board_view import BoardView, StageView, TaskView, WorkerView
from tests.browser.accessibility import axe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</style></svg><script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "שלום עולם \u202etxt.exe",
    "🚀" * 23,
    "W" * 90,
    "\x1b[31m\0",
)


def page_of(tasks: int, workers: int = 8) -> str:
    """The report of so many tasks in all states, with labels of all kinds."""
    views = [
        TaskView(
            id=f"task {number}",
            label=f"{HOSTILE[number % len(HOSTILE)]} {number}",
            state=STATES[number % len(STATES)],
            count=number % 300,
            total=300,
            unit="file",
            error=HOSTILE[number % len(HOSTILE)] if STATES[number % len(STATES)] == "failed" else "",
            owner_pid=number % workers,
            started=None if STATES[number % len(STATES)] == "pending" else 100.0 + number / 10,
            ended=105.0 + number / 10 if STATES[number % len(STATES)] in ("success", "failed", "cancelled") else None,
            beat=105.0 + number / 10,
            serial=number,
            taken_at=2000.0,
            stages=(StageView("load", 100.0 + number / 10, 102.0 + number / 10), StageView("fit", 102.0 + number / 10)),
        )
        for number in range(tasks)
    ]
    crew = [WorkerView(incarnation=pid, pid=pid, name=HOSTILE[pid % len(HOSTILE)]) for pid in range(workers)]
    return report(BoardView.of("night <b>", views, crew, taken_at=2000.0), ())


@contextlib.contextmanager
def opened(browser: Browser, place: Path, *, dark: bool = False, width: int = 1280) -> Iterator[Page]:
    """The file in a page that says nothing and asks nobody."""
    context = browser.new_context(
        color_scheme="dark" if dark else "light", viewport={"width": width, "height": 900}, bypass_csp=False
    )
    said: list[str] = []
    asked: list[str] = []
    try:
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(place.as_uri())
        yield page
        assert said == []
        assert asked == [place.as_uri()]
    finally:
        context.close()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_file_opens_without_a_word_and_asks_nobody(chromium: Browser, tmp_path: Path, dark: bool) -> None:
    place = tmp_path / "report.html"
    place.write_text(page_of(300))
    with opened(chromium, place, dark=dark) as page:
        expect(page.get_by_role("heading", name="night <b>")).to_be_visible()
        expect(page.get_by_role("img", name="timeline of tasks by worker")).to_be_visible()
        assert page.locator("svg rect.lost").count() == 50
        fill = page.locator("svg rect.lost").first.evaluate("bar => getComputedStyle(bar).fill")
        assert fill == ("rgb(215, 119, 230)" if dark else "rgb(160, 43, 176)")


def test_ten_thousand_tasks_with_hostile_labels_are_shown_as_texts(chromium: Browser, tmp_path: Path) -> None:
    place = tmp_path / "report.html"
    began = time.monotonic()
    place.write_text(page_of(10_000))
    assert time.monotonic() - began < 20
    assert place.stat().st_size < 4 << 20
    with opened(chromium, place) as page:
        expect(page.get_by_role("heading", name="What died, and where")).to_be_visible()
        expect(page.locator("h1")).to_have_text("night <b>")
        shown = page.locator("main").inner_text()
        for text in HOSTILE[:3]:
            assert text in shown
        assert "10,000 tasks" in shown
        assert "\u202e" not in page.content()
        assert page.locator("main :is(img, script, a, iframe, link, object, style)").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(("dark", "width"), [(False, 1280), (True, 1280), (False, 390)], ids=["light", "dark", "phone"])
def test_axe_finds_nothing(chromium: Browser, built_page: None, tmp_path: Path, dark: bool, width: int) -> None:
    place = tmp_path / "report.html"
    policy = 'http-equiv="Content-Security-Policy"'
    place.write_text(page_of(120).replace(policy, "name=policy"))  # which lets no script in, and so not axe
    with opened(chromium, place, dark=dark, width=width) as page:
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert axe(page) == []
