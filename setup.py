"""The native modules. Everything else about the package stands in pyproject.toml.

Switches, from the environment; each combination builds into a folder of its own:

SANITIZE=address   with AddressSanitizer and UndefinedBehaviorSanitizer
SANITIZE=thread    with ThreadSanitizer
COVERAGE=1         with line tracing in the Cython code
DEBUG=1            unoptimised, with debug information
HOOKS=1            with steps at which a test can end or stop the process
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

PACKAGE = Path("src/headway")
SANITIZERS = {
    "": [],
    "address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"],
    "thread": ["-fsanitize=thread", "-fno-omit-frame-pointer"],
}

sanitize = os.environ.get("SANITIZE", "")
if sanitize not in SANITIZERS:
    sys.exit(f"SANITIZE={sanitize} is unknown: say SANITIZE=address or SANITIZE=thread, or leave it out")
coverage, debug, hooks = (os.environ.get(name) == "1" for name in ("COVERAGE", "DEBUG", "HOOKS"))
variant = "-".join(
    name
    for name, wanted in ((sanitize, sanitize), ("coverage", coverage), ("debug", debug), ("hooks", hooks))
    if wanted
)
build = Path("build", variant) if variant else Path("build")

flags = ["-std=c11", "-fvisibility=hidden", "-pthread", *SANITIZERS[sanitize]]
flags += ["-O0", "-g", "-UNDEBUG"] if sanitize or coverage or debug else ["-O3"]
macros: list[tuple[str, str | None]] = [("_GNU_SOURCE", "1")]  # open-file-description locks, sem_clockwait
if coverage:
    macros += [("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1")]
if hooks:
    macros += [("HW_HOOKS", "1")]

# A board lives in the shared memory of 64-bit Linux; elsewhere the package works without native modules.
supported = sys.platform == "linux" and sys.maxsize > 2**32
headers = sorted(map(str, (*PACKAGE.glob("include/*.h"), *PACKAGE.glob("native/*.h"), *PACKAGE.rglob("*.px[di]"))))
extensions = [
    Extension(
        f"headway.native.{source.stem}",
        sources=[str(source)],
        include_dirs=[str(PACKAGE / "include"), str(PACKAGE / "native")],
        depends=[*headers, "setup.py"],
        define_macros=macros,
        extra_compile_args=flags,
        extra_link_args=["-pthread", *SANITIZERS[sanitize]],
        libraries=["rt"],
    )
    for source in sorted(PACKAGE.glob("native/*.pyx"))
    if supported
]

setup(
    ext_modules=cythonize(
        extensions,
        build_dir=None if coverage else str(build / "cython"),  # coverage looks for the C code beside the source
        include_path=["src"],
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "binding": True,
            "embedsignature": True,
            "embedsignature.format": "python",
            "linetrace": coverage,
        },
    ),
    options={"build": {"build_base": str(build)}},
)
