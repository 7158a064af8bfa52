"""The states of a task: their names, numbers and groups, and their order by urgency.

They are defined only here: a test compares the native code's numbers with them, and the page's copy is generated.
"""

from __future__ import annotations

__all__ = [
    "ENDED_STATES",
    "FINAL_STATES",
    "LIVE_STATES",
    "OPEN_STATES",
    "RESUMABLE_STATES",
    "STATES",
    "URGENCY",
    "WRONG_STATES",
]

STATES = ("pending", "running", "success", "failed", "cancelled", "lost")  # a state's number is its place here
LIVE_STATES = ("pending", "running")  # a process is expected to go on with the task
ENDED_STATES = ("success", "failed", "cancelled")  # the task was ended by its program
FINAL_STATES = (*ENDED_STATES, "lost")  # how a task of the past can have ended
OPEN_STATES = (*LIVE_STATES, "lost")  # a lost task runs again as soon as somebody counts or writes
RESUMABLE_STATES = ("failed", "cancelled", "lost")  # what board.task(id, resume=True) goes on with
WRONG_STATES = ("lost", "failed")  # states that a person should be told about

# Which states a person looks for first, wherever tasks are sorted by urgency: what happens now, then what went wrong.
URGENCY = {state: rank for rank, state in enumerate(("running", "lost", "failed", "pending", "cancelled", "success"))}
