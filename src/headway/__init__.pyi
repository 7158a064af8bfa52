from headway import errors as errors
from headway.api import current as current
from headway.api import get_include as get_include
from headway.api import open as open
from headway.api import read as read
from headway.bars.track import track as track
from headway.engine.board import Board as Board
from headway.engine.task import Task as Task
from headway.errors import HeadwayError as HeadwayError
from headway.pools.maps import process_map as process_map
from headway.pools.maps import thread_map as thread_map
from headway.views.board_view import BoardView as BoardView
from headway.views.board_view import TaskView as TaskView
from headway.views.board_view import WorkerView as WorkerView

__all__ = [
    "Board",
    "BoardView",
    "HeadwayError",
    "Task",
    "TaskView",
    "WorkerView",
    "current",
    "get_include",
    "open",
    "process_map",
    "read",
    "thread_map",
    "track",
]
__version__: str
