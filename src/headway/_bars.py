"""The program that draws live bars, as headway._live starts it: _bars.py BOARD UUID FOLDER-OF-POSIX_IPC ENCODING

ENCODING: of the terminal; empty where a notebook's kernel shows what is drawn.
"""

from __future__ import annotations

import os
import runpy
import sys

if __name__ == "__main__":
    # Like the recorder it is run by its path, with -P: how the package becomes importable then stands there.
    beside = runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)), "_recorder.py"))
    beside["_package"]()
    beside["_unbend"]()
    from headway.terminal.live import draw

    draw(sys.argv[1], sys.argv[2], sys.argv[4])
