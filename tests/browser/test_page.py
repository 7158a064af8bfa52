"""The dashboard's page in a real browser, on a real server, over boards of real programs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from headway.analysis import FileBasedProgressTracker
from headway.upkeep import removal
from tests.browser.accessibility import axe
from tests.browser.conftest import Server as PageServer
from tests.browser.on_page import line, lines, names, until

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.conftest import Open, Server, Stage
    from tests.conftest import RunPython

PHONE = (390, 844)
pytestmark = [pytest.mark.browser, pytest.mark.slow]

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "javascript:alert(1)",
    "שלום עולם \u202etxt.exe",
    "a/../../b?c=1#d%2e%00"[:20],
    "..",
    "Z̸̢̧͔͍̬̙̱a͓̺̻̖l͈͙͍g̮̖̠o",
    "🚀" * 23,
    "W" * 90,
]


@pytest.fixture(autouse=True)
def headway_dir(shared_dir: Path) -> Path:
    """The directory of the boards of all tests here."""
    return shared_dir


# --- live

POOL = """
import multiprocessing, sys, time
from concurrent.futures import ProcessPoolExecutor

import headway


def work(n):
    time.sleep(0.02)
    return n


if __name__ == "__main__":
    with headway.open(sys.argv[1], record=False) as board:
        with board.task("sums", total=100_000, unit="sum") as task:
            fork = multiprocessing.get_context("fork")
            with ProcessPoolExecutor(2, fork) as pool:
                futures = [pool.submit(task.counts(work), n) for n in range(2000)]
                while not all(future.done() for future in futures):
                    board.write_snapshot()
                    time.sleep(0.25)
