"""The report of a run: what it tells, that it adds up, and that nothing in it comes from elsewhere or runs."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from headway.exporters.report import report
from headway.views.board_view import BoardView, ShareView, StageView, TaskView, WorkerView

HOSTILE = "<img src=x onerror=alert(1)>\"'&</title></svg><script>alert(2)</script>\x1b[2J\u202egnp" + "😀" * 20


def task(id: str, **more: object) -> TaskView:
    values: dict[str, object] = {"state": "success", "count": 10, "total": 10, "unit": "file", "owner_pid": 7}
    values |= {"started": 100.0, "ended": 110.0, "taken_at": 120.0, **more}
    return TaskView(id=id, **values)  # type: ignore[arg-type]


def page_of(*tasks: TaskView) -> str:
    return report(BoardView.of("night", tasks, [WorkerView(incarnation=1, pid=7, name="w")], taken_at=120.0))


class Tags(HTMLParser):
    """Every tag, its attributes and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_hostile_texts_stay_texts() -> None:
    shares = (ShareView(9, 1, 5, 101.0, False),)
    stages = (StageView(HOSTILE, 100.0, 104.0), StageView(HOSTILE, 104.0, None))
    values = {"label": HOSTILE, "unit": HOSTILE, "message": HOSTILE, "stage": HOSTILE, "stages": stages}
    page = report(
        BoardView(
            {"name": HOSTILE, "uuid": "", "taken_ns": 120 * 10**9, "host": HOSTILE},
            tasks=[
                task(HOSTILE, state="lost", ended=None, workers_lost=shares, **values),
                task("b", state="failed", error=HOSTILE, serial=1, **values),
            ],
            workers=[WorkerView(incarnation=1, pid=9, name=HOSTILE)],
        )
    )
    found = Tags(page)
    assert {tag for tag, _ in found.tags}.isdisjoint({"img", "script", "iframe", "object", "base", "form"})
    assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")]
    assert "<img src=x onerror=alert(1)>" in found.text
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert not re.search(r"https?://|url\(|@import", page)


def test_the_page_allows_nothing_but_its_own_style() -> None:
    policy = next(a["content"] for tag, a in Tags(page_of(task("a"))).tags if a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not [a for _, a in Tags(page_of(task("a"))).tags if "style" in a]


def test_what_died_stands_first_with_where() -> None:
    page = Tags(
        page_of(
            task("well"),
            task("broken", state="failed", error="ValueError: no", serial=1),
            task("killed", state="lost", ended=None, stage="parse", message="decoder.py", count=4, serial=2),
        )
    ).text
    dead, _, rest = page.partition("Timeline")
    assert "pid 7 died in stage parse at 4/10 file: decoder.py" in dead
    assert "ValueError: no" in dead
    assert dead.index("killed") < dead.index("broken")
    assert "well" not in dead
    assert "well" in rest


def test_an_empty_board_has_a_page() -> None:
    page = Tags(page_of()).text
    assert "0 tasks" in page
    assert "Timeline" not in page


def test_a_whole_and_its_parts_are_not_counted_twice() -> None:
    page = page_of(task("all", count=20), task("all/a", parent="all", serial=1), task("all/b", parent="all", serial=2))
    assert "<h3>file a second</h3>" in page
    assert ">2/s</text>" in page  # at most


def test_a_stalled_task_is_told_and_coloured_as_such_and_what_went_well_succeeded() -> None:
    page = page_of(task("hangs", state="running", ended=None, beat=101.0, count=4), task("well", serial=1))
    assert '<rect class="stalled"' in page
    assert '<rect class="running"' not in page
    text = Tags(page).text
    assert "running (1 stalled)" in text
    assert "1succeeded" in text
    assert "hangs · stalled · 4/10 file" in page


def test_equal_errors_are_one_line_with_their_number_that_opens() -> None:
    many = [task(f"f{n}", state="failed", error="OSError: No space left", ended=20.0 + n) for n in range(138)]
    alike = [task(f"k{n}", state="failed", error=f"KeyError: {n}", ended=9.0) for n in range(2)]
    page = page_of(*many, *alike, task("one", state="failed", error="ValueError: no", ended=9.0))
    table = page.partition("What died")[2].partition("</table>")[0]
    assert table.count("<tr>") == 1 + 3  # the head, and a line for each kind
    assert "<b>138 tasks</b>" in table
    assert "<details><summary>OSError: No space left</summary><ul><li>f0</li><li>f1</li>" in table
    assert "KeyError: 0 <small>and the like</small>" in table
    assert "<li>k1: KeyError: 1</li>" in table
    assert "<td>one</td>" in table
    assert page.count("OSError: No space left") == 1, "not once a task"


def test_the_tiles_count_the_whole_run_also_what_is_neither_on_the_board_nor_in_the_history() -> None:
    meta = {"name": "b", "uuid": "", "taken_ns": 120 * 10**9, "gone": {"success": 40, "failed": 2}}
    page = report(BoardView(meta, tasks=[task("a", state="failed", error="no", serial=1)]))
    assert '<li class="success"><b>40</b>succeeded</li>' in page
    assert '<li class="failed"><b>3</b>failed</li>' in page
    assert "<p>43 tasks" in page
