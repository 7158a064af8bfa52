"""What `headway top` looks like at three sizes, compared with stored pictures: the text of the screen.

PICTURES=write stores them anew. Look at each of them before it is committed.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway.tasks.states import STATES
from headway.terminal.row import Style
from headway.top.app import TopApp
from headway.top.follow import Seen
from headway.views.board_view import BoardView

if TYPE_CHECKING:
    from tests.unit.conftest import Arrays, MakeRaw

PICTURES = Path(__file__).parent / "pictures"
SIZES = ((40, 10), (100, 30), (200, 60))
SECOND = 10**9
RUNNING, SUCCESS, FAILED, PENDING = (STATES.index(state) for state in ("running", "success", "failed", "pending"))


class Still:
    """Shows one view for ever."""

    name = "nightly"

    def __init__(self, view: BoardView, state: str = "live", told: str = "") -> None:
        self._seen = Seen(view, state, told)

    def look(self) -> Seen:
        return self._seen

    def close(self) -> None:
        pass


def _end(arrays: Arrays, numbers: slice, state: int) -> None:
    tasks = arrays["tasks"]
    tasks["state"][numbers] = state
    tasks["ended_ns"][numbers] = tasks["created_ns"][numbers] + 8 * SECOND
    if state == SUCCESS:
        tasks["count"][numbers] = tasks["total"][numbers]


def busy(arrays: Arrays) -> None:
    """A parent with parts: most wait, four run, one has failed."""
    tasks = arrays["tasks"]
    ids = ["prices", *(f"prices/symbol-{number:02}" for number in range(1, len(tasks)))]
    tasks["id"] = [id.encode() for id in ids]
    tasks["label"] = [id.removeprefix("prices/").encode() for id in ids]
    tasks["parent_bytes"] = [0] + [len("prices")] * (len(tasks) - 1)
    tasks["serial"] = range(1, len(tasks) + 1)
    tasks["state"][1:], tasks["count"][1:], tasks["rate"][1:] = PENDING, 0, 0
    tasks["started_ns"][1:] = 0
    tasks["state"][20:24], tasks["count"][20:24], tasks["rate"][20:24] = RUNNING, [10, 35, 60, 99], 3.0
    tasks["started_ns"][20:24] = tasks["created_ns"][20:24]
    failing(arrays, slice(12, 13))


def failing(arrays: Arrays, numbers: slice) -> None:
    _end(arrays, numbers, FAILED)
    arrays["tasks"]["count"][numbers] = 40
    for number in range(*numbers.indices(len(arrays["tasks"]))):
        kind = b"ValueError: no prices" if number % 4 else b"KeyError: 'close'"
        arrays["tasks"]["error"][number] = kind


def done(arrays: Arrays) -> None:
    _end(arrays, slice(None), SUCCESS)


def failed(arrays: Arrays) -> None:
    _end(arrays, slice(None), SUCCESS)
    failing(arrays, slice(100, 140))


BOARDS = {"busy": (32, busy), "done": (12, done), "failed": (300, failed), "empty": (0, None)}


def picture(view: BoardView, size: tuple[int, int], style: Style, *keys: str) -> str:
    """The text of the screen after these keys."""

    async def drive() -> str:
        app = TopApp("nightly", style=style, follow=Still(view))
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await pilot.press(*keys)
            await pilot.pause()
            lines = app.screen._compositor.render_strips()
            return "".join(line.text.rstrip() + "\n" for line in lines)

    return asyncio.run(drive())


def compare(name: str, shown: str) -> None:
    path = PICTURES / f"{name}.txt"
    if os.environ.get("PICTURES") == "write":
        path.write_text(shown)
    assert shown == path.read_text()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("board", BOARDS)
def test_the_screen_is_as_it_was_looked_at(board: str, size: tuple[int, int], make_raw: MakeRaw) -> None:
    count, edit = BOARDS[board]
    view = BoardView.from_raw(make_raw(count, edit=edit))
    compare(f"{board}-{size[0]}x{size[1]}", picture(view, size, Style(colour=True)))


def test_in_an_ascii_locale_all_that_is_shown_is_ascii(make_raw: MakeRaw) -> None:
    view = BoardView.from_raw(make_raw(32, edit=busy))
    style = Style(colour=True, unicode=False, encoding="ascii")
    shown = picture(view, (100, 30), style)
    assert shown.isascii(), [char for char in shown if not char.isascii()]
    assert "[##" in shown
    assert picture(view, (100, 30), style, "question_mark").isascii()
    assert picture(view, (60, 20), style, "down", "enter").isascii()


def test_a_question_mark_shows_what_the_keys_do(make_raw: MakeRaw) -> None:
    view = BoardView.from_raw(make_raw(3))
    compare("help-100x30", picture(view, (100, 30), Style(colour=True), "question_mark"))
    again = picture(view, (100, 30), Style(colour=True), "question_mark", "escape")
    assert again == picture(view, (100, 30), Style(colour=True))


def test_it_opens_on_what_runs_though_twenty_tasks_that_wait_are_older(make_raw: MakeRaw) -> None:
    shown = picture(BoardView.from_raw(make_raw(32, edit=busy)), (100, 30), Style(colour=True)).splitlines()
    assert [line.split()[0] for line in shown[2:7]] == [f"symbol-{number}" for number in (20, 21, 22, 23, 12)]


@pytest.mark.parametrize("columns", [20, 30, 39, 40, 41, 60, 85])
def test_a_narrow_terminal_has_only_keys_that_fit_whole(columns: int, make_raw: MakeRaw) -> None:
    view = BoardView.from_raw(make_raw(3))
    whole = picture(view, (200, 30), Style(colour=True)).splitlines()[-1]
    keys = picture(view, (columns, 30), Style(colour=True)).splitlines()[-1]
    assert keys.startswith(" q Quit  ? Help")
    assert whole.startswith(keys)
    assert whole[len(keys) :][:2] in ("", "  "), f"{keys!r} ends within a key"


def test_no_row_below_the_line_is_empty_while_tasks_are_out_of_sight(make_raw: MakeRaw) -> None:
    _, edit = BOARDS["failed"]
    for size in SIZES[1:]:
        shown = picture(BoardView.from_raw(make_raw(300, edit=edit)), size, Style(colour=True)).splitlines()
        assert not [line for line in shown if not line.replace("│", "").strip()]


def test_the_head_and_the_pane_of_workers_count_alike(make_raw: MakeRaw) -> None:
    view = BoardView.from_raw(make_raw(32, edit=busy))
    head, *_, pane = picture(view, (200, 60), Style(colour=True)).partition("prices  running  20/100 bar")
    assert " · 1 worker · 1 died" in head
    assert pane.splitlines()[0].endswith("│ 1 worker, 1 died")


def test_a_worker_is_shown_with_what_it_has_in_hand_whatever_that_is_called(make_raw: MakeRaw) -> None:
    def edit(arrays: Arrays) -> None:
        arrays["shares"]["item"][0] = "\x1b[31mBTC[bold]é".encode()
        arrays["shares"]["item_ns"][0] = arrays["shares"]["item_ns"][0] - 7 * SECOND

    view = BoardView.from_raw(make_raw(1, edit=edit))
    shown = picture(view, (140, 30), Style(colour=True))
    (line,) = [line for line in shown.splitlines() if "700 working" in line]
    assert line.endswith(r"700 working     12 s \x1b[31mBTC[bold]é  task-0")
    assert picture(view, (140, 30), Style(colour=True, unicode=False, encoding="ascii")).isascii()


def test_what_few_tasks_leave_is_room_for_what_went_wrong(make_raw: MakeRaw) -> None:
    def edit(arrays: Arrays) -> None:
        _end(arrays, slice(None), FAILED)
        arrays["tasks"]["error"] = [f"{chr(97 + number) * 5}: no prices".encode() for number in range(8)]

    shown = picture(BoardView.from_raw(make_raw(8, edit=edit)), (100, 30), Style(colour=True))
    assert len([line for line in shown.splitlines() if " × " in line]) == 8
