"""The report of a run in Chromium: opened as a file, with nothing on the console and nobody asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from headway.exporters.report import report
from headway.model import BoardView, StageView, TaskView, WorkerView

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_file_opens_without_a_word_and_asks_nobody(chromium: Browser, tmp_path: Path, scheme: str) -> None:
    tasks = [
        TaskView(
            id=f"task {number} <img src=x onerror=alert(1)>",
            state=("success", "failed", "lost")[number % 3],
            count=number,
            total=300,
            unit="file",
            owner_pid=number % 4,
            started=100.0 + number,
            ended=None if number % 3 == 2 else 110.0 + number,
            beat=105.0 + number,
            serial=number,
            taken_at=500.0,
            stages=(StageView("load", 100.0 + number, 104.0 + number), StageView("fit", 104.0 + number)),
        )
        for number in range(300)
    ]
    workers = [WorkerView(incarnation=pid, pid=pid, name=f"w{pid}") for pid in range(4)]
    place = tmp_path / "report.html"
    place.write_text(report(BoardView.of("night <b>", tasks, workers, taken_at=500.0), ()))
    context = chromium.new_context(color_scheme="dark" if scheme == "dark" else "light")
    try:
        page = context.new_page()
        said: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(place.as_uri())
        expect(page.get_by_role("heading", name="night <b>")).to_be_visible()
        expect(page.get_by_role("img", name="timeline of tasks by worker")).to_be_visible()
        assert page.locator("svg rect.lost").count() == 100
        fill = page.locator("svg rect.lost").first.evaluate("bar => getComputedStyle(bar).fill")
        assert fill == ("rgb(215, 119, 230)" if scheme == "dark" else "rgb(160, 43, 176)")
        assert said == []
        assert asked == [place.as_uri()]
    finally:
        context.close()
