"""Connections to many hosts, each host's kept apart.

httpcore's own pool looks at every connection for every request, which alone costs more than a
request over 32 connections; a download knows how many requests a host gets, so a short list of
connections for each host is enough. The connections themselves are httpcore's, HTTP/1.1 and HTTP/2.
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

    How many requests run at once is the caller's affair: a connection is opened whenever no other
    one of its host is free.

    Args:
        backend: opens the TCP connections.
        connect_s: time for opening one, TLS included.
        context: how servers prove who they are; the system's authorities by default.
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
            # The server closed an idle connection just as it was used again: its right.
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
        """Keep a connection that can serve again, close any other."""
        if self._shared.get(origin) is connection:
            if connection.is_closed():
                del self._shared[origin]
        elif connection.is_idle():
            self._free.setdefault(origin, []).append(connection)
        elif not connection.is_available():  # or it is HTTP/2 and others are still using it
            await _close(connection)

    async def forget(self, host: str) -> None:
        """Close the free connections of a host that has nothing left to give."""
        name = host.encode()
        for origin in [o for o in self._free if o[1] == name]:
            for connection in self._free.pop(origin):
                await _close(connection)
        for origin in [o for o in self._shared if o[1] == name]:
            await _close(self._shared.pop(origin))

    async def aclose(self) -> None:
        """Close everything."""
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
        """A connection, and whether nothing was ever sent over it."""
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
    """A response's bytes; closing it gives the connection back."""

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
    """Close a connection whatever state it is in; it may be broken already."""
    try:
        await asyncio.wait_for(connection.aclose(), 1.0)
    except (httpcore.NetworkError, OSError, asyncio.TimeoutError, RuntimeError):
        return
