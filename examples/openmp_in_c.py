"""The threads of an OpenMP loop in C count on a task, each in batches, while another process watches the count rise."""

import ctypes
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import headway
from watching import cost, watched

KERNEL = r"""
#include "headway.h"

static double iteration(double x) { /* some 100 ns */
    for (int i = 0; i < 60; i++) x = 3.9 * x * (1 - x);
    return x;
}

double counted(hw_task *task, long steps) {
    double sum = 0;
    #pragma omp parallel reduction(+ : sum)
    {
        double x = 0.5;
        hw_batch batch = {task, 0, 1000}; /* of this thread: what it holds fits into 0.1 ms */
        #pragma omp for
        for (long step = 0; step < steps; step++) {
            x = iteration(x);
            hw_batch_add(&batch, 1);
        }
        hw_flush(&batch);
        sum += x;
    }
    return sum;
}

double bare(long steps) {
    double sum = 0;
    #pragma omp parallel reduction(+ : sum)
    {
        double x = 0.5;
        #pragma omp for
        for (long step = 0; step < steps; step++) x = iteration(x);
        sum += x;
    }
    return sum;
}
"""


def build(folder: Path) -> ctypes.CDLL:
    source, library = folder / "kernel.c", folder / "kernel.so"
    source.write_text(KERNEL)
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    options = ["-O2", "-fopenmp", "-shared", "-fPIC", f"-I{headway.get_include()}"]
    subprocess.run([compiler, *options, str(source), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


def main() -> None:
    steps, trial = 15_000_000, 200_000
    board = headway.open("example-openmp")
    with tempfile.TemporaryDirectory() as folder, board.task("simulation", total=steps, unit="step") as task:
        kernel = build(Path(folder))
        kernel.counted.argtypes = [ctypes.c_void_p, ctypes.c_long]
        kernel.bare.argtypes = [ctypes.c_long]
        native = task.native()  # keep it: the C code uses its memory
        with watched(board, task):
            kernel.counted(native.address, steps)  # ctypes lets go of the GIL
        print(f"in the end {task.count:,}, exactly")
        with board.task("trial") as other:
            address = other.native()
            print(cost(lambda: kernel.bare(trial), lambda: kernel.counted(address.address, trial), trial))
    board.remove(files=True)


if __name__ == "__main__":
    main()
