"""A Cython kernel without the GIL counts on a task in batches, while another process watches the count rise.

It needs a C compiler, Cython and setuptools: pip install '.[examples]'
"""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import headway
from watching import cost, watched

KERNEL = """
from headway cimport hw_batch, hw_batch_add, hw_flush, native_task


cdef inline double iteration(double x) noexcept nogil:  # some 100 ns
    cdef int i
    for i in range(60):
        x = 3.9 * x * (1 - x)
    return x


def counted(capsule, long steps):
    cdef hw_batch batch = hw_batch(native_task(capsule), 0, 1000)
    cdef double x = 0.5
    cdef long step
    with nogil:
        for step in range(steps):
            x = iteration(x)
            hw_batch_add(&batch, 1)
        hw_flush(&batch)
    return x


def bare(long steps):
    cdef double x = 0.5
    cdef long step
    with nogil:
        for step in range(steps):
            x = iteration(x)
    return x
"""
SETUP = """
import headway
from Cython.Build import cythonize
from setuptools import Extension, setup

kernel = Extension("kernel", ["kernel.pyx"], include_dirs=[headway.get_include()])
setup(ext_modules=cythonize([kernel], language_level=3), script_args=["--quiet", "build_ext", "--inplace"])
"""


def build(folder: Path) -> ModuleType:
    (folder / "kernel.pyx").write_text(KERNEL)
    subprocess.run([sys.executable, "-c", SETUP], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (path,) = folder.glob("kernel*.so")
    spec = importlib.util.spec_from_file_location("kernel", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    if not (importlib.util.find_spec("Cython") and importlib.util.find_spec("setuptools")):
        sys.exit("kernel_in_cython.py needs Cython and setuptools: pip install '.[examples]'")
    steps, trial = 8_000_000, 100_000
    board = headway.open("example-cython")
    with tempfile.TemporaryDirectory() as folder, board.task("simulation", total=steps, unit="step") as task:
        kernel = build(Path(folder))
        with watched(board, task):
            kernel.counted(task.native().capsule, steps)
        print(f"in the end {task.count:,}, exactly")
        with board.task("trial") as other:
            capsule = other.native().capsule
            print(cost(lambda: kernel.bare(trial), lambda: kernel.counted(capsule, trial), trial))
    board.remove(files=True)


if __name__ == "__main__":
    main()
