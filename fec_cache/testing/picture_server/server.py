"""The server itself: sockets, one thread, and a log of what was requested."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections import Counter
from collections.abc import AsyncIterator
from types import TracebackType

from fec_cache.testing.picture_server.behaviours import BEHAVIOURS, EXPECTED
from fec_cache.testing.picture_server.messages import Reply, Request, response


class PictureServer:
    """Serves on 127.0.0.1 and, if the machine has IPv6, on ::1, for as long as a `with` lasts.

    `log` holds the target of each request in order, `times` the same with the loop's clock in
    seconds, `answered` counts whole pictures by path, `agents` holds the first nine user agents.
    """

    def __init__(self) -> None:
        self.log: list[str] = []
        self.answered: Counter[str] = Counter()
        self.times: list[tuple[str, float]] = []
        self.agents: set[str] = set()
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> "PictureServer":
        self._thread.start()
        if not self._ready.wait(10):
            raise TimeoutError("the server did not start within 10 s")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def url(self, behaviour: str, number: int, host: str = "pictures.example") -> str:
        """The URL of a behaviour; each number is another picture."""
        folder = f"{behaviour}/{number}/same" if behaviour == "folder" else f"{behaviour}/{number}"
        return f"http://{host}:{self.port}/{folder}.jpg"

    def reply(self, target: str) -> Reply:
        """Log a request and give the reply to it; 404 for an unknown behaviour."""
        self.log.append(target)
        self.times.append((target, self._loop.time()))
        path, _, query = target.partition("?")
        name = path.strip("/").split("/")[0].replace(".", "_")
        behaviour = BEHAVIOURS.get(name)
        if behaviour is None:
            return Reply(response(b"no such thing", "404 Not Found"))
        # A million per behaviour: the same number gives another picture under each.
        digits = "".join(filter(str.isdigit, path))
        number = int(digits or 0) + 1_000_000 * sorted(EXPECTED).index(name)
        reply = behaviour(Request(number, path, query, self.log.count(path), self.port))
        if reply.is_picture:
            self.answered[path] += 1
        return reply

    def stream(self, parts: AsyncIterator[bytes], transport: asyncio.Transport) -> None:
        """Send parts as they come, until the client closes the connection."""
        task = self._loop.create_task(_send(parts, transport))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        sock = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self.port = sock.getsockname()[1]
        servers = [await self._loop.create_server(lambda: _Connection(self), sock=sock)]
        if socket.has_ipv6:
            with contextlib.suppress(OSError):
                servers.append(
                    await self._loop.create_server(lambda: _Connection(self), "::1", self.port)
                )
        self._ready.set()
        await self._stop.wait()
        for server in servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()


async def _send(parts: AsyncIterator[bytes], transport: asyncio.Transport) -> None:
    async for part in parts:
        if transport.is_closing():
            return
        transport.write(part)


class _Connection(asyncio.Protocol):
    """One connection of a client, kept alive over several requests."""

    def __init__(self, server: PictureServer) -> None:
        self._server, self._buffer = server, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request whose head is complete."""
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            if len(self._server.agents) < 9:
                lines = head.split(b"\r\n")
                self._server.agents.update(
                    line[12:].decode() for line in lines if line[:11] == b"User-Agent:"
                )
            self._send(self._server.reply(head.split(b" ", 2)[1].decode()))

    def _send(self, reply: Reply) -> None:
        if reply.resets:
            # A linger time of zero makes the socket send RST instead of FIN.
            self._transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            self._transport.abort()
        elif reply.stream is not None:
            self._server.stream(reply.stream, self._transport)
        elif not self._transport.is_closing():
            self._transport.write(reply.content)
            if reply.closes:
                self._transport.close()
