"""Runs a notebook in a real kernel: python notebook.py < CELLS, a list of sources in JSON.

Prints one JSON object: "sent", the outputs that the kernel sent while cells ran, each with its time, and "saved", what
stands in the notebook afterwards, by cell. A cell that has the word INTERRUPT in it is interrupted once it printed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError


class Client(NotebookClient):
    """Notes what the kernel sends."""

    sent: list[dict[str, Any]]
    interrupts: list[Any]

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        kind, content = msg["msg_type"], msg["content"]
        if kind in ("display_data", "update_display_data", "stream"):
            self.sent.append({"at": time.monotonic(), "kind": kind, "cell": cell_index, **content})
        if kind == "stream" and "INTERRUPT" in cell.source:
            manager: Any = self.km
            self.interrupts.append(asyncio.ensure_future(manager.interrupt_kernel()))
        return super().process_message(msg, cell, cell_index)


def main() -> None:
    cells = [{"cell_type": "code", "source": source, "metadata": {}, "outputs": []} for source in json.load(sys.stdin)]
    notebook = nbformat.from_dict({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4})
    client = Client(notebook, timeout=60, kernel_name="python3")
    client.sent, client.interrupts = [], []
    try:
        client.execute()
    except CellExecutionError as error:  # as wanted: it stands among the outputs
        print(error.ename, file=sys.stderr)
    print(json.dumps({"sent": client.sent, "saved": [cell.outputs for cell in notebook.cells]}))


if __name__ == "__main__":
    main()
