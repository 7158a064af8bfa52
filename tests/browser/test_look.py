"""How the page looks: nothing is cut without a tooltip, nothing lies outside its card, and what matters comes first."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Server as PageServer
from tests.browser.on_page import line, names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.browser.conftest import Open, Stage

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SIZES = {"desktop": (1280, 900), "tablet": (800, 900), "phone": (390, 844)}
FONTS = ("DejaVu Sans", "Liberation Sans", "Noto Sans")  # wide, as Arial, much as Segoe UI; others if they are missing

LONG = "a name that is longer than any column, which somebody chose nevertheless, with all that it says"


@pytest.fixture(autouse=True)
def headway_dir(shared_dir: Path) -> Path:
    """The directory of the boards of all tests here."""
    return shared_dir


def full_board(stage: Stage) -> None:
    """Every state, large and small numbers, bytes, long texts, a dead worker."""
    stage.do(
        "task('all', total=40_000_000, unit='bar', label='Nightly run').set(stage='fit', message='the second pass')",
        "task('all').update(28_410_000)",
        "[task('all').task(f'done-{n}', total=1_200_000, unit='bar').update(1_200_000) for n in range(3)] and None",
        "[board.attach(f'all/done-{n}').succeed() for n in range(3)] and None",
        f"task('failed', label={LONG!r}).fail({LONG!r})",
        "task('again').fail('no prices for 2021-03-04')",
        "task('copy', total=212_000_000_000, unit='B').update(2_020_000_000)",
        "task('fill', total=5 << 30, unit='iB').update(1023 << 20)",
        f"task('long', label={LONG!r}, total=999_999, unit='event').set(stage={LONG!r}, message={LONG!r})",
        "task('waits', total=100)",
        "task('given-up').cancel()",
        "setattr(task('result'), 'result', {'rate': 0.000002499999999999947, 'rows': 124812, 'auc': 0.1 + 0.2})",
        "task('result').set(metrics={'loss': 0.1 + 0.2}) and None",
        "task('result').succeed()",
        "worker('all/done-9', 0.002)",
        "kill(worker('killed'))",
    )


# Elements whose text is wider than they are, none of which shows the whole in a tooltip.
CUT = """() => [...document.querySelectorAll('body *')].filter((one) => {
  const style = getComputedStyle(one);
  if (!['hidden', 'clip'].includes(style.overflowX) || style.clipPath !== 'none') return false;
  if (!one.textContent.trim() || one.scrollWidth <= one.clientWidth + 1) return false;
  if (one.matches('.chart, .chart *')) return false;
  return !one.closest('[title]') && !one.querySelector('[title]');
}).map((one) => `${one.className}: ${one.textContent}`)"""

# Numbers that are cut, tooltip or not.
CUT_NUMBERS = """() => [...document.querySelectorAll('.cell-progress .number, span.number, .figure-value')].filter(
  (one) => one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== 'inline'
).map((one) => `${one.className}: ${one.textContent}`)"""

# What lies outside the card that it is in; what is cut off at an element within the card lies inside of it.
CARDS = ".panel, .card, .alarm, .crew, .line, .board-line, .chip, .figure"
OUTSIDE = """(cards) => [...document.querySelectorAll(cards)]
  .flatMap((card) => {
    const edge = card.getBoundingClientRect();
    return [...card.querySelectorAll('*')].filter((one) => {
      if (one.closest('.sr, .bar, .strip, svg')) return false;
      for (let box = one.parentElement; box !== card; box = box.parentElement)
        if (getComputedStyle(box).overflowX !== 'visible') return false;
      const own = one.getBoundingClientRect();
      return own.width > 0 && (own.right > edge.right + 0.5 || own.left < edge.left - 0.5);
    }).map((one) => `${card.className} > ${one.className}: ${one.textContent}`);
  })"""

# Bars for scrolling where nothing is to be scrolled.
SCROLLED = """() => [...document.querySelectorAll('.tabs, .chips, .tools, .glance, .panel-head')].filter(
  (one) => one.scrollHeight > one.clientHeight && getComputedStyle(one).overflowY !== 'visible'
).map((one) => one.className)"""


def in_font(page: Page, font: str) -> None:
    page.evaluate("(font) => document.documentElement.style.setProperty('--font', font)", f"{font}, sans-serif")
    page.wait_for_timeout(150)  # a chart draws itself anew with the next snapshot


def flaws(page: Page) -> list[str]:
    found = [f"cut without a tooltip: {one}" for one in page.evaluate(CUT)]
    found += [f"a number is cut: {one}" for one in page.evaluate(CUT_NUMBERS)]
    found += [f"outside its card: {one}" for one in page.evaluate(OUTSIDE, CARDS)]
    found += [f"a needless scroll bar: {one}" for one in page.evaluate(SCROLLED)]
    width = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return [*found, f"wider than the window by {width}"] if width > 0 else found


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_nothing_is_cut_without_a_tooltip_nor_outside_its_card_in_any_font(
    open_page: Open, stage: Stage, size: tuple[int, int]
) -> None:
    full_board(stage)
    page = open_page(size=size).page
    expect(page.get_by_role("link", name=stage.board)).to_be_visible()
    root = page.url.partition("#")[0]
    parts = {"": ".throughput canvas", "/workers": ".workers tbody tr", "/tasks/all": ".pairs", "/tasks/long": ".pairs"}
    found = []
    for font in FONTS:
        for place, part in {"boards": ".card", **parts, "/tasks/result": ".pairs", "/tasks/failed": ".verdict"}.items():
            page.goto(f"{root}#/" if place == "boards" else f"{root}#/{stage.board}{place}")
            expect(page.locator(part).first).to_be_attached()
            in_font(page, font)
            found += [f"{font}, {place or 'tasks'}: {one}" for one in flaws(page)]
    assert not found, "\n".join(found)


def test_results_are_numbers_for_people_with_all_digits_in_a_tooltip(open_page: Open, stage: Stage) -> None:
    full_board(stage)
    page = open_page(f"{stage.board}/tasks/result").page
    result = page.get_by_role("region", name="Result")
    expect(result).to_contain_text("0.0000025")
    expect(result).to_contain_text("124,812")
    expect(result.get_by_title("0.30000000000000004")).to_have_text("0.3")


def test_a_task_without_stages_has_no_empty_cards(open_page: Open, stage: Stage) -> None:
    stage.do("task('plain', total=3).update(3)", "task('plain').succeed()", "task('staged').set(stage='fit')")
    page = open_page(f"{stage.board}/tasks/plain").page
    expect(page.get_by_role("region", name="Who counted")).to_be_visible()  # what comes with the details is there
    expect(page.get_by_role("region", name="Stages")).to_have_count(0)
    expect(page.locator(".task-main > *")).to_have_count(0)
    page.goto(f"{page.url.partition('#')[0]}#/{stage.board}/tasks/staged")
    expect(page.get_by_role("region", name="Stages")).to_be_visible()


def test_a_label_that_nobody_can_see_gives_way_to_the_id(open_page: Open, stage: Stage) -> None:
    stage.do("task('a', label='\u200b\u2060').update()", "task('b', label=' \u3164 ').update()")
    page = open_page(stage.board).page
    expect(page.locator(".list-body .cell-name a")).to_have_text(["a", "b"])


def test_what_died_and_what_failed_are_two_lines_of_one_card_that_open(open_page: Open, stage: Stage) -> None:
    full_board(stage)
    page = open_page(stage.board, size=SIZES["desktop"]).page
    lines = page.locator(".alarm")
    expect(lines).to_have_count(2)
    boxes = [box for box in (one.bounding_box() for one in lines.all()) if box is not None]
    assert all(box["height"] < 45 for box in boxes), boxes
    assert abs(boxes[0]["y"] + boxes[0]["height"] - boxes[1]["y"]) < 1, boxes
    died = page.get_by_role("region", name="1 process died, 1 task lost")
    expect(died).to_contain_text("on killed, stage count")
    died.get_by_role("button", name="1 process died, 1 task lost").click()
    expect(died.locator(".deaths")).to_contain_text("last seen")
    assert not flaws(page)
    died.get_by_role("button", name="1 process died, 1 task lost").click()
    expect(died.locator(".deaths")).to_have_count(0)


@pytest.mark.parametrize("size", [SIZES["desktop"], SIZES["tablet"]], ids=["desktop", "tablet"])
def test_many_filters_stand_in_a_line_below_search_and_order(
    open_page: Open, stage: Stage, size: tuple[int, int]
) -> None:
    full_board(stage)
    page = open_page(stage.board, size=size).page
    expect(page.locator(".chip")).to_have_count(6)

    def rows(part: str) -> set[float]:
        boxes = [one.bounding_box() for one in page.locator(f".tools {part}").all()]
        return {box["y"] for box in boxes if box is not None}

    assert len(rows(".search, .sort")) == 1
    assert len(rows(".chip")) == 1
    assert min(rows(".chip")) > max(rows(".search"))


def test_a_board_on_which_nothing_counts_says_so_in_place_of_an_empty_chart(open_page: Open, stage: Stage) -> None:
    stage.do("task('a', total=10).set(stage='load')", "task('b', total=10).set(stage='load')")
    page = open_page(stage.board).page
    throughput = page.get_by_role("region", name="Throughput")
    expect(throughput).to_contain_text("Nothing was counted yet")
    expect(throughput.locator("canvas")).to_have_count(0)
    expect(throughput).to_contain_text("all 2 stalled")  # after ten seconds
    expect(throughput).to_contain_text(
        re.compile(r"all running tasks are stalled. The last sign of life was \d+ s ago")
    )
    stage.do("task('a').update(5)")
    expect(throughput.locator("canvas")).to_be_visible()
    expect(throughput).not_to_contain_text("stalled")


# --- what comes first


def test_what_runs_comes_first_then_what_went_wrong(open_page: Open, stage: Stage) -> None:
    stage.do(
        "task('good').succeed()",
        "task('bad').fail('no')",
        "task('waits', total=3)",
        "worker('busy')",
        "kill(worker('killed'))",
        "task('over')",
        "tasks.update({'over/part': task('over').task('part')})",
        "worker('over/part')",
        "task('over').succeed()",
    )
    page = open_page(stage.board).page
    expect(line(page, "killed").locator(".state")).to_have_text("lost")
    # What still runs below a task that has ended is not far down with its parent.
    assert names(page) == ["busy", "over", "part", "killed", "bad", "waits", "good"]


def test_equal_errors_are_one_line_with_a_count_that_opens(open_page: Open, stage: Stage) -> None:
    stage.do(
        "[task(f'f{n}').fail(OSError('No space left')) for n in range(30)] and None",
        "[task(f'k{n}').fail(KeyError(f'column {n}')) for n in range(3)] and None",
        "task('one').fail(ValueError('no such symbol <b>'))",
        "task('good').succeed()",
    )
    page = open_page(stage.board).page
    panel = page.get_by_role("region", name="34 tasks failed")
    expect(panel).to_contain_text("30 × OSError: No space left and 2 other errors")
    expect(panel.locator(".failure")).to_have_count(0)
    panel.get_by_role("button", name="34 tasks failed").click()
    expect(panel.locator(".failure")).to_have_count(3)
    many = panel.locator("details").first
    expect(many.locator("summary")).to_contain_text("30 ×OSError: No space left")
    expect(many.get_by_role("link")).to_have_count(0)
    many.locator("summary").click()
    expect(many.get_by_role("link")).to_have_count(30)
    alike = panel.locator("details").nth(1)
    expect(alike.locator("summary")).to_contain_text("3 ×KeyError: 'column 2' and the like")
    alike.locator("summary").click()
    expect(alike).to_contain_text("KeyError: 'column 0'")
    panel.get_by_role("link", name="one").click()
    expect(page.locator(".verdict")).to_contain_text("ValueError: no such symbol <b>")


def test_failures_are_in_the_title_the_figures_and_a_panel_that_comes_back(open_page: Open, stage: Stage) -> None:
    stage.do("[task(f'f{n}').fail('no') for n in range(18)] and None", "task('a').update()")
    page = open_page(stage.board).page
    expect(page).to_have_title(re.compile(r"^\(18 failed\)"))
    failed = page.locator(".figure").filter(has_text="Failed")
    expect(failed.locator(".figure-value")).to_have_text("18")
    panel = page.get_by_role("region", name="18 tasks failed")
    panel.get_by_role("link", name="Failed tasks only").click()
    expect(page).to_have_url(re.compile("state=failed"))
    panel.get_by_role("button", name="Dismiss").click()
    expect(panel).to_have_count(0)
    stage.do("task('f18').fail('no')")  # a further one shows all again
    expect(page.get_by_role("region", name="19 tasks failed")).to_be_visible()


def test_a_board_tells_when_it_began_and_when_it_will_end_and_a_finished_one_what_it_took(
    open_page: Open, stage: Stage
) -> None:
    stage.do("task('a', total=10**6).update()", "worker('a', 0.005)")
    page = open_page(stage.board).page
    figures = page.get_by_role("region", name="At a glance")
    expect(figures).to_contain_text(re.compile(r"Time left.*about .*\d\d:\d\d"))
    expect(figures).to_contain_text(re.compile(r"Elapsed.*since \d\d:\d\d:\d\d"))
    stage.do("board.attach('a').succeed()")
    expect(figures).to_contain_text(re.compile(r"Took.*\d\d:\d\d:\d\d to \d\d:\d\d:\d\d"))
    expect(figures).not_to_contain_text("Time left")


def test_two_runs_of_one_task_are_two_that_ended_and_one_in_the_list(open_page: Open, stage: Stage) -> None:
    stage.do("task('a').succeed()", "tasks.pop('a') and None", "task('a').succeed()")
    page = open_page(stage.board).page
    expect(page.locator(".tabs [aria-current]")).to_contain_text("1")
    expect(page.get_by_role("button", name="succeeded 1")).to_be_visible()  # what the filter finds in the list
    figures = page.get_by_role("region", name="At a glance")
    expect(figures).to_contain_text("2 succeeded")
    expect(figures).to_contain_text("1 in the history only")


# --- many boards

MANY = """
import select
import sys

