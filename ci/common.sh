# shellcheck shell=bash
# Sourced by the commands in this folder: the way to the root, and an environment in which the project is installed.
#
#   setup_env EXTRA...   makes or brings up to date $VENV (default: .venv) with these extras of pyproject.toml
#
# Environment: PYTHON, the interpreter to use; VENV, another folder for the environment.
# Everything said here goes to standard error: the output of a command stays its own.

set -euo pipefail

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
cd -- "$ROOT"
VENV=${VENV:-$ROOT/.venv}
case $VENV in /*) ;; *) VENV=$ROOT/$VENV ;; esac
LOG=$ROOT/build/setup-${VENV##*/}.log
unset PYTHONHOME
{ : <&0; } 2>/dev/null || exec </dev/null # started with standard input closed

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' </dev/null >/dev/null 2>&1; }

# The path of a Python of at least 3.11.
find_python() {
    local candidate
    if [[ -n ${PYTHON:-} ]]; then
        command -v -- "$PYTHON" >/dev/null || die "PYTHON=$PYTHON is no command: set PYTHON to a Python of 3.11 or newer."
        is_new_enough "$PYTHON" || die "PYTHON=$PYTHON is not a working Python of 3.11 or newer: set PYTHON to one."
        command -v -- "$PYTHON"
        return
    fi
    for candidate in python3 python3.13 python3.12 python3.11; do
        if command -v -- "$candidate" >/dev/null && is_new_enough "$candidate"; then
            command -v -- "$candidate"
            return
        fi
    done
    die "no Python of 3.11 or newer was found: install one (Debian: apt-get install python3 python3-venv python3-dev), or name it in PYTHON."
}

# What the environment in $VENV was made for. A folder that was moved, or another Python, gives another answer.
identity_of() { # identity_of PYTHON
    "$1" -c 'import os, sys; print(sys.argv[1], sys.version.split()[0], sys.implementation.cache_tag, os.path.realpath(sys.base_prefix), sep="|")' "$VENV"
}

# Why $VENV cannot be used as it is; nothing when it can.
what_is_wrong() {
    [[ -e $VENV || -L $VENV ]] || { echo "there is none"; return; }
    [[ -f $VENV/.made ]] || { echo "it is not complete"; return; }
    [[ ! -e $VENV/.busy ]] || { echo "its last set-up was interrupted"; return; }
    is_new_enough "$VENV/bin/python" || { echo "its Python is gone"; return; }
    [[ $(<"$VENV/.made") == "$(identity_of "$VENV/bin/python")" ]] || { echo "it was made elsewhere or by another Python"; return; }
    if [[ -n ${PYTHON:-} ]]; then
        local wanted
        wanted=$(find_python) || exit 1
        [[ $(identity_of "$wanted") == "$(<"$VENV/.made")" ]] || echo "PYTHON asks for another one"
    fi
}

make_venv() {
    local python
    python=$(find_python) || exit 1
    "$python" -c 'import ensurepip, venv' </dev/null >/dev/null 2>&1 ||
        die "$python cannot make virtual environments: install its venv module (Debian: apt-get install python3-venv)."
    rm -rf -- "$VENV"
    "$python" -m venv "$VENV" </dev/null >"$LOG" 2>&1 || fail_with_log "$python -m venv failed"
    identity_of "$VENV/bin/python" >"$VENV/.made.part"
    mv -- "$VENV/.made.part" "$VENV/.made"
}

fail_with_log() {
    tail -n 25 -- "$LOG" >&2
    rm -f -- "$VENV/.busy"
    die "$1: the reason stands above, the whole of it in $LOG."
}

check_compiler() {
    local compiler trial
    compiler=${CC:-$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_config_var("CC") or "cc")')}
    compiler=${compiler%% *}
    command -v -- "$compiler" >/dev/null ||
        die "no C compiler ($compiler): install one (Debian: apt-get install gcc libc6-dev), or name it in CC."
    trial=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    [[ -f $trial/Python.h ]] ||
        die "the headers of Python are not in $trial: install them (Debian: apt-get install python3-dev)."
    printf '#include <pthread.h>\n#include <stdint.h>\n' | "$compiler" -fsyntax-only -x c - >/dev/null 2>&1 ||
        die "$compiler does not find the headers of the C library: install them (Debian: apt-get install libc6-dev)."
}

# What pyproject.toml asks for: the build's own requirements, the package's, and those of the extras named.
requirements() {
    "$VENV/bin/python" - "$@" <<'PYTHON'
import sys
import tomllib

with open("pyproject.toml", "rb") as file:
    settings = tomllib.load(file)
wanted = [*settings["build-system"]["requires"], *settings["project"]["dependencies"]]
for extra in sys.argv[1:]:
    wanted += settings["project"]["optional-dependencies"][extra]
print("\n".join(dict.fromkeys(wanted)))
PYTHON
}

