"""Connections to many hosts, in a separate list for each host.

httpcore's own pool looks at every connection for every request: 1.8 ms of CPU per request over 32
connections, against 0.3 ms with these lists (docs/download.md). The schedule already limits the
requests to each host, so a short list is enough. The connections themselves are httpcore's,
HTTP/1.1 and HTTP/2.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator

import httpcore
import httpx

_IDLE_S = 20.0
_STALE = (
    httpcore.ConnectionNotAvailable,
    httpcore.RemoteProtocolError,
    httpcore.ReadError,
    httpcore.WriteError,
)
_Origin = tuple[str, bytes, int]


class HostConnections(httpx.AsyncBaseTransport):
    """An httpx transport over a list of connections for each host.

    The caller limits the number of simultaneous requests: a connection is opened whenever none of
    its host is free.

    Args:
        backend: opens the TCP connections.
        connect_s: time limit for opening a connection, TLS included.
        context: how servers are authenticated; the system's authorities by default.
    """

    def __init__(
        self,
        backend: httpcore.AsyncNetworkBackend,
        connect_s: float,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._backend = backend
        self._context = context or httpx.create_ssl_context(trust_env=False)
        self._timeout = {"connect": connect_s, "read": None, "write": None, "pool": None}
        self._free: dict[_Origin, list[httpcore.AsyncHTTPConnection]] = {}
        self._shared: dict[_Origin, httpcore.AsyncHTTPConnection] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request over a free connection of its host, or a new one."""
        url = request.url
        origin = (url.scheme, url.raw_host, url.port or (443 if url.scheme == "https" else 80))
        connection, is_fresh = await self._take(origin)
        raw = httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=origin[1], port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            extensions={"timeout": self._timeout},
        )
        try:
            response = await connection.handle_async_request(raw)
        except _STALE:
            await self.give_back(origin, connection)
            if is_fresh:
                raise
            # A server may close an idle connection just as it is used again (RFC 9112, 9.5), so one
            # retry over a new connection does not count as a failure.
            connection = self._open(origin)
            response = await self._first(origin, connection, raw)
        except BaseException:
            await self.give_back(origin, connection)
            raise
        if response.extensions.get("http_version") == b"HTTP/2":
            self._shared.setdefault(origin, connection)
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(self, origin, connection, response),
            extensions=response.extensions,
        )

    async def give_back(self, origin: _Origin, connection: httpcore.AsyncHTTPConnection) -> None:
        """Keep a connection that can be used again; close any other."""
        if self._shared.get(origin) is connection:
            if connection.is_closed():
                del self._shared[origin]
        elif connection.is_idle():
            self._free.setdefault(origin, []).append(connection)
        elif not connection.is_available():  # or it is HTTP/2 and others are still using it
            await _close(connection)

    async def forget(self, host: str) -> None:
        """Close the free connections of a host without further URLs."""
        name = host.encode()
        for origin in [o for o in self._free if o[1] == name]:
            for connection in self._free.pop(origin):
                await _close(connection)
        for origin in [o for o in self._shared if o[1] == name]:
            await _close(self._shared.pop(origin))

    async def aclose(self) -> None:
        """Close all connections."""
        for connections in (*self._free.values(), list(self._shared.values())):
            for connection in connections:
                await _close(connection)
        self._free.clear()
        self._shared.clear()

    async def _first(
        self, origin: _Origin, connection: httpcore.AsyncHTTPConnection, raw: httpcore.Request
    ) -> httpcore.Response:
        try:
            return await connection.handle_async_request(raw)
        except BaseException:
            await self.give_back(origin, connection)
            raise

    async def _take(self, origin: _Origin) -> tuple[httpcore.AsyncHTTPConnection, bool]:
        """A connection, and whether it is new: nothing was sent over it yet."""
        shared = self._shared.get(origin)
        if shared is not None:
            if shared.is_available() and not shared.has_expired():
                return shared, False
            del self._shared[origin]
        free = self._free.get(origin, [])
        while free:
            connection = free.pop()
            if not connection.has_expired() and connection.is_available():
                return connection, False
            await _close(connection)
        return self._open(origin), True

    def _open(self, origin: _Origin) -> httpcore.AsyncHTTPConnection:
        scheme, host, port = origin
        return httpcore.AsyncHTTPConnection(
            origin=httpcore.Origin(scheme.encode(), host, port),
            ssl_context=self._context,
            keepalive_expiry=_IDLE_S,
            http1=True,
            http2=True,
            network_backend=self._backend,
        )


class _Body(httpx.AsyncByteStream):
    """The bytes of a response; closing it returns the connection."""

    def __init__(
        self,
        owner: HostConnections,
        origin: _Origin,
        connection: httpcore.AsyncHTTPConnection,
        response: httpcore.Response,
    ) -> None:
        self._owner, self._origin = owner, origin
        self._connection, self._response = connection, response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._response.aiter_stream():
            yield chunk

    async def aclose(self) -> None:
        await self._response.aclose()
        await self._owner.give_back(self._origin, self._connection)


async def _close(connection: httpcore.AsyncHTTPConnection) -> None:
    """Close a connection in any state; it may be broken already."""
    try:
        await asyncio.wait_for(connection.aclose(), 1.0)
    except (httpcore.NetworkError, OSError, asyncio.TimeoutError, RuntimeError):
        return
