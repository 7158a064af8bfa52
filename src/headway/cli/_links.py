"""The addresses of a server, as links that a browser opens, with the token in them.

The token stands in the fragment, which a browser sends to nobody: it gets into no log of a server or a proxy.
"""

from __future__ import annotations

import contextlib
import html
import ipaddress
import os
import socket
import tempfile
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Links", "open_privately", "outside_of"]

_PAGE = """<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer"><title>Headway</title>
<meta http-equiv="refresh" content="0; url={link}"><p><a href="{link}">Open Headway</a></p>
"""
_FAR = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))  # reserved for examples: nothing is sent


@dataclass(frozen=True, slots=True)
class Links:
    """Where the page is. urls: for others, the best first; at_home: for a browser on this machine."""

    urls: tuple[str, ...]
    at_home: str
    token: str | None

    @classmethod
    def of(cls, host: str, listening: socket.socket, token: str | None, outside: str | None = None) -> Links:
        """Those of a listening socket. host: what it was asked to listen on; outside: where a proxy has the page."""
        found = cls._own(host, listening, token)
        return found if outside is None else replace(found, urls=(outside, *found.urls))

    @classmethod
    def _own(cls, host: str, listening: socket.socket, token: str | None) -> Links:
        address, port = listening.getsockname()[:2]
        here = ipaddress.ip_address(address.partition("%")[0])
        if not here.is_unspecified:
            url = _url(host or address, port)
            return cls((url,), url, token)
        families = {listening.family, socket.AF_INET} if here.version == 6 else {listening.family}
        hosts = (socket.gethostname(), *_addresses(families))
        return cls(tuple(_url(one, port) for one in hosts), _url("localhost", port), token)

    @staticmethod
    def is_loopback(host: str) -> bool:
        """Can only this machine reach what listens on this host?"""
        try:
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    @property
    def links(self) -> list[str]:
        """The addresses with the token."""
        return [self._with_token(url) for url in self.urls]

    @property
    def local(self) -> str:
        """The address with the token for a browser on this machine."""
        return self._with_token(self.at_home)

    def without_token(self) -> Links:
        """The same addresses alone."""
        return replace(self, token=None)

    def _with_token(self, url: str) -> str:
        return url if self.token is None else f"{url}#token={quote(self.token, safe='')}"


def outside_of(text: str) -> tuple[str, str]:
    """The address at which a proxy has the page, with the slash that the page needs at its end, and its host.

    Raises ValueError, with the remedy, for what is no such address.
    """
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError(f"{text!r} is not the address of a page: say https://HOST/PATH/")
    if parts.query or parts.fragment:
        raise ValueError(f"{text!r} has more than a path: leave out what follows '?' or '#'")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError(f"{text!r} has a port that is no number from 0 to 65535") from None
    path = parts.path if parts.path.endswith("/") else f"{parts.path}/"
    return f"{parts.scheme}://{parts.netloc}{path}", parts.hostname


def _url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def _addresses(families: set[socket.AddressFamily]) -> list[str]:
    """This machine's addresses on the way to others, without those that only it can reach."""
    found = []
    for family, far in _FAR:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:  # no way there
            probe.connect((far, 9))
            address = probe.getsockname()[0]
            if family in families and not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
                found.append(address)
    return found


@contextlib.contextmanager
def open_privately(link: str) -> Iterator[None]:
    """Open a link in a browser. Other users see its arguments: so it gets a file that leads there, for this block."""
    import webbrowser

    descriptor, name = tempfile.mkstemp(prefix="headway-", suffix=".html")  # for this user only
    file = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(_PAGE.format(link=html.escape(link)))
        # Opening a browser may take long, or block until it is closed if it is one for the terminal.
        threading.Thread(target=webbrowser.open, args=(file.as_uri(),), daemon=True).start()
        yield
    finally:
        file.unlink(missing_ok=True)
