"""What programs begin with whose processes fork, and lose what they had: a board with a running task."""

from __future__ import annotations

__all__ = ["BEGIN"]

BEGIN = """
import ctypes, fcntl, os, signal, subprocess, sys, time, warnings
from headway import errors
from headway.engine.board import Board, open_board
from headway.engine import segments

def other(script):
    "What another program prints."
    code = "import sys; from headway import errors; from headway.engine.board import open_board;" \\
        "board = open_board(sys.argv[1], record=False)\\n" + script
    return subprocess.run([sys.executable, "-c", code, sys.argv[1]], capture_output=True, text=True).stdout.strip()

def child(work):
    pid = os.fork()
    if not pid:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid

ROB = \"\"\"
print(board.get("job").state, board.get("job").owner_alive)
try:
    board.task("job")
    print("robbed")
except errors.TaskExists:
    print("kept")
\"\"\"

board = open_board(sys.argv[1], record=False)
task = board.task("job", total=100).adopt()
task.update()
"""
