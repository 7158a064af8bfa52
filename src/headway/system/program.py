"""What this program is called, where nobody gave its board a name; and for how long it wants its histories kept."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

__all__ = ["DAYS", "ROWS", "history_texts", "program_name"]

DAYS, ROWS = "HEADWAY_HISTORY_DAYS", "HEADWAY_HISTORY_ROWS"  # headway.files.retention says what they mean

KERNELS = ("ipykernel_launcher", "colab_kernel_launcher", "xpython_launcher")
NAME_MOST = 64  # characters, as paths.check_name allows
KERNEL_ID = 8  # characters of a kernel's connection file that tell kernels apart


def program_name() -> str:
    """A legal name of a board for this program.

    A notebook has the name of its file; where that cannot be known, "notebook-" and the number of its kernel. What
    runs by `python -m` has the module's name, `python -c` is "python-c", and a script has its own name. Where
    `headway run` runs a program, all of its processes have the name of that one.
    """
    if told := os.environ.get("HEADWAY_RUN", ""):
        module = told.removeprefix("-m ")
        return _legal(module.removesuffix(".__main__") if module != told else _stem(Path(told))) or "python"
    arguments = getattr(sys, "argv", None) or [""]
    script = Path(arguments[0])
    if script.stem in KERNELS or script.parent.name == "ipykernel":
        return _legal(_notebook(arguments)) or "notebook"
    if arguments[0] in ("-c", "-m"):
        return f"python{arguments[0]}"
    return _legal(_module(arguments[0])) or _legal(_stem(script)) or "python"


def _stem(script: Path) -> str:
    return script.parent.name if script.name == "__main__.py" else script.stem


def _module(script: str) -> str:
    """The module that `python -m` runs; "" if it was not started so, or is not the program any more."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if spec is None or getattr(spec, "origin", None) != script:
        return ""
    return str(spec.name).removesuffix(".__main__")


def _notebook(arguments: list[str]) -> str:
    """The name of the notebook whose kernel this is, or of the kernel."""
    # VS Code tells the kernel the file of its notebook, Jupyter the environment of its kernels.
    told = getattr(sys.modules.get("__main__"), "__vsc_ipynb_file__", None) or os.environ.get("JPY_SESSION_NAME")
    if isinstance(told, str) and (name := _legal(Path(told).stem)):
        return name
    for at, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        if option in ("-f", "--f", "--IPKernelApp.connection_file"):
            value = value if equals else "".join(arguments[at + 1 : at + 2])
            number = Path(value).stem.removeprefix("kernel-").removeprefix("v2-")
            return f"notebook-{number[:KERNEL_ID]}"
    return "notebook"


def _legal(text: str) -> str:
    """What of a text can be in the name of a board; "" if that is nothing."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:NAME_MOST].strip(".-")


def history_texts() -> tuple[str, str]:
    """The two variables that say how long histories are kept, "" for one that is not set."""
    days, rows = (os.environ.get(name, "").strip() for name in (DAYS, ROWS))
    return days, rows