"""


def test_rows_move_while_a_pool_works_in_another_process(
    open_page: Open, server: Server, board_name: str, tmp_path: Path
) -> None:
    page = open_page(board_name).page
    expect(page.get_by_text("There is no board")).to_be_visible()  # the program comes later than the page
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    program = subprocess.Popen([sys.executable, str(script), board_name], start_new_session=True)
    try:
        count = line(page, "sums").locator(".cell-count")
        expect(count).to_be_visible()
        seen: set[str] = set()

        def six() -> bool:
            seen.add(count.inner_text())
            return len(seen) > 5

        until("six different counts", six)
        expect(line(page, "sums").locator(".cell-rate")).to_contain_text("/s")
        expect(page.locator(".crew li.is-working")).to_have_count(2)
    finally:
        os.killpg(program.pid, signal.SIGKILL)
        program.wait(10)
        removal.remove(board_name, force=True)


def test_bytes_have_units_of_bytes_in_the_list_and_on_the_page_of_the_task(open_page: Open, stage: Stage) -> None:
    stage.do("task('copy', total=5_000_000, unit='B')", "task('fill', total=5 << 20, unit='iB')")
    page = open_page(stage.board).page
    expect(line(page, "copy").locator(".cell-count")).to_have_text("0 B / 5.00 MB")
    expect(line(page, "fill").locator(".cell-count")).to_have_text("0 B / 5.00 MiB")
    line(page, "copy").get_by_role("link", name="copy").click()
    expect(page.locator(".task-figures dd").nth(1)).to_have_text("0 B of 5.00 MB")  # and no unit once more


def test_a_worker_that_is_killed_shows_as_lost_and_where_it_was(open_page: Open, stage: Stage) -> None:
    pid = stage.do("task('fold', total=100000, unit='bar', label='Fold one')", "worker('fold')")
    page = open_page(stage.board).page
    expect(line(page, "Fold one").locator(".state")).to_have_text("running")
    expect(page.locator(".alarm")).to_have_count(0)
    began = time.monotonic()
    stage.do(f"kill({pid})")
    expect(line(page, "Fold one").locator(".state")).to_have_text("lost")
    assert time.monotonic() - began < 10  # two intervals are half a second
    deaths = page.get_by_role("region", name="1 process died, 1 task lost")
    expect(deaths).to_contain_text(f"pid {pid}")
    expect(deaths).to_contain_text(re.compile(r"on Fold one, stage count, at [\d,]+ of 100,000 bar – lost"))
    expect(page).to_have_title(re.compile(r"^\(1 lost\)"))
    expect(page.locator(".crew li.is-lost")).to_contain_text(str(pid))

    deaths.get_by_role("button", name="Dismiss").click()
    expect(deaths).to_have_count(0)
    page.get_by_role("button", name="Show").click()
    deaths.get_by_role("link", name="Fold one").click()
    expect(page.get_by_role("heading", name="Fold one")).to_be_visible()
    expect(page.locator(".verdict")).to_contain_text(f"its process was pid {pid}")


def test_who_died_stays_until_put_away_also_when_its_place_is_taken(open_page: Open, stage: Stage) -> None:
    stage.do("task('main', total=1000).update()")
    pid = stage.do("worker('victim')")
    page = open_page(stage.board).page
    stage.do(f"kill({pid})")
    panel = page.get_by_role("region", name="1 process died")
    expect(panel).to_contain_text("victim")
    stage.do("archive()")
    ended = page.locator(".figures")
    stage.do("[board.task(f't{n}', total=1).succeed() for n in range(300)] and None")
    expect(line(page, "victim")).to_have_count(0)
    expect(ended).to_contain_text("301")
    expect(panel).to_contain_text("victim")
    page.reload()
    expect(panel).to_contain_text("victim")
    expect(panel).to_contain_text(str(pid))
    panel.get_by_role("button", name="Dismiss").click()
    expect(panel).to_have_count(0)
    stage.do("[board.task(f'u{n}', total=1).succeed() for n in range(100)] and None")
    expect(ended).to_contain_text("401")
    expect(panel).to_have_count(0)


def test_workers_that_died_or_stall_stand_first(open_page: Open, stage: Stage) -> None:
    dead = stage.do("worker('a')", "worker('b')", "worker('c')")
    page = open_page(f"{stage.board}/workers").page
    expect(page.locator(".workers tbody tr")).to_have_count(4)
    stage.do(f"kill({dead})")
    expect(page.locator(".workers tbody tr").first).to_contain_text(str(dead))
    expect(page.locator(".workers tbody tr").first.locator(".state")).to_have_text("lost")


def test_what_a_worker_has_in_hand_is_told_while_it_works_and_when_it_was_killed(open_page: Open, stage: Stage) -> None:
    item = "<i>BTC-1h</i>"
    died = stage.do(f"worker('hung', item={item!r})", "worker('more', item='SOL-1h')")
    page = open_page(f"{stage.board}/workers").page
    row = page.locator(".workers tbody tr")
    held = re.compile(r"^SOL-1h for \d")
    expect(row.filter(has_text=str(died)).locator(".in-hand")).to_have_text(held)
    stage.do(f"kill({died})")
    expect(row.first.locator(".state")).to_have_text("lost")
    expect(row.first.locator(".in-hand")).to_have_text(held)
    escaped = row.filter(has_text="hung").locator(".in-hand")
    expect(escaped).to_have_text(re.compile(r"^<i>BTC-1h</i> for \d"))
    expect(escaped.locator("i")).to_have_count(0)

    page.goto(f"{page.url.partition('#')[0]}#/{stage.board}")
    deaths = page.get_by_role("region", name="1 process died, 1 task lost")
    expect(deaths).to_contain_text(re.compile(rf"pid {died} had SOL-1h for .+ in hand"))
    expect(page.locator(".crew li.is-lost .in-hand")).to_have_text(held)
    page.goto(f"{page.url.partition('#')[0]}#/{stage.board}/tasks/hung")
    counted = page.get_by_role("region", name="Who counted")
    expect(counted.locator("tbody tr .in-hand")).to_have_text(re.compile(r"^<i>BTC-1h</i> for \d"))


def test_a_task_is_called_stalled_when_its_own_time_is_over(open_page: Open, stage: Stage) -> None:
    stage.do("task('soon', total=5, stall_after=1).update()", "task('never', total=5, stall_after=math.inf).update()")
    page = open_page(f"{stage.board}").page
    expect(line(page, "soon").locator(".state")).to_have_text("stalled")
    expect(line(page, "never").locator(".state")).to_have_text("running")
    page.goto(f"{page.url.partition('#')[0]}#/{stage.board}/tasks/never")
    expect(page.get_by_role("region", name="Facts")).to_contain_text("Stalled afternever")


def test_a_task_that_does_nothing_for_long_is_called_stalled(open_page: Open, stage: Stage) -> None:
    stage.do("task('hung', total=5).update()", "task('busy', total=10**9)", "worker('busy')")
    page = open_page(stage.board).page
    expect(line(page, "hung").locator(".state")).to_have_text("running")
    expect(line(page, "hung").locator(".state")).to_have_text("stalled", timeout=25_000)
    expect(line(page, "busy").locator(".state")).to_have_text("running")
    page.get_by_role("button", name="stalled 1").click()
    expect(lines(page)).to_have_count(1)


def test_a_task_tells_its_stages_metrics_result_and_who_counted(open_page: Open, stage: Stage) -> None:
    stage.do(
        "task('model', total=10, label='The model')",
        "task('model').set(stage='load', message='prices')",
        "task('model').task('fold-1', total=2).update()",
    )
    page = open_page(f"{stage.board}/tasks/model").page
    expect(page.get_by_role("heading", name="The model")).to_be_visible()
    metrics, throughput = (page.get_by_role("region", name=name) for name in ("Metrics", "Throughput"))
    for number in range(100):  # the server notes the values of running tasks about once a second
        stage.do(
            f"task('model').set(stage='fit', metrics={{'loss': {1 / (number + 1):.3f}}})",
            f"task('model').update({int(number < 8)})",
        )
        if metrics.locator("canvas").count() and throughput.locator("canvas").count():
            break
        time.sleep(0.25)
    stage.do("task('model').set(metrics={'loss': 0.25})")
    expect(metrics).to_contain_text("0.25")
    stages = page.get_by_role("region", name="Stages")
    expect(stages.locator(".stage-sums li")).to_have_text([re.compile("^load"), re.compile("^fit")])
    expect(metrics.locator("canvas")).to_have_count(1)
    expect(throughput.locator("canvas")).to_have_count(1)
    expect(page.get_by_role("region", name="Children")).to_contain_text("fold-1")
    expect(page.get_by_role("region", name="Who counted")).to_contain_text(str(stage.pid))
    stage.do("setattr(task('model'), 'result', {'auc': 0.91, 'rows': 124812})", "task('model').succeed()")
    result = page.get_by_role("region", name="Result")
    expect(result).to_contain_text("0.91")
    expect(result).to_contain_text("124,812")
    expect(page.locator(".task-title .state")).to_have_text("succeeded")


def test_a_failed_task_tells_its_error(open_page: Open, stage: Stage) -> None:
    stage.do("task('a').update()", "task('a').fail(ValueError('no such symbol <b>'))")
    page = open_page(stage.board).page
    expect(line(page, "a").locator(".cell-message")).to_have_text("ValueError: no such symbol <b>")
    line(page, "a").click()
    expect(page.locator(".verdict")).to_contain_text("ValueError: no such symbol <b>")


def test_the_throughput_of_a_board_is_drawn(open_page: Open, stage: Stage) -> None:
    stage.do("task('a', unit='bar')", "worker('a', 0.002)")
    page = open_page(stage.board).page
    chart = page.get_by_role("region", name="Throughput")
    expect(chart.locator("canvas")).to_have_count(1)
    expect(chart.locator(".panel-figure")).to_have_text(re.compile(r"^[\d.]+k? bar/s$"))
    expect(chart.get_by_role("img")).to_have_attribute("aria-label", re.compile(r"^Throughput: [\d.]+k? bar/s now"))


def test_all_boards_are_listed_and_lead_to_their_tasks(open_page: Open, stage: Stage) -> None:
    stage.do("task('a', total=5).update()", "task('b').fail('no')")
    page = open_page().page
    card = page.get_by_role("link", name=stage.board)
    expect(card).to_contain_text("1 running")
    expect(card).to_contain_text("1 failed")
    stage.do("task('a').succeed()")
    expect(card).to_contain_text("1 succeeded")
    card.click()
    expect(line(page, "b")).to_be_visible()


PAST = """
import sys, time

