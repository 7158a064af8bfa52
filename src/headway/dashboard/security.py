"""Access control: which requests are refused before routing, and the headers that every answer has.

A dashboard shows what programs are doing. Two kinds of others must not read it: users who can reach the port, on
127.0.0.1 every user of this machine, and pages of another origin in the browser of somebody who may.

- With a token: every request needs it, except those for the page's own files, which hold no data, and /healthz. It is
  compared in constant time. It comes in a header, never in a cookie: cookies do not know ports, so a browser would send
  one to every server of this machine, whoever started it.
- Host has to be a name of this server. A foreign name that resolves to 127.0.0.1 (DNS rebinding) would make a foreign
  page the same origin. An IP address is not a name and cannot be rebound.
- Origin, and Sec-Fetch-Site, which the browser itself sets, have to be those of the page itself, for all data.
- Nothing can be changed: only GET and HEAD, never a body.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders

from headway.dashboard.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["HEALTH", "TOKEN_LEAST", "Guard", "check_token", "is_known"]

TOKEN_LEAST = 16
TOKEN_HEADER = "headway-token"  # where Authorization is the proxy's
HEALTH = "/healthz"
URL_BYTES_MAX = 4096
HEADER_BYTES_MAX = 16 * 1024

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
_KNOWN = "headway.known"  # in the scope of a request: may it see data?


def check_token(token: str) -> str:
    """Return `token` if it can be one: at least 16 printable ASCII characters without spaces. Raises ValueError."""
    if len(token) < TOKEN_LEAST or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError(f"the token has to be at least {TOKEN_LEAST} printable ASCII characters, without spaces")
    return token


def is_known(request: Request) -> bool:
    """Whether a request that the guard let pass showed the token, or needs none."""
    return bool(request.scope[_KNOWN])


class Guard:
    """ASGI middleware: it refuses requests, or passes them on to an application.

    token: None = none is required; hosts: further names of this server, such as a proxy's; "*" = any; is_public: paths
    below the application's that need no token. Raises ValueError for a token that is too short.
    """

    def __init__(
        self, app: ASGIApp, *, token: str | None, hosts: Iterable[str], is_public: Callable[[str], bool]
    ) -> None:
        self.app = app
        self._is_public = is_public
        self._names = {host.lower() for host in hosts}
        self._own = {"localhost", socket.gethostname().lower()}
        self._token = None if token is None else check_token(token).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            known = self._check(scope)
        except Problem as problem:
            await problem.response()(scope, receive, guarded_send)
        else:
            await self.app({**scope, _KNOWN: known}, receive, guarded_send)

    def _check(self, scope: Scope) -> bool:
        """Whether the request may see data. Raises Problem if it is not for the application at all."""
        headers = Headers(scope=scope)
        self._check_size(scope)
        if scope["method"] not in ("GET", "HEAD"):
            raise Problem(405, "method-not-allowed", "nothing can be changed here: use GET", {"Allow": "GET, HEAD"})
        if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            raise Problem(413, "body-refused", "a request here has no body: leave it out", {"Connection": "close"})
        self._check_host(headers)
        known = self._token is None or _shows(headers, self._token)
        if self._is_public(_path_of(scope)):
            return known
        self._check_origin(headers)
        if not known:
            raise Problem(
                401,
                "token-required",
                "this server asks for its token: send 'Authorization: Bearer TOKEN', or open the link that it printed",
                {"WWW-Authenticate": 'Bearer realm="headway"'},
            )
        return True

    @staticmethod
    def _check_size(scope: Scope) -> None:
        size = len(scope.get("raw_path") or scope["path"].encode()) + len(scope["query_string"])
        if size > URL_BYTES_MAX:
            raise Problem(414, "url-too-long", f"the URL has {size} bytes, more than {URL_BYTES_MAX}: shorten it")
        size = sum(len(name) + len(value) for name, value in scope["headers"])
        if size > HEADER_BYTES_MAX:
            raise Problem(431, "headers-too-large", f"{size} bytes of headers, more than {HEADER_BYTES_MAX}: send less")

    def _check_host(self, headers: Headers) -> None:
        values = headers.getlist("host")
        if len(values) != 1:
            raise Problem(400, "bad-request", f"the request has {len(values)} Host headers: send one")
        if not self._is_mine(values[0]):
            raise Problem(
                403,
                "foreign-host",
                f"{values[0]!r:.100} is not a name of this server: to add it, start with --allow-host",
            )

    def _is_mine(self, authority: str) -> bool:
        host = _host_of(authority)
        if not host or "*" in self._names or host in self._names or host in self._own:
            return bool(host)
        try:
            return host.endswith(".localhost") or bool(ipaddress.ip_address(host))
        except ValueError:
            return False

    def _check_origin(self, headers: Headers) -> None:
        origin = headers.get("origin")
        if origin is not None:
            authority = origin.lower().partition("://")[2]  # behind a proxy with TLS the scheme differs
            if not authority or (authority != headers["host"].lower() and _host_of(authority) not in self._names):
                raise Problem(403, "foreign-origin", f"pages of {origin!r:.100} may not ask here")
        site, mode = headers.get("sec-fetch-site", "none"), headers.get("sec-fetch-mode", "navigate")
        if site not in ("none", "same-origin") and mode != "navigate":
            raise Problem(403, "foreign-origin", "pages of another origin may not ask here")


def _path_of(scope: Scope) -> str:
    """The path below the application, by the rule by which routes are found."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if path == root or path.startswith(f"{root}/") else path


def _shows(headers: Headers, token: bytes) -> bool:
    """Does a request show this token?"""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    given = (value.strip() if scheme.lower() == "bearer" else "", headers.get(TOKEN_HEADER, ""))
    return any(hmac.compare_digest(one.encode("utf-8", "replace"), token) for one in given)


def _host_of(authority: str) -> str:
    """The host of `host:port`; "" if it cannot be parsed."""
    try:
        parts = urlsplit(f"//{authority}")
        return (parts.hostname or "") if parts.netloc == authority and parts.username is None else ""
    except ValueError:
        return ""
