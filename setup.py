"""The native modules. Everything else about the package is in pyproject.toml.

Switches, from the environment; each combination builds into a folder of its own:

SANITIZE=address   with AddressSanitizer and UndefinedBehaviorSanitizer
SANITIZE=thread    with ThreadSanitizer
COVERAGE=1         with line tracing in the Cython code
DEBUG=1            unoptimised, with debug information
HOOKS=1            with steps at which a test can end or stop the process
OLD=1              as older C libraries build it: without sem_clockwait
RELEASE=1          stripped, as web/backend.py builds wheels
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

PACKAGE = Path("src/headway")
SANITIZERS = {
    "": [],
    "address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"],
    "thread": ["-fsanitize=thread", "-fno-omit-frame-pointer"],
}

sanitize = os.environ.get("SANITIZE", "")
if sanitize not in SANITIZERS:
    sys.exit(f"SANITIZE={sanitize} is unknown: say SANITIZE=address or SANITIZE=thread, or leave it out")
coverage, debug, hooks, old, release = (
    os.environ.get(name) == "1" for name in ("COVERAGE", "DEBUG", "HOOKS", "OLD", "RELEASE")
)
variant = "-".join(
    name
    for name, wanted in (
        (sanitize, sanitize),
        ("coverage", coverage),
        ("debug", debug),
        ("hooks", hooks),
        ("old", old),
        ("release", release),
    )
    if wanted
)
build = Path("build", variant) if variant else Path("build")

flags = ["-std=c11", "-fvisibility=hidden", "-pthread", *SANITIZERS[sanitize]]
unoptimised = sanitize or coverage or debug
flags += ["-O0", "-g", "-UNDEBUG"] if unoptimised else ["-O3"]
strip = ["-s"] if release and not unoptimised else []
macros: list[tuple[str, str | None]] = [("_GNU_SOURCE", "1")]  # open-file-description locks, sem_clockwait
if coverage:
    macros += [("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1")]
if hooks:
    macros += [("HW_HOOKS", "1")]
if old:
    macros += [("HW_OLD", "1")]


def without_run_paths(command: list[str]) -> list[str]:
    """A linker's command, without the options that write folders of this machine into the module (RPATH, RUNPATH)."""
    kept, after_option = [], False
    for word in command:
        if not word.startswith("-Wl,"):
            kept.append(word)
            continue
        options = []
        for option in word.split(",")[1:]:
            if after_option:
                after_option = False
            elif option in ("-rpath", "--rpath", "-R"):
                after_option = True
            elif not option.startswith(("-rpath=", "--rpath=", "-R")):
                options.append(option)
        if options:
            kept.append(",".join(["-Wl", *options]))
    return kept


class BuildExtensions(build_ext):  # type: ignore[misc] # setuptools has no types
    """Builds modules that need only the C library, and therefore no folders in which to search for libraries."""

    def build_extensions(self) -> None:
        self.compiler.linker_so = without_run_paths(self.compiler.linker_so)
        os.environ.pop("LD_RUN_PATH", None)
        super().build_extensions()


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
        extra_link_args=["-pthread", *SANITIZERS[sanitize], *strip],
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
    cmdclass={"build_ext": BuildExtensions},
    options={"build": {"build_base": str(build)}},
)
