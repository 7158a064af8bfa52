"""Access control: which requests are refused before routing, and the headers that every answer has.

A dashboard shows what programs are doing to everyone who can reach it, so a page of another origin must not be able to
read it through such a person's browser:

- Host has to be a name of this server. A foreign name that resolves to 127.0.0.1 (DNS rebinding) would make a foreign
  page the same origin. An IP address is not a name and cannot be rebound.
- Origin, and Sec-Fetch-Site, which the browser itself sets, have to be those of the page itself.
- Nothing can be changed: only GET and HEAD, never a body.
- With a token: every request except /healthz needs it; it is compared in constant time.
"""

from __future__ import annotations

import hmac
import html
import ipaddress
import socket
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, RedirectResponse, Response

from headway.dashboard.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["TOKEN_LEAST", "Guard", "check_token"]

TOKEN_LEAST = 16
URL_BYTES_MAX = 4096
HEADER_BYTES_MAX = 16 * 1024
COOKIE_S = 30 * 24 * 3600

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
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
_ASK = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Headway</title><h1>Headway</h1>
<p>{reason} It was printed where <code>headway serve</code> was started.</p>
<form method="get" action="./">
<label>Token <input name="token" type="password" autocomplete="off" autofocus required></label>
<button>Show the boards</button></form>
<p>You came by a link and have been here before? <a href="./">Open the page</a>.</p></html>
"""


def check_token(token: str) -> str:
    """Return `token` if it can be one: at least 16 printable ASCII characters without spaces. Raises ValueError."""
    if len(token) < TOKEN_LEAST or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError(f"the token has to be at least {TOKEN_LEAST} printable ASCII characters, without spaces")
    return token


class Guard:
    """ASGI middleware: it refuses requests, or passes them on to an application.

    token: None = none is required; hosts: further names of this server, such as a proxy's; "*" = any.
    Raises ValueError for a token that is too short.
    """

    def __init__(self, app: ASGIApp, *, token: str | None = None, hosts: Iterable[str] = ()) -> None:
        self.app = app
        self._names = {host.lower() for host in hosts}
        self._own = {"localhost", socket.gethostname().lower()}
        self._token = None if token is None else check_token(token).encode()
        if self._token is not None:
            # The cookie is not the token; its name distinguishes dashboards on different ports of one host.
            self._cookie = hmac.digest(self._token, b"headway cookie", "sha256").hex()
            self._cookie_name = "headway-" + hmac.digest(self._token, b"headway name", "sha256").hex()[:8]

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
            answer = self._look(scope)
        except Problem as problem:
            answer = problem.response()
        await (self.app if answer is None else answer)(scope, receive, guarded_send)

    def _look(self, scope: Scope) -> Response | None:
        """The answer, if the request is not for the application. Raises Problem."""
        headers = Headers(scope=scope)
        self._check_size(scope)
        if scope["method"] not in ("GET", "HEAD"):
            raise Problem(405, "method-not-allowed", "nothing can be changed here: use GET", {"Allow": "GET, HEAD"})
        if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            raise Problem(413, "body-refused", "a request here has no body: leave it out", {"Connection": "close"})
        self._check_host(headers)
        self._check_origin(headers)
        return None if self._token is None else self._ask(scope, headers, self._token)

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

    def _ask(self, scope: Scope, headers: Headers, token: bytes) -> Response | None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path == "/healthz" or self._is_known(headers, token):
            return None
        if path not in ("", "/"):
            raise Problem(
                401,
                "token-required",
                "this server asks for its token: send 'Authorization: Bearer TOKEN', or open '/?token=TOKEN' once",
                {"WWW-Authenticate": 'Bearer realm="headway"'},
            )
        given = parse_qs(scope["query_string"].decode("ascii", "replace")).get("token", [])
        if len(given) == 1 and hmac.compare_digest(given[0].encode("utf-8", "replace"), token):
            answer: Response = RedirectResponse("./", 303)
            answer.set_cookie(
                self._cookie_name,
                self._cookie,
                max_age=COOKIE_S,
                path=None,  # relative to this request, so the prefix need not be known
                secure=scope.get("scheme") == "https",
                httponly=True,
                samesite="strict",
            )
            return answer
        reason = "That is not the token." if given else "This server asks for its token."
        return HTMLResponse(_ASK.format(reason=html.escape(reason)), 401)

    def _is_known(self, headers: Headers, token: bytes) -> bool:
        scheme, _, value = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(value.strip().encode("utf-8", "replace"), token):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self._cookie_name)
        except CookieError:
            return False
        given = "" if cookie is None else cookie.value
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._cookie.encode())


def _host_of(authority: str) -> str:
    """The host of `host:port`; "" if it cannot be parsed."""
    try:
        parts = urlsplit(f"//{authority}")
        return (parts.hostname or "") if parts.netloc == authority and parts.username is None else ""
    except ValueError:
        return ""
