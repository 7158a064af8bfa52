"""The page of analyses in a real browser: live while programs work elsewhere, and harmless whatever they say."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from headway.analysis import FileBasedProgressTracker
from headway.upkeep import listing, removal
from tests.integration.served import WAIT_S, serving

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
HOSTILE = [
    "<img src=x onerror=\"window.hacked = 'img'\">",
    "<script>window.hacked = 'script'</script>",
    '"><svg/onload="window.hacked = \'svg\'">',
    "javascript:window.hacked='url'",
    "{{ 7 * 7 }} ${7 * 7}",
    "\u202eright to left\u202d",
    "📈" * 200,
    "x" * 3000,
    "a\nb\tc",
    "&lt;b&gt;",
]


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page that may say nothing on the console, and ask for nothing outside of its server."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(WAIT_S * 1000)
    page = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))
    page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
    page.on("request", lambda request: asked.append(request.url))
    yield page
    context.close()
    assert asked
    assert not [url for url in asked if not url.startswith(("http://127.0.0.1:", "about:"))]
    assert not complaints


@contextlib.contextmanager
def visited(page: Page, kind: str, directory: Path) -> Iterator[None]:
    """The page, open on what a tracker of this kind has in a directory."""
    with serving(kind, directory) as server:
        page.goto(server.url)
        try:
            yield
            assert page.evaluate("window.hacked") is None
        finally:
            page.goto("about:blank")  # before the server ends: a page that asks in vain complains on the console


@pytest.fixture(params=["shared", "file"])
def kind(request: pytest.FixtureRequest, headway_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("HEADWAY_RECORD", "1")
    yield request.param
    for name in ("analysis", "totals"):
        if listing.find(name) is not None:
            removal.remove(name, force=True)


@contextlib.contextmanager
def working(program: str, kind: str, directory: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program at work in another process. Its report goes to a file, where it cannot fill a pipe."""
    directory.mkdir(parents=True, exist_ok=True)
    where = ("--tracker", kind, "--dir", str(directory))
    command = [sys.executable, str(EXAMPLES / program), *where, "--workers", "2", "--json", *arguments]
    with (directory / "report.json").open("wb") as report, (directory / "said").open("wb") as said:
        process = subprocess.Popen(command, stdout=report, stderr=said, start_new_session=True)
    with process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, (directory / "said").read_text()


def shown(page: Page) -> dict[str, dict[str, str]]:
    """What the table says: of each id its status and its texts."""
    rows: dict[str, dict[str, str]] = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("#analyses tbody tr")].map((row) => [
            row.querySelector(".id").textContent,
            {
                status: row.className,
                symbol: row.querySelector(".name").textContent,
                stage: row.querySelector(".stage bdi").textContent,
                outcome: row.querySelector(".badge").textContent,
                message: row.querySelector(".message").textContent,
                steps: [...row.querySelectorAll(".steps i")].map((step) => step.className).join(" "),
            },
        ]))"""
    )
    return rows


@pytest.mark.timeout(300)
def test_rows_move_while_a_program_works_in_another_process(page: Page, kind: str, headway_dir: Path) -> None:
    with visited(page, kind, headway_dir):
        page.get_by_text("No analysis has begun in that time.").wait_for()
        counts, steps = set(), set()
        with working("auto_symbol_training.py", kind, headway_dir) as program:
            while program.poll() is None:
                rows = shown(page)
                counts.add(len(rows))
                steps |= {row["steps"] for row in rows.values() if row["status"] == "running"}
                page.wait_for_timeout(50)
        report = json.loads((headway_dir / "report.json").read_bytes())
        assert len(counts) >= 5, f"it was not live: {sorted(counts)} rows"
        assert "done done current open open" in steps, "no row was seen at work"
        expect(page.locator("#counts .running")).to_have_text("0 running")
        rows = shown(page)
        assert len(rows) == len(report["analyses"]) == 40
        for analysis in report["analyses"]:
            row = rows[analysis["execution_id"]]
            assert (row["status"], row["symbol"]) == (analysis["overall_status"], analysis["symbol"])
            assert row["message"] == analysis["final_message"]
        failed = [row for row in rows.values() if row["status"] == "failed"]
        assert [(row["stage"], row["steps"]) for row in failed] == [
            ("failed in ml prediction", "done done failed open open")
        ]
        assert page.locator("#link").text_content() == "live"


def test_the_total_of_all_workers_rises_where_there_is_one(page: Page, kind: str, headway_dir: Path) -> None:
    with visited(page, kind, headway_dir):
        figures = set()
        stages = set()
        with working("scalable_analysis_system.py", kind, headway_dir) as program:
            while program.poll() is None:
                figures |= set(page.locator(".figures").all_text_contents())
                stages |= {row["stage"] for row in shown(page).values()}
                page.wait_for_timeout(50)
        expect(page.locator("#counts .success")).to_have_text("8 success")
        assert any(stage.endswith((" 1D", " 2D", " 1W", " 2W", " 1M")) for stage in stages), stages
        if kind == "shared":
            halfway = [text for text in figures if 0 < int(text.split()[0]) < 240]
            assert halfway, figures
            page.get_by_text("240 of 240, success").wait_for()
        else:
            assert figures == set()


def test_with_a_tracker_in_memory_the_page_stays_empty(page: Page, headway_dir: Path) -> None:
    with visited(page, "memory", headway_dir):
        arguments = ("--symbols", "SP500-1999-2003", "--time-frames", "1W")
        with working("auto_symbol_training.py", "memory", headway_dir, *arguments) as program:
            program.wait(WAIT_S)
        page.wait_for_timeout(1500)
        assert shown(page) == {}
        page.get_by_text("No analysis has begun in that time.").wait_for()


def test_hostile_names_are_shown_as_they_are(page: Page, headway_dir: Path) -> None:
    tracker = FileBasedProgressTracker(headway_dir)
    for number, text in enumerate(HOSTILE):
        tracker.start_analysis(text, f"{text}"[:20] + f" {number}")
        tracker.update_stage(f"{text}"[:20] + f" {number}", text)
        if number % 2:
            tracker.complete_analysis(f"{text}"[:20] + f" {number}", text, text)
        else:
            tracker.fail_analysis(f"{text}"[:20] + f" {number}", text, text)
    with visited(page, "file", headway_dir):
        page.locator("tbody tr").first.wait_for()
        page.wait_for_timeout(700)  # another turn, over the rows that are there
        rows = shown(page)
        assert {row["symbol"] for row in rows.values()} == set(HOSTILE)
        assert {row["message"] for row in rows.values()} == set(HOSTILE)
        assert set(rows) == {f"{text}"[:20] + f" {number}" for number, text in enumerate(HOSTILE)}
        assert page.locator("tbody :is(img, script, svg, a, iframe, style)").count() == 0
        for width in (1280, 400):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{width} px are too few"


def test_a_row_is_found_by_symbol_or_id(page: Page, headway_dir: Path) -> None:
    tracker = FileBasedProgressTracker(headway_dir)
    for number in range(5):
        tracker.start_analysis(f"Symbol-{number}", f"run/{number + 5}")
    with visited(page, "file", headway_dir):
        for sought, found in (
            ("symbol-3", ["run/8"]),
            ("RUN/6", ["run/6"]),
            ("", [f"run/{n}" for n in (9, 8, 7, 6, 5)]),
        ):
            page.get_by_placeholder("Find a symbol or an id").fill(sought)
            expect(page.locator("tbody .id")).to_have_text(found)
        page.get_by_placeholder("Find a symbol or an id").fill("nothing like it")
        page.get_by_text("No symbol and no id has that in it.").wait_for()
