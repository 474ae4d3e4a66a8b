"""Checks before every request: API keys, rate and size; safe headers; a log without secrets.

Written as plain ASGI middleware, so that a refused request is answered before its body is read.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

log = logging.getLogger("m6rec_lite.serving.requests")

Receive = Callable[[], Awaitable[dict[str, Any]]]

#: Paths that need no key: the page, which holds no data, and the check of an orchestrator.
OPEN_PATHS = frozenset({"/", "/healthz"})
#: Paths that need the key of the operator.
ADMIN_PATHS = frozenset({"/reload"})

#: The page loads nothing from elsewhere, runs only its own script, and is shown in no frame.
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'nonce-{nonce}'; "
    "script-src 'nonce-{nonce}'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Limits:
    """Limits of a server.

    Attributes:
        rate: requests a second of one client, in the long run.
        burst: requests that a client may send at once.
        max_body: bytes of a request's body.
        timeout: seconds until an answer.
        clients: number of clients whose rate is remembered.
    """

    rate: float = 50.0
    burst: int = 100
    max_body: int = 65_536
    timeout: float = 5.0
    clients: int = 10_000


class TokenBucket:
    """A bucket that holds ``burst`` tokens and gains ``rate`` a second; a request takes one.

    Args:
        rate: tokens a second.
        burst: size of the bucket, which is full at the start.
        now: seconds on a monotonic clock.
    """

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self.rate, self.burst, self.tokens, self.then = rate, burst, float(burst), now

    def wait(self, now: float) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        self.tokens = min(self.burst, self.tokens + (now - self.then) * self.rate)
        self.then = now
        if self.tokens < 1:
            return (1 - self.tokens) / self.rate
        self.tokens -= 1
        return 0.0


def has_key(given: str, keys: Collection[str]) -> bool:
    """Return whether a text is one of the keys, in a time that does not depend on the text.

    Digests are compared, so that not even the length of a key shows, and all of them are.
    """
    digest = hashlib.sha256(given.encode()).digest()
    digests = [hashlib.sha256(key.encode()).digest() for key in keys]
    return sum(hmac.compare_digest(digest, known) for known in digests) > 0


class Redaction(logging.Filter):
    """Replaces secrets in log records, also where another library logs them.

    Args:
        texts: texts that no log may hold, such as API keys.
    """

    def __init__(self, texts: Collection[str]) -> None:
        super().__init__()
        self.texts = sorted(filter(None, texts), key=len, reverse=True)

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace the message of a record; every record passes."""
        message = record.getMessage()
        for text in self.texts:
            message = message.replace(text, "[redacted]")
        record.msg, record.args = message, ()
        return True


class Guard:
    """ASGI middleware; see the module.

    Args:
        app: the application.
        keys: API keys, sent as ``X-API-Key``; none lets everyone in.
        admin_key: the key of ``ADMIN_PATHS``.
        limits: of rate, burst and size.
        registry: of the metrics ``requests_total`` and ``request_seconds``.
        paths: paths that exist; others count as ``other``, so that nobody can add metrics.
    """

    def __init__(
        self,
        app: Callable[..., Any],
        *,
        keys: Collection[str],
        admin_key: str | None,
        limits: Limits,
        registry: CollectorRegistry,
        paths: Collection[str],
    ) -> None:
        self.app, self.keys, self.limits = app, tuple(keys), limits
        self.admin_keys = () if admin_key is None else (admin_key,)
        self.paths = frozenset(paths)
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()
        self._salt = secrets.token_bytes(16)  # makes callers of one log comparable, and no other
        self._requests = Counter(
            "requests_total", "Requests.", ["path", "status"], registry=registry
        )
        self._seconds = Histogram(
            "request_seconds", "Seconds until the answer.", ["path"], registry=registry
        )

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.monotonic(), 0
        request, nonce = secrets.token_hex(8), secrets.token_urlsafe(16)
        scope.setdefault("state", {})["nonce"] = nonce
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        is_open = scope["path"] in OPEN_PATHS
        keys = self.admin_keys if scope["path"] in ADMIN_PATHS else self.keys
        is_known = bool(keys) and has_key(headers.get("x-api-key", ""), keys)
        address = (scope.get("client") or ("unknown",))[0]
        caller = headers["x-api-key"] if is_known else address

        async def counted_send(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                safe = {name: text.format(nonce=nonce) for name, text in HEADERS.items()}
                safe["x-request-id"] = request
                extra = [(k.encode(), v.encode()) for k, v in safe.items()]
                message = message | {"headers": [*message.get("headers", []), *extra]}
            await send(message)

        try:
            self._check(caller, is_known or is_open or not keys)
            body = await self._body(headers, receive)
            await self.app(scope, _replay(body, receive), counted_send)
        except _Refused as refusal:
            await _send_error(counted_send, refusal)
        except Exception as error:
            kind = type(error).__name__  # the text may hold what the client sent
            stack = (RuntimeError, RuntimeError(kind), error.__traceback__)
            log.error("request %s failed: %s", request, kind, exc_info=stack)
            if not status:
                message = f"the server failed; its log says more under request {request}"
                await _send_error(counted_send, _Refused(500, message))
        seconds = time.monotonic() - start
        path = scope["path"] if scope["path"] in self.paths else "other"
        self._requests.labels(path, status).inc()
        self._seconds.labels(path).observe(seconds)
        who = hmac.new(self._salt, caller.encode(), hashlib.sha256).hexdigest()[:8]
        log.info("%s %s %s %d %.1f ms by %s", request, scope["method"], path, status,
                 1000 * seconds, who)  # fmt: skip

    def _check(self, caller: str, is_allowed: bool) -> None:
        """Raise ``_Refused`` if a caller sends too much, or has no key where one is needed."""
        now = time.monotonic()
        fresh = TokenBucket(self.limits.rate, self.limits.burst, now)
        wait = self._buckets.setdefault(caller, fresh).wait(now)
        self._buckets.move_to_end(caller)
        if len(self._buckets) > self.limits.clients:
            self._buckets.popitem(last=False)
        if wait:
            text = f"at most {self.limits.rate:g} requests a second; wait {wait:.2f} s"
            raise _Refused(429, text, {"retry-after": str(math.ceil(wait))})
        if not is_allowed:
            raise _Refused(401, "send a valid API key in the header X-API-Key")

    async def _body(self, headers: dict[str, str], receive: Receive) -> bytes:
        """Return the body; raise ``_Refused`` as soon as it is too long, or comes too slowly."""
        most = self.limits.max_body
        too_long = _Refused(413, f"a body may have at most {most} bytes: send fewer items")
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > most:
            raise too_long
        body, more = b"", True
        try:
            async with asyncio.timeout(self.limits.timeout):
                while more:
                    message = await receive()
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > most:
                        raise too_long
        except TimeoutError:
            raise _Refused(408, "the body did not arrive in time") from None
        return body


class _Refused(Exception):
    """A request that gets an error instead of an answer."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or {}


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a function that gives the body that was read, then what else arrives."""
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> dict[str, Any]:
        return parts.pop() if parts else await receive()

    return replayed


async def _send_error(send: Callable[..., Awaitable[None]], refusal: _Refused) -> None:
    body = json.dumps({"error": refusal.message}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    headers |= refusal.headers
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