import headway

with headway.open(sys.argv[1]) as board:
    for n in range(3):
        with board.task(f"fold-{n}", total=100, unit="bar") as task:
            for stage in ("load", "fit"):
                task.set(stage=stage, message=f"{stage} it")
                for _ in task.track(range(50)):
                    time.sleep(0.005)
            task.result = {"auc": 0.5 + n / 10}
    board.task("bad").fail(ValueError("no prices <b>"))
"""


def test_the_history_lists_what_ended_with_its_stages_result_and_error(
    open_page: Open, server: Server, board_name: str, run_python: RunPython
) -> None:
    try:
        run_python(PAST, board_name, env={"HEADWAY_RECORD": "1"})
        page = open_page(f"{board_name}/history").page
        ended = page.locator(".ended > li")
        expect(ended).to_have_count(4)
        fold = ended.filter(has_text="fold-1")
        fold.click()
        expect(fold.locator(".stage-sums li")).to_have_text([re.compile("^load"), re.compile("^fit")])
        expect(fold.locator(".pairs")).to_contain_text("0.6")
        expect(fold.locator("canvas")).to_have_count(1)
        page.get_by_label("State").select_option("failed")
        expect(ended).to_have_count(1)
        ended.click()
        expect(ended).to_contain_text("ValueError: no prices <b>")
        assert "state=failed" in page.url
        page.get_by_label("State").select_option("")
        page.get_by_role("searchbox").fill("fold-2")
        expect(ended).to_have_count(1)
        assert not axe(page)
        page.close()
    finally:
        removal.remove(board_name, force=True)


# --- finding one's way


def crowd(stage: Stage) -> None:
    stage.do(
        "task('all', total=4, label='All')",
        "[task('all').task(f'fold-{n}', total=10 * n).update(n) for n in (1, 2, 3)] and None",
        "task('download', total=7, label='Download prices')",
        "task('broken').fail('no')",
        "task('done', total=1).succeed()",
    )


def test_filters_narrow_the_list_and_stand_in_the_address(open_page: Open, stage: Stage) -> None:
    crowd(stage)
    page = open_page(stage.board).page
    expect(lines(page)).to_have_count(7)
    page.get_by_role("button", name="failed 1").click()
    expect(lines(page)).to_have_count(1)
    assert page.url.endswith(f"#/{stage.board}?state=failed")
    page.get_by_role("button", name="succeeded 1").click()
    expect(lines(page)).to_have_count(2)
    page.reload()
    expect(lines(page)).to_have_count(2)
    page.keyboard.press("Escape")
    expect(lines(page)).to_have_count(7)


def test_a_search_finds_labels_ids_and_messages_and_shows_what_stands_above(open_page: Open, stage: Stage) -> None:
    crowd(stage)
    page = open_page(stage.board).page
    expect(lines(page)).to_have_count(7)
    page.keyboard.press("/")
    page.keyboard.type("FOLD-2")
    expect(lines(page)).to_have_count(2)
    assert names(page) == ["All", "fold-2"]
    page.get_by_role("searchbox", name="Search tasks").fill("prices")
    expect(lines(page)).to_have_count(1)
    page.get_by_role("searchbox", name="Search tasks").fill("nothing like this")
    expect(page.get_by_text("None of the 7 tasks is like that.")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(lines(page)).to_have_count(7)


def test_columns_sort_both_ways(open_page: Open, stage: Stage) -> None:
    crowd(stage)
    page = open_page(stage.board).page
    expect(lines(page)).to_have_count(7)
    assert names(page)[0] == "All"  # what runs comes first
    page.get_by_role("columnheader", name="Task").get_by_role("button").click()
    expect(lines(page).first).to_contain_text("All")
    assert names(page) == ["All", "fold-1", "fold-2", "fold-3", "broken", "done", "Download prices"]
    expect(page.get_by_role("columnheader", name="Task")).to_have_attribute("aria-sort", "ascending")
    page.get_by_role("columnheader", name="Task").get_by_role("button").click()
    expect(lines(page).first).to_contain_text("Download")
    assert names(page) == ["Download prices", "done", "broken", "All", "fold-3", "fold-2", "fold-1"]


def test_the_keyboard_goes_everywhere(open_page: Open, stage: Stage) -> None:
    crowd(stage)
    page = open_page(f"{stage.board}?sort=created").page
    expect(lines(page)).to_have_count(7)
    here = page.locator(".line.is-here")
    page.keyboard.press("j")
    expect(here).to_contain_text("All")
    grid = page.get_by_role("treegrid")
    expect(grid).to_be_focused()
    expect(grid).to_have_attribute("aria-activedescendant", here.get_attribute("id") or "")
    page.keyboard.press("ArrowLeft")
    expect(lines(page)).to_have_count(4)
    expect(here).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("l")
    expect(lines(page)).to_have_count(7)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("j")
    expect(here).to_contain_text("fold-2")
    page.keyboard.press("k")
    expect(here).to_contain_text("fold-1")
    page.keyboard.press("h")
    expect(here).to_contain_text("All")
    page.keyboard.press("End")
    expect(here).to_contain_text("done")
    page.keyboard.press("Home")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/tasks/all%2Ffold-1$"))
    expect(page.get_by_role("heading", name="fold-1")).to_be_visible()  # then its parent is known, too
    page.keyboard.press("p")
    expect(page).to_have_url(re.compile(r"/tasks/all$"))
    page.keyboard.press("Escape")
    expect(lines(page)).to_have_count(7)
    page.keyboard.press("f")
    expect(lines(page)).to_have_count(1)
    page.keyboard.press("w")
    expect(page.get_by_role("table")).to_be_visible()
    page.keyboard.press("b")
    expect(page.get_by_role("link", name=stage.board)).to_be_visible()


def test_a_question_mark_shows_the_keys_and_hides_them(open_page: Open, stage: Stage) -> None:
    crowd(stage)
    page = open_page(stage.board).page
    expect(lines(page)).to_have_count(7)
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    expect(keys).to_contain_text("next task")
    page.keyboard.press("?")
    expect(keys).to_be_hidden()
    page.keyboard.press("?")
    expect(keys).to_be_visible()
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()
    for _ in range(5):  # quicker than the browser tells that it was closed
        page.keyboard.press("?")
    expect(keys).to_be_visible()


def test_what_is_typed_into_the_search_is_no_key(open_page: Open, stage: Stage) -> None:
    crowd(stage)
    page = open_page(stage.board).page
    expect(lines(page)).to_have_count(7)
    page.get_by_role("searchbox").click()
    page.keyboard.type("dw?b")
    expect(page.get_by_role("searchbox")).to_have_value("dw?b")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_deep_link_leads_to_any_task(open_page: Open, stage: Stage) -> None:
    ids = ["a/b", "..", "a//b", "50%", "x?y#z", "🚀", "<b>"]
    for number, id in enumerate(ids):
        stage.do(f"task({id!r}, total=3, label='The {number}').update()")
    page = open_page().page
    root = page.url
    for number, id in enumerate(ids):
        page.goto(f"{root}#/{stage.board}/tasks/{quote(id, safe='')}")
        page.reload()
        expect(page.get_by_role("heading", name=f"The {number}")).to_be_visible()
        expect(page.get_by_role("region", name="Facts")).to_contain_text(id)
        expect(page.get_by_role("region", name="Who counted")).to_contain_text(str(stage.pid))


def test_a_link_to_a_task_that_is_not_there_says_so(open_page: Open, stage: Stage) -> None:
    watched = open_page(f"{stage.board}/tasks/nobody")
    watched.allowed = ("404",)
    expect(watched.page.get_by_role("heading", name="There is no task nobody")).to_be_visible()
    stage.do("task('nobody').update()")
    expect(watched.page.get_by_role("region", name="Facts")).to_be_visible()


# --- when things go wrong


def test_the_page_reconnects_by_itself_and_says_that_it_must(open_page: Open, own_server: Server, stage: Stage) -> None:
    stage.do("task('a', total=10).update()")
    watched = open_page(stage.board, root=own_server.link)
    watched.allowed = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET")
    page = watched.page
    count = line(page, "a").locator(".cell-count")
    expect(count).to_have_text("1 / 10")
    own_server.stop()
    expect(page.get_by_text("No connection to the server")).to_be_visible()
    expect(page.locator(".pulse")).to_have_text("Offline")
    expect(count).to_be_visible()  # what was known is still shown
    stage.do("task('a').update(4)")
    own_server.start()
    expect(count).to_have_text("5 / 10", timeout=30_000)
    expect(page.get_by_text("No connection to the server")).to_have_count(0)
    stage.do("task('a').update()")
    expect(count).to_have_text("6 / 10")


def test_a_silent_recorder_is_told_until_it_speaks_again(open_page: Open, stage: Stage) -> None:
    stage.do("task('a', total=10).update()")
    page = open_page(stage.board).page
    expect(page.locator(".pulse")).to_have_text("Live")
    expect(page.locator(".notice")).to_have_count(0)
    stage.signal(signal.SIGSTOP)
    notice = page.locator(".notice.is-stale")
    expect(notice).to_contain_text(re.compile(r"Recorder silent for \d+ s"))
    expect(page.locator(".pulse")).to_have_text("Stale")
    before = notice.inner_text()
    until("the seconds go on", lambda: notice.inner_text() != before)
    stage.signal(signal.SIGCONT)
    expect(notice).to_have_count(0)
    expect(page.locator(".pulse")).to_have_text("Live")


def test_a_board_at_rest_is_not_called_stale(open_page: Open, stage: Stage) -> None:
    stage.do("task('a', total=1).succeed()")
    page = open_page(stage.board).page
    expect(page.locator(".pulse")).to_contain_text("At rest")
    stage.signal(signal.SIGSTOP)
    page.wait_for_timeout(4000)
    expect(page.locator(".notice")).to_have_count(0)


def test_a_board_that_cannot_be_read_says_why(
    open_page: Open, server: Server, headway_dir: Path, board_name: str
) -> None:
    directory = headway_dir / board_name
    directory.mkdir(mode=0o700)
    (directory / "snapshot.npz").write_bytes(b"no snapshot at all")
    (directory / "snapshot.npz").chmod(0o600)
    page = open_page(board_name).page
    expect(page.get_by_role("heading", name="cannot be read")).to_be_visible()


# --- themes and sizes


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def brightness(page: Page) -> float:
    return sum(map(float, re.findall(r"[\d.]+", background(page))[:3])) / 3


def test_dark_and_light_follow_the_system_until_one_is_chosen(open_page: Open, stage: Stage) -> None:
    crowd(stage)
    assert brightness(open_page(stage.board).page) > 200
    page = open_page(stage.board, dark=True).page
    assert brightness(page) < 60
    switch = page.get_by_role("button", name="Theme")
    switch.click()
    expect(switch).to_have_text("Theme: light")
    assert brightness(page) > 200
    page.reload()
    expect(switch).to_have_text("Theme: light")
    assert brightness(page) > 200
    page.keyboard.press("d")
    expect(switch).to_have_text("Theme: dark")
    page.keyboard.press("d")
    expect(switch).to_have_text("Theme: automatic")
    assert brightness(page) < 60
    page.emulate_media(color_scheme="light")
    assert brightness(page) > 200


# The pages of a board, and a part that comes late there.
PLACES = {"": ".throughput canvas", "/workers": ".workers tbody tr", "/tasks/all": ".pairs", "/tasks/b": ".verdict"}


def test_nothing_is_wider_than_a_phone(open_page: Open, stage: Stage) -> None:
    crowd(stage)
    stage.do("worker('a')", "kill(worker('b'))")
    page = open_page(size=PHONE).page
    expect(page.get_by_role("link", name=stage.board)).to_be_visible()
    root, widths = page.url, [page.evaluate("document.documentElement.scrollWidth")]
    for place, part in PLACES.items():
        page.goto(f"{root}#/{stage.board}{place}")
        expect(page.locator(part).first).to_be_attached()
        page.wait_for_timeout(100)
        widths.append(page.evaluate("document.documentElement.scrollWidth"))
    assert widths == [PHONE[0]] * 5


# --- many


def test_ten_thousand_tasks_are_all_there_and_only_those_in_sight_are_drawn(open_page: Open, big_stage: Stage) -> None:
    big_stage.do("task('all', total=10000)")
    big_stage.do("[task('all').task(f't{n}', total=9).update() for n in range(10_000)] and None")
    page = open_page(f"{big_stage.board}?sort=created").page
    grid = page.get_by_role("treegrid")
    expect(grid).to_have_attribute("aria-rowcount", "10002")
    assert lines(page).count() < 80
    page.keyboard.press("G")
    expect(page.locator(".line.is-here")).to_contain_text("t9999")
    assert lines(page).count() < 80
    expect(page.locator(".line.is-here")).to_be_in_viewport()
    big_stage.do("board.attach('all/t9999').update(5)")
    expect(page.locator(".line.is-here .cell-count")).to_have_text("6 / 9")
    page.mouse.wheel(0, -100_000)
    until("the lines of another place", lambda: (shown := names(page)) and "t9999" not in shown)
    assert lines(page).count() < 80
    page.keyboard.press("/")
    page.keyboard.type("t4711")
    expect(grid).to_have_attribute("aria-rowcount", "3")
    expect(line(page, "t4711")).to_be_visible()


# --- hostile


@pytest.mark.parametrize("size", [(1360, 900), (390, 1500)], ids=["desktop", "phone"])
def test_hostile_texts_are_shown_as_texts(open_page: Open, stage: Stage, size: tuple[int, int]) -> None:
    for number, text in enumerate(HOSTILE):
        stage.do(
            f"task('{number}', total=9, label={text!r}, unit={text[:10]!r}).set(stage={text!r}, message={text!r},"
            f" metrics={{{text.encode()[:12].decode(errors='ignore')!r}: 1.5}})",
            f"setattr(task('{number}'), 'result', {{{text!r}: {text!r}, 'list': [{text!r}]}})",
            f"task('{number}').update()",
        )
    stage.do(f"task('failed').fail({HOSTILE[0]!r})", f"kill(worker({HOSTILE[0]!r}))")
    page = open_page(stage.board, size=size).page
    expect(lines(page)).to_have_count(len(HOSTILE) + 2)
    for text in HOSTILE:
        expect(lines(page).locator("bdi").filter(has_text=text).first).to_be_attached()
    heights = set(page.evaluate("[...document.querySelectorAll('.list-body > .line')].map((one) => one.offsetHeight)"))
    assert len(heights) == 1
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    for number in range(len(HOSTILE)):
        page.goto(f"{page.url.partition('#')[0]}#/{stage.board}/tasks/{number}")
        expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE[number])
        expect(page.get_by_role("region", name="Result")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    page.goto(f"{page.url.partition('#')[0]}#/{stage.board}/workers")
    expect(page.get_by_role("table")).to_be_visible()
    assert page.evaluate("document.querySelectorAll('main img, main script, main svg[onload]').length") == 0


# --- who sees nothing, and where the page lies


@pytest.mark.parametrize(
    ("size", "dark"), [((1360, 900), False), ((1360, 900), True), (PHONE, True)], ids=["light", "dark", "phone"]
)
def test_axe_finds_nothing(open_page: Open, stage: Stage, size: tuple[int, int], dark: bool) -> None:
    crowd(stage)
    stage.do(
        "task('waits')",
        "task('given-up').cancel()",
        "task('all').set(stage='fit', message='fold 3', metrics={'loss': 0.25})",
        "setattr(task('all'), 'result', {'auc': 0.9, 'folds': [1, 2]})",
        "worker('a')",
        "kill(worker('b'))",
    )
    page = open_page("", size=size, dark=dark).page
    expect(page.get_by_role("link", name=stage.board)).to_be_visible()
    found = axe(page)
    for place, part in {**PLACES, "?state=lost&q=b": ".line.is-lost"}.items():
        page.goto(f"{page.url.partition('#')[0]}#/{stage.board}{place}")
        expect(page.locator(part).first).to_be_visible()
        page.wait_for_timeout(100)
        found += [f"{place}: {one}" for one in axe(page)]
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    found += [f"help: {one}" for one in axe(page)]
    page.keyboard.press("Escape")
    stage.signal(signal.SIGSTOP)
    expect(page.locator(".notice.is-stale")).to_be_visible()
    found += [f"stale: {one}" for one in axe(page)]
    assert not found, "\n".join(found)


BEHIND_A_PREFIX = """
import socket, sys

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from headway.dashboard import create_app

listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
app = Starlette(routes=[Mount("/tools/progress", create_app(token=None))])
uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listening])
"""


def test_the_page_works_below_a_prefix(open_page: Open, stage: Stage) -> None:
    stage.do("task('a', total=10).update()")
    program = subprocess.Popen(
        [sys.executable, "-c", BEHIND_A_PREFIX], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert program.stdout is not None
        port = int(program.stdout.readline())
        page = open_page(f"{stage.board}/tasks/a", root=f"http://127.0.0.1:{port}/tools/progress/").page
        expect(page.get_by_role("region", name="Facts")).to_be_visible()
        page.keyboard.press("u")
        expect(line(page, "a").locator(".cell-count")).to_have_text("1 / 10")
        stage.do("task('a').update()")
        expect(line(page, "a").locator(".cell-count")).to_have_text("2 / 10")
        page.close()
    finally:
        program.kill()
        program.communicate()


# --- analyses in files


def test_the_analyses_of_a_folder_are_listed_live_without_any_board(open_page: Open, tmp_path: Path) -> None:
    boards = tmp_path / "no boards"
    boards.mkdir()
    server = PageServer(arguments=("--dir", str(boards), "--analysis", str(tmp_path)))
    try:
        page = open_page(root=server.link).page
        expect(page.get_by_text("No boards yet")).to_be_visible()
        tracker = FileBasedProgressTracker(tmp_path)  # its folder comes later than the page
        tracker.start_analysis(HOSTILE[0], "run/1")
        row = page.get_by_role("region", name="Analyses").get_by_role("row").filter(has_text="run/1")
        expect(row).to_contain_text("running")
        expect(row).to_contain_text(HOSTILE[0])
        tracker.update_stage("run/1", "ml_prediction")
        expect(row).to_contain_text("ml_prediction")
        tracker.complete_analysis("run/1", "signal_detected", "it went well")
        expect(row).to_contain_text("signal_detected")
        expect(row).to_contain_text("succeeded")
        assert not axe(page)
        if pictures := os.environ.get("HEADWAY_PICTURES"):
            page.screenshot(path=f"{pictures}/analyses.png")
    finally:
        server.stop()
