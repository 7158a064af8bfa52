"""What programs begin with whose processes fork, and lose what they had: a board with a running task."""

from __future__ import annotations

__all__ = ["BEGIN", "TOOLS"]

TOOLS = """
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

pipes = ()

def killed_beside_an_idle_child(work, raw=False):
    "A child does this work, forks, and is killed. Its own child is there until this program ends."
    global pipes, kept
    ready, told = os.pipe()
    stop, stopped = os.pipe()
    pipes, kept = (ready, told, stop, stopped), stopped

    def parent():
        work()
        pid = ctypes.CDLL(None).syscall(57) if raw else os.fork()
        if not pid:
            os.write(told, b"x")
            os.close(stopped)
            os.read(stop, 1)
            os._exit(0)
        os.read(ready, 1)
        os.kill(os.getpid(), signal.SIGKILL)

    os.waitpid(child(parent), 0)
"""
BEGIN = f"""{TOOLS}
ROB = '''
print(board.get("job").state, board.get("job").owner_alive)
try:
    board.task("job")
    print("robbed")
except errors.TaskExists:
    print("kept")
'''

board = open_board(sys.argv[1], record=False)
task = board.task("job", total=100).adopt()
task.update()
"""
