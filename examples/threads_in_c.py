"""C threads that hold no GIL count on a task with hw_add() of headway.h, while Python watches the count rise."""

import ctypes
import subprocess
import sysconfig
import tempfile
import threading
import time
from pathlib import Path

import headway

KERNEL = r"""
#include "headway.h"

double simulate(hw_task *task, long steps) {
    double x = 0.5;
    for (long step = 0; step < steps; step++) {
        for (int i = 0; i < 50; i++) x = 3.9 * x * (1 - x);
        hw_add(task, 1); /* one atomic add: no need to count in batches */
    }
    return x;
}
"""


def build(folder: Path) -> ctypes.CDLL:
    source, library = folder / "kernel.c", folder / "kernel.so"
    source.write_text(KERNEL)
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    command = [compiler, "-O2", "-shared", "-fPIC", f"-I{headway.get_include()}", "-o", str(library), str(source)]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(library))


def main() -> None:
    steps = 2_000_000
    board = headway.open("example-c")
    with tempfile.TemporaryDirectory() as folder, board.task("simulation", total=2 * steps, unit="step") as task:
        library = build(Path(folder))
        library.simulate.argtypes = [ctypes.c_void_p, ctypes.c_long]
        native = task.native()  # keep it: the C code uses its memory
        threads = [threading.Thread(target=library.simulate, args=(native.address, steps)) for _ in range(2)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.05)
            print(f"{task.count:>9,} of {task.total:,} steps")
        for thread in threads:
            thread.join()
    print(f"in the end {task.count:,}, exactly")
    board.remove(files=True)


if __name__ == "__main__":
    main()
