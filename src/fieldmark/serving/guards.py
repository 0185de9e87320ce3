"""Who may ask: checks of a request before anything is read of its body.

In: an ASGI application. Out: the same, behind the checks.
`Host` must be a name of this server, so that no web page can reach it under a name of its own (DNS
rebinding). `Origin`, which browsers send, must be the server's own page or one that was allowed.
A token, where there is one, must be right. Where all places are taken, requests are refused here:
that costs least. Every response gets the headers that keep a browser from doing more than asked.
Not covered: encryption; put a proxy in front of the server for that.
"""

import ipaddress
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fieldmark.base.errors import ServeError
from fieldmark.serving.refusals import Refused, error_response

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
WILDCARDS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - to tell that it was asked for
HEALTH = "/v2/health/"
POLICY = (
    b"default-src 'none'",
    b"script-src 'self'",
    b"style-src 'self'",
    b"connect-src 'self'",
    b"img-src 'self' blob: data:",
    b"media-src 'self' blob:",
    b"manifest-src 'self'",
    b"base-uri 'none'",
    b"form-action 'none'",
    b"frame-ancestors 'none'",
)
"""What the page may load: its own files, and pictures that it has been given."""
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"; ".join(POLICY)),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
)
"""Of every response: what a page may do, and that nobody keeps or reinterprets it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardConfig:
    """What is let in."""

    hosts: frozenset[str]
    """Names in lower case, without port, under which the server is reached."""
    any_address: bool = False
    """Whether any IP address will do as a host, too: for a server that listens on all of them."""
    token: str | None = None
    """What `Authorization: Bearer` must say; None asks for none."""
    origins: frozenset[str] = frozenset()
    """Other sites whose pages may ask, such as `https://example.org`."""


def guard_config(
    host: str,
    *,
    token: str | None,
    allow_hosts: tuple[str, ...] = (),
    allow_origins: tuple[str, ...] = (),
) -> GuardConfig:
    """Return what is let in by a server at `host`.

    Raises:
        ServeError: others can reach it and there is no token, or a token cannot be sent.
    """
    if not is_local(host) and not token:
        raise ServeError(
            f"--host {host} lets other machines in, so a token is required. Give one with "
            "--token-file or in FIELDMARK_TOKEN, or leave --host out to serve this machine alone."
        )
    if token is not None and (not token.isascii() or not token.isprintable() or " " in token):
        raise ServeError("The token must be of printable ASCII characters without spaces.")
    for origin in allow_origins:
        if not origin.startswith(("http://", "https://")) or origin.count("/") != 2:
            raise ServeError(
                f"--allow-origin is '{origin}'; allowed: a scheme and a host, such as "
                "https://example.org."
            )
    names = {host.lower(), *(name.lower() for name in allow_hosts), *LOCAL}
    if host in WILDCARDS:
        names.add(socket.gethostname().lower())
    return GuardConfig(
        hosts=frozenset(names - WILDCARDS),
        any_address=host in WILDCARDS,
        token=token,
        origins=frozenset(origin.lower() for origin in allow_origins),
    )


def is_local(host: str) -> bool:
    """Whether a server at that address can be reached from this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """An ASGI application behind the checks."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        config: GuardConfig,
        refuse: Callable[[Scope], Refused | None],
        is_stopping: Callable[[], bool],
        open_paths: frozenset[str],
    ) -> None:
        """Put an application behind the checks.

        Args:
            app: what is asked where all is well.
            config: what is let in.
            refuse: says whether there is no place for a request, and when there may be.
            is_stopping: whether connections shall be closed with their next answer.
            open_paths: what is given without a token: the files of the page.
        """
        self._app = app
        self._config = config
        self._refuse = refuse
        self._is_stopping = is_stopping
        self._open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        origin = _text(headers.get(b"origin"))
        is_foreign = origin is not None and origin.lower() in self._config.origins

        async def guarded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = self._with_ours(message["headers"], origin, is_foreign)
            await send(message)

        response = self._refusal(scope, headers, origin, is_foreign=is_foreign)
        await (response or self._app)(scope, receive, guarded_send)

    def _refusal(
        self, scope: Scope, headers: dict[bytes, bytes], origin: str | None, *, is_foreign: bool
    ) -> Response | None:
        host = _text(headers.get(b"host")) or ""
        if not self._knows(host):
            return error_response(
                421,
                f"This server is not called '{host[:100]}'. Start it with --allow-host to have it "
                "answer to that name.",
            )
        if origin is not None and not is_foreign and _netloc(origin) != host.lower():
            return error_response(
                403,
                f"Pages of {origin[:100]} may not ask this server. Start it with --allow-origin to "
                "let them.",
            )
        if is_foreign and scope["method"] == "OPTIONS":
            return Response(status_code=204)
        if not self._may_see(scope["path"], headers):
            return error_response(
                401,
                "This server wants its token, as the header: Authorization: Bearer TOKEN",
                headers={"WWW-Authenticate": "Bearer"},
            )
        refused = self._refuse(scope)
        return refused.response() if refused else None

    def _knows(self, host: str) -> bool:
        name = _hostname(host)
        if name in self._config.hosts:
            return True
        if not self._config.any_address:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _may_see(self, path: str, headers: dict[bytes, bytes]) -> bool:
        token = self._config.token
        if token is None or path.startswith(HEALTH) or path in self._open_paths:
            return True
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        return scheme.lower() == b"bearer" and secrets.compare_digest(
            given.strip(), token.encode("ascii")
        )

    def _with_ours(
        self,
        headers: list[tuple[bytes, bytes]],
        origin: str | None,
        is_foreign: bool,  # noqa: FBT001
    ) -> list[tuple[bytes, bytes]]:
        result = [*headers, *HEADERS]
        if self._is_stopping():
            result.append((b"connection", b"close"))
        if is_foreign and origin is not None:
            result += [
                (b"access-control-allow-origin", origin.encode("latin-1")),
                (b"access-control-allow-methods", b"GET, POST"),
                (b"access-control-allow-headers", b"authorization, content-type"),
                (b"vary", b"Origin"),
            ]
        return result


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _netloc(origin: str) -> str:
    return origin.lower().partition("://")[2]


def _hostname(host: str) -> str:
    """Return the name of a `Host` header, without its port and the brackets of IPv6."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
