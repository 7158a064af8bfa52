"""Runs the notebook in the picture in a real kernel, and writes how it looked while its second cell went on.

notebook.py FILE.html
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter

UPDATES = 14  # of the bars, until the picture is taken
CELLS = (
    """\
import time
from concurrent.futures import ProcessPoolExecutor
import headway

def fold(task):
    with task:
        task.stage = "fit"
        for step in task.track(range(task.total)):
            task.message = f"step {step}"
            time.sleep(0.01 + hash(task.id) % 7 / 1000)
            if step == 120 and task.id.endswith("3"):
                raise ValueError("the matrix is singular")""",
    """\
board = headway.open("notebook")
with board.live(), ProcessPoolExecutor(4) as pool:
    folds = [board.task(f"fold-{n}", total=400, unit="step") for n in range(1, 5)]
    jobs = [pool.submit(fold, one) for one in folds]""",
)


class Client(NotebookClient):
    """Keeps what the notebook looked like after so many updates."""

    updates = 0
    kept: Any = None

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        shown = super().process_message(msg, cell, cell_index)
        if msg["msg_type"] == "update_display_data":
            self.updates += 1
            if self.updates == UPDATES:
                self.kept = copy.deepcopy(self.nb)
        return shown


def main(target: str) -> None:
    cells = [
        {"cell_type": "code", "source": source, "metadata": {}, "outputs": [], "execution_count": number}
        for number, source in enumerate(CELLS, 1)
    ]
    notebook = nbformat.from_dict({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4})
    client = Client(notebook, timeout=60, kernel_name="python3")
    client.execute()
    assert client.kept is not None, "there were too few updates"
    page, _ = HTMLExporter(template_name="lab").from_notebook_node(client.kept)
    Path(target).write_text(page)


if __name__ == "__main__":
    main(sys.argv[1])