import headway

held = []
for n in range(300):
    board = headway.open(f"board-{n:03}", capacity=8, record=False)
    task = board.task("a", total=10)
    task.update(10)
    if n % 100 == 50:
        task.fail("no such column")
    elif n % 100 != 99:
        task.succeed()
    board.write_snapshot()
    if n % 100 == 99:
        held.append(board)
    else:
        board.remove(files=False)
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0.25)[0]:
    for board in held:
        board.write_snapshot()
for board in held:
    board.remove()
"""


@contextlib.contextmanager
def many_boards(folder: Path) -> Iterator[Path]:
    """A folder of 300 boards, held by a program: three of them live, three failed, the others at rest."""
    script = folder / "many.py"
    script.write_text(MANY)
    boards = folder / "boards"
    boards.mkdir(mode=0o700)
    with subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "HEADWAY_DIR": str(boards)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        try:
            assert program.stdout.readline() == "ready\n"
            yield boards
        finally:
            program.stdin.close()
            program.wait(60)


def test_among_three_hundred_boards_the_live_and_the_failed_come_first_and_a_search_finds_any(
    open_page: Open, tmp_path: Path
) -> None:
    with many_boards(tmp_path) as boards:
        server = PageServer(arguments=("--dir", str(boards)))
        try:
            page = open_page(root=server.link).page
            expect(page.get_by_role("heading", level=3)).to_have_count(300)
            first = page.get_by_role("heading", level=3).all_inner_texts()[:6]
            assert first[:3] == ["board-099", "board-199", "board-299"]
            assert sorted(first[3:]) == ["board-050", "board-150", "board-250"]
            page.get_by_role("button", name="failing 3").click()
            expect(page.get_by_role("heading", level=3)).to_have_count(3)
            assert page.url.endswith("#/?state=failing")
            page.get_by_role("button", name="failing 3").click()
            page.keyboard.press("/")
            page.keyboard.type("171")
            expect(page.get_by_role("heading", level=3)).to_have_text(["board-171"])
            assert page.url.endswith("#/?q=171")
            page.get_by_role("searchbox").fill("nothing like this")
            page.get_by_role("button", name="Show all").click()
            expect(page.get_by_role("heading", level=3)).to_have_count(300)
            page.close()
        finally:
            server.stop()