# One line that changes when the native modules or the metadata have to be built again.
fingerprint() {
    {
        echo "$ROOT ${SANITIZE:-} ${COVERAGE:-} ${DEBUG:-} ${HOOKS:-} ${CC:-} ${CFLAGS:-} ${LDFLAGS:-}"
        find src pyproject.toml setup.py ci/common.sh -type f \
            \( -name '*.pyx' -o -name '*.pxi' -o -name '*.pxd' -o -name '*.h' -o -name '*.toml' -o -name setup.py -o -name common.sh \) -print0 |
            LC_ALL=C sort -z | xargs -0 sha256sum
    } | sha256sum
}

# A sanitizer's library has to be in the process before Python itself; Python's own allocations at exit are no leaks.
load_sanitizer() {
    case ${SANITIZE:-} in
        address) LD_PRELOAD=$("${CC:-cc}" -print-file-name=libasan.so) ;;
        thread) LD_PRELOAD=$("${CC:-cc}" -print-file-name=libtsan.so) ;;
        *) return 0 ;;
    esac
    export LD_PRELOAD ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0}
}

native_modules_load() {
    [[ $(uname -s) == Linux ]] || return 0
    (
        cd /
        load_sanitizer
        "$VENV/bin/python" - "$ROOT/src/headway" <<'PYTHON'
import importlib
import pathlib
import sys

folder = pathlib.Path(sys.argv[1])
for source in (folder / "native").glob("*.pyx"):
    module = importlib.import_module(f"headway.native.{source.stem}")
    if pathlib.Path(module.__file__).parent != source.parent:
        sys.exit(f"{module.__file__} is not of this tree")
PYTHON
    ) </dev/null >"$LOG.import" 2>&1
}

pip_install() {
    "$VENV/bin/python" -m pip --no-input --disable-pip-version-check install "$@" </dev/null >"$LOG" 2>&1
}

bring_up_to_date() {
    local reason wanted extras stamp native
    reason=$(what_is_wrong)
    if [[ -n $reason ]]; then
        say "making the environment $VENV: $reason"
        make_venv
    fi
    extras=$({ printf '%s\n' "$@"; cat -- "$VENV/.extras" 2>/dev/null || :; } | LC_ALL=C sort -u | grep . || :)
    # shellcheck disable=SC2086 # one word an extra
    wanted=$(requirements $extras)
    if [[ $wanted != "$(cat -- "$VENV/.requirements" 2>/dev/null || :)" ]]; then
        say "installing $(tr '\n' ' ' <<<"$wanted")"
        touch -- "$VENV/.busy"
        rm -f -- "$VENV/.requirements"
        printf '%s\n' "$wanted" >"$VENV/.wanted"
        pip_install -r "$VENV/.wanted" || fail_with_log "pip could not install what the project needs"
        printf '%s\n' "$extras" >"$VENV/.extras"
        printf '%s\n' "$wanted" >"$VENV/.requirements"
        rm -f -- "$VENV/.busy"
    fi
    # The modules lie in src, where an environment of the same Python, but built with other switches, replaces them.
    stamp=$(fingerprint)
    native=$ROOT/build/native-$(cut -d '|' -f 3 <"$VENV/.made")
    if ! { printf '%s\n' "$stamp" | cmp --silent - "$VENV/.built" && cmp --silent "$VENV/.built" "$native" && native_modules_load; }; then
        check_compiler
        say "building and installing the project"
        touch -- "$VENV/.busy"
        rm -f -- "$VENV/.built" "$native"
        # The page is built by ci/web.
        PAGE=0 pip_install --no-deps --no-build-isolation --editable . || fail_with_log "the build failed"
        rm -f -- "$VENV/.busy"
        native_modules_load || { cat -- "$LOG.import" >&2; die "the native modules were built but do not load: the reason stands above."; }
        printf '%s\n' "$stamp" | tee -- "$native" >"$VENV/.built"
    fi
}

setup_env() {
    local probe
    mkdir -p -- "$ROOT/build"
    if probe=$(mktemp -d -- "${HOME:-/nonexistent}/.headway-XXXXXX" 2>/dev/null); then
        rmdir -- "$probe"
    else
        export PIP_NO_CACHE_DIR=1 # HOME cannot be written
    fi
    # Several commands may be started at once; a set-up killed from outside holds the lock until its pip has ended, too.
    {
        if command -v flock >/dev/null; then
            flock --nonblock 9 || { say "waiting for another set-up of this tree"; flock 9; }
        fi
        bring_up_to_date "$@"
    } 9>"$ROOT/build/setup.lock"
    export VIRTUAL_ENV=$VENV PATH=$VENV/bin:$PATH
    load_sanitizer
}
