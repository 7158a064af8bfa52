from headway.board import Board as Board
from headway.entry import current as current
from headway.entry import get_include as get_include
from headway.entry import open as open
from headway.entry import read as read
from headway.errors import HeadwayError as HeadwayError
from headway.model import BoardView as BoardView
from headway.model import TaskView as TaskView
from headway.model import WorkerView as WorkerView
from headway.task import Task as Task
from headway.tracking import track as track

__all__ = [
    "Board",
    "BoardView",
    "HeadwayError",
    "Task",
    "TaskView",
    "WorkerView",
    "current",
    "get_include",
    "read",
    "track",
]
__version__: str
