"""Bars of plain loops on a terminal: what is on the screen and scrolled off it, against all that was printed."""

from __future__ import annotations

import os
import re
import signal
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway.process.drawing import RELEASE
from tests.integration.screen import Screen, drawers, gone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Begin = Callable[..., Screen]

MARGINS = b"\x1b[1;"  # what a terminal is told when lines are kept out of what scrolls


@pytest.fixture
def begin(tmp_path: Path, board_name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Run a script on a terminal. Its loops go to a board of its own."""
    monkeypatch.setenv("HEADWAY_BOARD", board_name)
    begun: list[Screen] = []

    def begin(script: str, *arguments: str, env: Mapping[str, str] | None = None) -> Screen:
        path = tmp_path / f"script_{len(begun)}.py"
        path.write_text("import headway, os, sys, time\n" + textwrap.dedent(script))
        begun.append(Screen(path, *arguments, env=env))
        return begun[-1]

    yield begin
    for screen in begun:
        screen.__exit__()
    import headway
    from headway import errors

    try:
        headway.open(board_name, record=False).remove(files=True)
    except errors.HeadwayError:
        pass


def assert_said(shown: Screen, *expected: str) -> None:
    """All that is to be seen, without empty lines: texts as they are, rows of bars as "label: what they tell"."""
    found = []
    for line in shown.said():
        row = re.fullmatch(r"(\S+) +▕.*▏ +(?:\d+% +)?(\S+ \w+) .* (\w+)", line)
        found.append(f"{row[1]}: {row[2]} {row[3]}" if row else line)
    assert found == list(expected), "\n".join(shown.lines())
    assert shown.screen.margins is None, "not all lines scroll"


def go_on(shown: Screen, seen: Callable[[], object]) -> None:
    """Let a program that waits for input go on, once its bars are there: it goes on with them, however busy we are."""
    shown.until(seen)
    shown.type("\n")


def test_what_a_loop_prints_stays_and_its_bar_is_below(begin: Begin) -> None:
    shown = begin("""
        for number in range(30):  # more than the terminal has lines: there is none left for a bar
            print("before", number)
        for number in headway.track(range(40), "files"):
            print("printed", number)
            input() if number == 9 else time.sleep(0.01)
        print("end")
    """)
    go_on(shown, lambda: "files" in shown.screen.display[-1])
    assert shown.end() == 0
    before, printed = ([f"{word} {number}" for number in range(n)] for word, n in (("before", 30), ("printed", 40)))
    assert_said(shown, *before, *printed, "files: 40/40 it succeeded", "end")


def test_the_bar_is_there_before_the_first_item_is_done(begin: Begin) -> None:
    shown = begin("""
        for number in headway.track(range(2), "slow"):
            input()
    """)
    shown.until(lambda: re.match(r"slow .* 0/2 it", shown.screen.display[-1]))
    shown.type("\n")
    shown.until(lambda: re.match(r"slow .* 1/2 it", shown.screen.display[-1]))
    shown.type("\n")
    assert shown.end() == 0
    assert_said(shown, "slow: 2/2 it succeeded")


def test_a_quick_loop_writes_its_last_row_and_nothing_else(begin: Begin) -> None:
    shown = begin("""
        for name in ("one", "two"):
            for number in headway.track(range(3), name):
                print("printed", number)
    """)
    assert shown.end() == 0
    printed = [f"printed {number}" for number in range(3)]
    assert_said(shown, *printed, "one: 3/3 it succeeded", *printed, "two: 3/3 it succeeded")
    assert MARGINS not in shown.written


def test_not_one_line_of_a_pool_inside_a_loop_is_lost(begin: Begin) -> None:
    shown = begin("""
        import logging, multiprocessing, subprocess

        def numbers():
            yield 0
            input()
            yield from range(1, 40)

        def work(number):
            logging.basicConfig(format="logged %(message)s", force=True)
            print("worker", number, flush=True)
            logging.warning("%d", number)
            os.write(1, f"written {number}\\n".encode())
            subprocess.run(["echo", f"echoed {number}"])
            return number

        if __name__ == "__main__":
            with multiprocessing.get_context("fork").Pool(3) as pool:
                for number in headway.track(pool.imap_unordered(work, numbers()), "jobs", 40):
                    print("got", number)
            print("end")
    """)
    go_on(shown, lambda: "jobs" in shown.screen.display[-1])
    assert shown.end() == 0
    kinds = ("worker", "logged", "written", "echoed", "got")
    expected = sorted(f"{kind} {number}" for kind in kinds for number in range(40))
    said = shown.said()
    assert sorted(said[:-2]) == expected
    assert re.match(r"jobs ▕.*▏ 100% 40/40 it .* succeeded$", said[-2])
    assert said[-1] == "end"


def test_loops_in_loops_are_rows_below_each_other_and_leave_one(begin: Begin) -> None:
    shown = begin("""
        for epoch in headway.track(range(3), "epochs"):
            for batch in headway.track(range(10), "batches"):
                print("printed", epoch, batch)
                input() if (epoch, batch) == (1, 4) else time.sleep(0.01)
        print("end")
    """)
    go_on(shown, lambda: shown.screen.display[-2].startswith("epochs") and "  batches" in shown.screen.display[-1])
    assert shown.end() == 0
    printed = [f"printed {epoch} {batch}" for epoch in range(3) for batch in range(10)]
    assert_said(shown, *printed, "epochs: 3/3 it succeeded", "end")


def test_a_loop_inside_is_there_before_its_first_item_is_done(begin: Begin) -> None:
    shown = begin("""
        for epoch in headway.track(range(3), "epochs"):
            for batch in headway.track(range(2), f"batches{epoch}"):
                input() if (epoch, batch) == (2, 0) else None
    """)
    go_on(shown, lambda: shown.screen.display[-2].startswith("epochs") and "  batches2" in shown.screen.display[-1])
    assert shown.end() == 0
    assert_said(shown, "epochs: 3/3 it succeeded")


def test_loops_of_threads_are_rows_and_each_leaves_one(begin: Begin) -> None:
    shown = begin("""
        import threading
        barrier = threading.Barrier(3)
        def work(name):
            for number in headway.track(range(20), name):
                barrier.wait(20)
                print(f"printed {name} {number}\\n", end="", flush=True)
                input() if (name, number) == ("a", 4) else time.sleep(0.01)
        threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b", "c")]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        print("end")
    """)
    go_on(shown, lambda: len(shown.bars()) == 3)
    assert shown.end() == 0
    said = shown.said()
    rows = [line for line in said if "▕" in line]
    assert sorted(row[0] for row in rows) == ["a", "b", "c"]
    assert all("20/20 it" in row for row in rows)
    printed = [f"printed {name} {number}" for name in "abc" for number in range(20)]
    assert sorted(line for line in said if line not in rows) == sorted([*printed, "end"])


def test_a_loop_that_is_not_to_be_left_goes(begin: Begin) -> None:
    shown = begin("""
        for number in headway.track(range(10), "gone", leave=False):
            print("printed", number)
            input() if number == 4 else None
        print("end")
    """)
    go_on(shown, lambda: "gone" in shown.screen.display[-1])
    assert shown.end() == 0
    assert_said(shown, *(f"printed {number}" for number in range(10)), "end")


def test_input_and_the_debugger_are_used_as_ever(begin: Begin) -> None:
    shown = begin("""
        for number in headway.track(range(2), "asked"):
            print("you said", input("what? "))
            if number == 0:
                breakpoint()
                print("went on")
    """)
    shown.until(lambda: "asked" in shown.screen.display[-1])
    shown.type("yes\n")
    shown.until(lambda: any("(Pdb)" in line for line in shown.screen.display))
    shown.type("p number + 41\n")
    shown.until(lambda: "41" in shown.screen.display[shown.screen.cursor.y - 1])
    shown.type("c\n")
    shown.until(lambda: any("went on" in line for line in shown.screen.display))
    shown.type("no\n")
    assert shown.end() == 0
    said = [line for line in shown.said() if line.startswith(("what?", "you", "(Pdb)", "41", "went", "asked"))]
    assert said[:5] == ["what? yes", "you said yes", "(Pdb) p number + 41", "41", "(Pdb) c"]
    assert said[5:8] == ["went on", "what? no", "you said no"]
    assert re.match(r"asked ▕.*▏ 100% 2/2 it .* succeeded$", said[8])
    assert len(said) == 9


def test_half_a_line_is_kept(begin: Begin) -> None:
    shown = begin("""
        for number in headway.track(range(30), "dots"):
            print(".", end="", flush=True)
            input() if number == 9 else None
        print("end")
    """)
    go_on(shown, lambda: "dots" in shown.screen.display[-1])
    assert shown.end() == 0
    assert_said(shown, "." * 10, "." * 20, "dots: 30/30 it succeeded", "end")


@pytest.mark.parametrize("end", ["raise ValueError('bad row')", "kill(SIGINT)", "sys.exit('left')"])
def test_the_last_row_stands_above_the_reason_why_a_loop_ended(begin: Begin, end: str) -> None:
    code = end.replace("kill(SIGINT)", "time.sleep(60)")
    shown = begin(f"""
        for number in headway.track(range(30), "rows"):
            print("printed", number)
            if number == 10:
                input()
            if number == 20:
                print("now", flush=True)
                {code}
    """)
    go_on(shown, lambda: "rows" in shown.screen.display[-1])
    if "SIGINT" in end:
        shown.until(lambda: any(line.startswith("now") for line in shown.screen.display))
        shown.type("\x03")
    assert shown.end() != 0
    said = shown.said()
    assert said[:22] == [*(f"printed {number}" for number in range(21)), "now"]
    (row,) = (at for at, line in enumerate(said) if "▕" in line)
    assert row == (22 if "SIGINT" not in end else next(at for at, line in enumerate(said) if "rows" in line))
    last = {"raise": "ValueError: bad row", "kill(": "KeyboardInterrupt", "sys.e": "left"}[end[:5]]
    assert said[-1] == last
    assert row < len(said) - 1
    assert shown.screen.margins is None


FOREVER = """
for number in headway.track(range(1000), "rows"):
    print("printed", number, flush=True)
    time.sleep(0.05)
"""


def test_a_killed_program_leaves_what_it_printed_and_a_terminal_that_scrolls(begin: Begin) -> None:
    shown = begin(FOREVER)
    shown.until(lambda: "rows" in shown.screen.display[-1])
    program = shown.program()
    shown.kill()
    assert gone(program)
    shown.end()
    said = shown.said()
    assert said == [f"printed {number}" for number in range(len(said))]
    assert shown.screen.margins is None


def test_the_bar_is_at_the_end_of_a_terminal_that_changes_its_size(begin: Begin) -> None:
    shown = begin(FOREVER)
    shown.until(lambda: "rows" in shown.screen.display[-1])
    for columns, rows in ((60, 30), (100, 40)):
        shown.resize(columns, rows)
        shown.until(lambda: "rows" in shown.screen.display[-1])
    shown.type("\x03")
    shown.end()
    printed = [line for line in shown.said() if line.startswith("printed")]
    assert printed == [f"printed {number}" for number in range(len(printed))]
    assert sum("▕" in line for line in shown.said()) == 1


def test_the_bar_of_a_killed_helper_goes_and_another_one_comes(begin: Begin) -> None:
    shown = begin(FOREVER)
    shown.until(lambda: "rows" in shown.screen.display[-1])
    (helper,) = drawers(shown.program())
    os.kill(helper, signal.SIGKILL)
    shown.until(lambda: RELEASE.encode() in shown.written)
    shown.until(lambda: "rows" in shown.screen.display[-1])
    assert drawers(shown.program()) != [helper]
    shown.type("\x03")
    shown.end()
    said = shown.said()
    printed = [line for line in said if line.startswith("printed")]
    assert printed == [f"printed {number}" for number in range(len(printed))]
    assert sum("▕" in line for line in said) == 1
    assert shown.screen.margins is None


def test_a_loop_whose_helpers_are_always_killed_draws_by_itself(begin: Begin) -> None:
    shown = begin(FOREVER)
    killed: set[int] = set()
    while len(killed) < 3:
        shown.until(lambda: set(drawers(shown.program())) - killed)
        for helper in set(drawers(shown.program())) - killed:
            os.kill(helper, signal.SIGKILL)
            killed.add(helper)
    assert gone(shown.program())
    seen = len(shown.written)
    shown.until(lambda: "rows" in shown.screen.display[-1] and MARGINS in shown.written[seen:])
    assert not drawers(shown.program())
    shown.type("\x03")
    shown.end()
    printed = [line for line in shown.said() if line.startswith("printed")]
    assert printed == [f"printed {number}" for number in range(len(printed))]
    assert shown.screen.margins is None


def test_a_loop_ends_beside_a_stopped_helper(begin: Begin) -> None:
    shown = begin("""
        for number in headway.track(range(2), "rows"):
            input()
        print("end")
    """)
    shown.until(lambda: "rows" in shown.screen.display[-1])
    (helper,) = drawers(shown.program())
    os.kill(helper, signal.SIGSTOP)
    shown.type("\n\n")
    assert shown.end() == 0
    assert_said(shown, "rows: 2/2 it succeeded", "end")
    assert helper not in drawers()


def test_a_loop_goes_on_when_its_terminal_is_gone(begin: Begin, tmp_path: Path) -> None:
    shown = begin(
        """
        import signal
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in headway.track(range(20), "rows"):
            while number == 10 and not os.path.exists(sys.argv[2]):
                time.sleep(0.01)
            time.sleep(0.1 if number > 10 else 0.01)
        open(sys.argv[1], "w").close()
        """,
        str(tmp_path / "over"),
        str(tmp_path / "gone"),
    )
    shown.until(lambda: "rows" in shown.screen.display[-1])
    program = shown.program()
    os.close(shown.master)
    shown.master = os.open("/dev/null", os.O_RDONLY)
    (tmp_path / "gone").touch()
    deadline = time.monotonic() + 30
    while not (tmp_path / "over").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (tmp_path / "over").exists()
    assert gone(program)


def test_a_loop_without_descriptors_goes_on(begin: Begin) -> None:
    shown = begin("""
        import resource
        board, loop = headway.open(record=False), headway.track
        files = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
        try:
            while True:
                files.append(os.dup(1))
        except OSError:
            pass
        for number in loop(range(12), "rows", board=board):
            print("printed", number)
            if number == 10:
                input()
            time.sleep(0.1)
        print("end")
    """)
    go_on(shown, lambda: "rows" in shown.screen.display[-1])
    assert shown.end() == 0
    assert_said(shown, *(f"printed {number}" for number in range(12)), "rows: 12/12 it succeeded", "end")


def test_a_loop_without_a_board_has_its_bar_below_what_is_printed(begin: Begin, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    shown = begin(
        """
        import warnings
        warnings.simplefilter("ignore")
        for number in headway.track(range(30), "files"):
            print("printed", number)
            if number in (10, 11):  # at the second one it is half a second late, and drawn
                time.sleep(0.6)
            if number == 20:
                input()
        print("end")
        """,
        env={"HEADWAY_DIR": str(tmp_path / "file" / "x")},
    )
    go_on(shown, lambda: "files" in shown.screen.display[-1])
    assert not drawers(shown.program())
    assert shown.end() == 0
    assert_said(shown, *(f"printed {number}" for number in range(30)), "files: 30/30 it succeeded", "end")


LAST_LINE, LAST_ROW = r"[\d:]{8} files: succeeded 100% 30/30 it in .*", r"files ▕.*▏ 100% 30/30 it .*"


@pytest.mark.parametrize(
    ("env", "last"),
    [({"TERM": "dumb"}, LAST_LINE), ({"TERM": "vt52"}, LAST_ROW), ({"HEADWAY_BARS": "lines"}, LAST_LINE)],
    ids=["dumb", "vt52", "as the user wants"],
)
def test_a_terminal_whose_lines_cannot_be_kept_apart_has_lines(begin: Begin, env: Mapping[str, str], last: str) -> None:
    log = re.compile(r"[\d:]{8} files: \d+% \d+/30 it.*")
    shown = begin(
        """
        for number in headway.track(range(30), "files"):
            print("printed", number)
            input() if number == 20 else None
        """,
        env=env,
    )
    go_on(shown, lambda: any(log.match(line) for line in shown.lines()))
    assert shown.end() == 0
    assert MARGINS not in shown.written
    said = shown.said()
    assert [line for line in said if line.startswith("printed")] == [f"printed {number}" for number in range(30)]
    assert any(log.fullmatch(line) for line in said), said
    assert re.fullmatch(last, said[-1])


def test_bars_are_silenced_and_the_board_is_kept(begin: Begin) -> None:
    shown = begin(
        """
        for number in headway.track(range(12), "files"):
            print("printed", number)
            time.sleep(0.06)
        print(headway.open(record=False).get("files").count)
        """,
        env={"HEADWAY_BARS": "0"},
    )
    assert shown.end() == 0
    assert_said(shown, *(f"printed {number}" for number in range(12)), "12")


def test_of_two_programs_on_one_terminal_one_has_its_bar_and_the_other_lines(begin: Begin, tmp_path: Path) -> None:
    shown = begin(f"""
        seen = "{tmp_path}/seen"
        import subprocess
        if len(sys.argv) == 1:
            other = subprocess.Popen([sys.executable, __file__, "inner"])
        name = "inner" if len(sys.argv) > 1 else "outer"
        for number in headway.track(range(30), name):
            print(f"printed {{name}} {{number}}\\n", end="", flush=True)
            while number == 20 and not os.path.exists(seen):
                time.sleep(0.01)
        if name == "outer":
            other.wait()
    """)
    log = re.compile(r"[\d:]{8} (inner|outer): .*")
    shown.until(lambda: shown.bars() and any(log.match(line) for line in shown.lines()))
    (tmp_path / "seen").touch()
    assert shown.end() == 0
    said = shown.said()
    for name in ("inner", "outer"):
        printed = [line for line in said if line.startswith(f"printed {name}")]
        assert printed == [f"printed {name} {number}" for number in range(30)]
        assert sum(line.startswith(f"{name} ▕") for line in said) == 1
    assert all(line.startswith(("printed", "inner ▕", "outer ▕")) or log.match(line) for line in said)
    assert shown.screen.margins is None


def test_other_bars_inside_a_loop_are_drawn_as_without_it(begin: Begin) -> None:
    shown = begin("""
        import tqdm
        for number in headway.track(range(4), "ours"):
            for _ in tqdm.tqdm(range(3), "theirs", bar_format="{desc}: {n}/{total}", mininterval=0, leave=number == 3):
                for _ in tqdm.tqdm(range(2), "inside", bar_format="{desc}: {n}/{total}", mininterval=0, leave=False):
                    pass
                time.sleep(0.01)
            tqdm.tqdm.write(f"printed {number}")
            input() if number == 0 else None  # the bar is there from here on
        print("end")
    """)
    go_on(shown, lambda: "ours" in shown.screen.display[-1])
    assert shown.end() == 0
    assert_said(shown, *(f"printed {n}" for n in range(3)), "theirs: 3/3", "printed 3", "ours: 4/4 it succeeded", "end")


@pytest.mark.parametrize("piped", ["stdout", "stderr"])
def test_where_one_stream_is_a_pipe_the_other_one_is_whole(begin: Begin, piped: str, tmp_path: Path) -> None:
    shown = begin(
        """
        os.dup2(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT), 1 if sys.argv[2] == "stdout" else 2)
        for number in headway.track(range(30), "files"):
            print("printed", number, flush=True)
            print("error", number, file=sys.stderr)
            input() if number == 9 else None
        """,
        str(tmp_path / "piped"),
        piped,
    )
    go_on(shown, lambda: "files" in shown.screen.display[-1] if piped == "stdout" else shown.said()[9:])
    assert shown.end() == 0
    here, there = ("error", "printed") if piped == "stdout" else ("printed", "error")
    row = ["files: 30/30 it succeeded"] if piped == "stdout" else []
    assert_said(shown, *(f"{here} {number}" for number in range(30)), *row)
    said = (tmp_path / "piped").read_text()
    assert [line for line in said.splitlines() if line.startswith(there)] == [f"{there} {n}" for n in range(30)]
    assert "\x1b" not in said
    assert len(said.splitlines()) == (30 if piped == "stdout" else 32)


def test_many_loops_in_a_row_have_one_helper(begin: Begin, tmp_path: Path) -> None:
    shown = begin(f"""
        for round in range(3):
            for number in headway.track(range(8), f"loop{{round}}"):
                while number == 7 and not os.path.exists(f"{tmp_path}/seen{{round}}"):
                    time.sleep(0.01)
            print("between", round)
        input()
    """)
    helpers: set[int] = set()
    for round in range(3):
        shown.until(lambda round=round: f"loop{round}" in shown.screen.display[-1])  # type: ignore[misc]
        helpers |= set(drawers(shown.program()))
        (tmp_path / f"seen{round}").touch()
    assert len(helpers) == 1
    shown.until(lambda: any(line.startswith("between 2") for line in shown.screen.display))
    assert shown.screen.margins is None, "the bar of a loop that is over is still there"
    assert sum("loop2" in line for line in shown.screen.display) == 1
    shown.type("\n")
    program = shown.program()
    assert shown.end() == 0
    assert gone(program)
    rows = [text for round in range(3) for text in (f"loop{round}: 8/8 it succeeded", f"between {round}")]
    assert_said(shown, *rows)


def test_a_map_has_one_bar_and_what_its_workers_go_through_stands_below(begin: Begin) -> None:
    shown = begin("""
        def work(name):
            for _ in headway.track(range(50), name):
                print("printed by", name)
                while not os.path.exists(sys.argv[1]):
                    time.sleep(0.02)
            return name

        print(headway.process_map(work, ["red", "blue"], label="colours", max_workers=2, mp_context="fork"))
    """, os.fspath(go := Path(os.environ["HEADWAY_DIR"]).parent / "go"))  # fmt: skip

    def bars() -> str:
        return "\n".join(shown.screen.display[-4:])

    shown.until(lambda: all(re.search(rf"^ *{name} .*0/50", bars(), re.MULTILINE) for name in ("red", "blue")))
    assert re.search("^colours .*0/2", bars(), re.MULTILINE)
    go.touch()
    assert shown.end() == 0
    printed = [f"printed by {name}" for name in ("red", "blue")]
    said = shown.said()
    assert sorted(said[:-2]) == sorted(printed * 50)
    assert re.match("colours +▕.*▏ 100% 2/2 it", said[-2])
    assert said[-1] == "['red', 'blue']"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_ctrl_c_at_the_terminal_ends_a_map_and_its_workers_and_says_how_far_it_was(method: str, begin: Begin) -> None:
    shown = begin("""
        def work(number):
            with open(sys.argv[2], "a") as file:
                file.write(f"{os.getpid()}\\n")
            time.sleep(0 if number < 4 else 600)

        if __name__ == "__main__":
            headway.process_map(work, range(9), label="items", max_workers=2, mp_context=sys.argv[1], chunksize=1)
    """, method, os.fspath(pids := Path(os.environ["HEADWAY_DIR"]).parent / "pids"))  # fmt: skip
    shown.until(lambda: pids.exists() and len(pids.read_text().splitlines()) == 6)
    shown.until(lambda: any("items" in line and "4/9" in line for line in shown.screen.display))
    shown.type("\x03")
    assert shown.end() == -signal.SIGINT % 256
    said = shown.said()
    assert said[-2:] == ["KeyboardInterrupt", "headway: items was at 4/9"]
    assert sum(line.startswith("Traceback") for line in said) == 1
    assert shown.screen.margins is None, "not all lines scroll"
    for pid in {int(line) for line in pids.read_text().split()}:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
