"""Show all boards in a browser, live, from their snapshot files. Read only.

On this machine only, nobody is asked for anything. If it can be reached from others (--host), everyone needs a token.
"""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from headway import errors
from headway.cli._output import add_json, print_json, say

if TYPE_CHECKING:
    import socket

__all__ = ["EXAMPLES", "configure", "run"]

EXAMPLES = """\
environment: HEADWAY_TOKEN the token, which as an argument other users of this machine could see

examples:
  headway serve --open
  headway serve --host 0.0.0.0                              a token is made up and printed
  headway serve --allow-host progress.example.com           behind a proxy that passes the name on
  ssh -L 8765:localhost:8765 box                            the boards of another machine, with no port opened to others
"""
PORT = 8765


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: use 1 to 65535, or 0 for any free one")
    return int(text)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dir", type=Path, metavar="DIR", help="the folder of boards (default: that of this user)")
    parser.add_argument(
        "--analysis", type=Path, metavar="DIR", help="the folder of a file tracker, whose analyses are told as well"
    )
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="listen there (default: 127.0.0.1)")
    parser.add_argument("--port", type=_port, default=PORT, metavar="N", help=f"default: {PORT}; 0: any free one")
    parser.add_argument("--token", metavar="TEXT", help="ask everyone for it, on this machine, too")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a further name of this server; repeatable"
    )
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    add_json(parser, "print where it is as JSON")


def run(options: argparse.Namespace) -> int:
    from headway.dashboard import create_app, extra

    if options.dir is not None and not options.dir.is_dir():
        raise errors.HeadwayError(f"{options.dir} is not a folder: name the one that holds the boards with --dir")
    if options.analysis is not None and not options.analysis.is_dir():
        raise errors.HeadwayError(f"{options.analysis} is not a folder: give the tracker's base_dir with --analysis")
    given: str | None = options.token or os.environ.get("HEADWAY_TOKEN") or None
    token = given if given is not None or _is_loopback(options.host) else secrets.token_urlsafe(32)
    try:
        app = create_app(options.dir, token=token, hosts=options.allow_host, analysis=options.analysis)
    except ValueError as error:
        raise errors.HeadwayError(f"{error}: see --token and HEADWAY_TOKEN") from None
    with extra():
        from headway.dashboard.server import listen, serve

    with contextlib.closing(listen(options.host, options.port)) as listening:
        url = _url(options.host, listening)
        first = url if token is None else f"{url}?token={quote(token, safe='')}"

        def tell() -> None:
            if options.json:
                print_json({"url": url, "token": token, "pid": os.getpid()}, indent=None)
            else:
                say(f"Headway shows its boards on {first if given is None else url} until Ctrl-C")
            sys.stdout.flush()
            if options.open:
                import threading
                import webbrowser

                # Opening a browser may take long, or block until it is closed if it is one for the terminal.
                threading.Thread(target=webbrowser.open, args=(first,), daemon=True).start()

        serve(app, listening, tell)
    return 0


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _url(host: str, listening: socket.socket) -> str:
    """The address of the page for a browser on this machine."""
    address, port = listening.getsockname()[:2]
    if ipaddress.ip_address(address).is_unspecified:
        host = "localhost"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
