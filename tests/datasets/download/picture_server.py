"""A web server that behaves as the web does: mostly well, and badly in every known way.

A path names a behaviour and a number: `/flaky/17.jpg`. Behaviours and what a download is to make of
them stand in `EXPECTED`.
"""

import asyncio
import contextlib
import gzip
import io
import socket
import struct
import threading
import zlib
from collections import Counter

import httpcore
import numpy as np
from PIL import Image

from fec_cache.datasets.download.http.addresses import PinnedBackend

PUBLIC = "93.184.215.14"
PUBLIC_SIX = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
EXPECTED = {
    "ok": "",
    "folder": "",  # the same basename in different folders
    "chain": "",
    "limited": "",  # 429 with Retry-After, then the picture
    "busy": "",  # 503 with Retry-After, then the picture
    "flaky": "",  # 500, then the picture
    "packed": "",  # gzip, though not asked for
    "chunked": "",
    "closing": "",  # no length: the end of the connection is the end
    "twins": "",  # the same picture behind three URLs
    "loop": "redirects",
    "long": "redirects",
    "missing": "not-found",
    "gone": "gone",
    "secret": "forbidden",
    "teapot": "status",
    "sick": "server-error",
    "drip": "timeout",
    "silent": "timeout",
    "endless": "too-large",
    "announced": "too-large",
    "reset": "broken",
    "garbage": "broken",
    "short": "cut-short",
    "torn": "cut-short",  # packed, and the last bytes lack
    "half": "damaged",
    "bomb": "bomb",
    "canvas": "bomb",
    "page": "html",
    "empty": "empty",
    "text": "not-a-picture",
    "placeholder": "placeholder",
    "removed": "placeholder",
    "metadata": "unsafe-address",
    "home": "unsafe-address",
    "file": "bad-url",
    "robots": "robots",
    "strange": "encoding",
}


def picture(number, size=(64, 48)):
    """A small JPEG that is like no other: the number stands in a comment."""
    return _BASE[:2] + b"\xff\xfe\x00\x0a" + struct.pack(">Q", number) + _BASE[2:]


def _base(size=(160, 120)):
    pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    packed = io.BytesIO()
    Image.fromarray(pixels).resize(size).save(packed, "JPEG", quality=85)
    return packed.getvalue()


def canvas_bomb(side=30_000):
    """A PNG of a few hundred bytes that says it is 900 million pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)

    def chunk(name, content):
        """One chunk of a PNG."""
        tail = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + tail

    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


_BASE = _base()
_PLACEHOLDER = picture(2**60)
_BOMB = gzip.compress(b"\0" * 8_000_000)


def answer(content, status="200 OK", kind="image/jpeg", extra=""):
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{extra}Content-Length: {len(content)}\r\n"
    return head.encode() + b"\r\n" + content


def moved(place, status="301 Moved"):
    return answer(b"see there", status, "text/plain", f"Location: {place}\r\n")


class PictureServer:
    """Serves on 127.0.0.1 and, where there is IPv6, on ::1, in a thread of its own.

    `log` holds the path of each request in order, `answered` those that got a whole picture.
    """

    def __init__(self):
        self.log = []
        self.answered = Counter()
        self.times = []
        self.agents = set()
        self.port = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *error):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def url(self, behaviour, number, host="pictures.example"):
        folder = f"{behaviour}/{number}/same" if behaviour == "folder" else f"{behaviour}/{number}"
        return f"http://{host}:{self.port}/{folder}.jpg"

    async def _serve(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._tasks = set()
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

    def later(self, coroutine):
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Connection(asyncio.Protocol):
    def __init__(self, server):
        self._server, self._buffer = server, b""

    def connection_made(self, transport):
        self._transport = transport

    def data_received(self, data):
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            target = head.split(b" ", 2)[1].decode()
            self._server.log.append(target)
            self._server.times.append((target, self._server._loop.time()))
            if len(self._server.agents) < 9:
                self._server.agents.update(
                    line[12:].decode()
                    for line in head.split(b"\r\n")
                    if line[:11] == b"User-Agent:"
                )
            self._answer(target)

    def _answer(self, target):
        path, _, query = target.partition("?")
        parts = path.strip("/").split("/")
        behaviour = parts[0]
        digits = "".join(filter(str.isdigit, path))
        number = int(digits or 0) + 1_000_000 * (sorted(EXPECTED).index(behaviour)
                                                 if behaviour in EXPECTED else 99)  # fmt: skip
        handler = getattr(self, f"do_{behaviour.replace('.', '_')}", None)
        if handler is None:
            self._write(answer(b"no such thing", "404 Not Found"))
        else:
            handler(number, path, query)

    def _write(self, content, close=False):
        if not self._transport.is_closing():
            self._transport.write(content)
            if close:
                self._transport.close()

    def _picture(self, number, path, query=""):
        self._server.answered[path] += 1
        self._write(answer(picture(number)))

    do_ok = do_folder = _picture

    def do_chain(self, number, path, query):
        step = int(query or 0)
        if step == 3:
            self._picture(number, path)
        else:
            self._write(moved(f"{path}?{step + 1}", ("301 Moved", "302 Found", "308 P")[step]))

    def do_long(self, number, path, query):
        self._write(moved(f"{path}?{int(query or 0) + 1}"))

    def do_loop(self, number, path, query):
        self._write(moved(path if query else f"{path}?again"))

    def _second_time(self, number, path, first):
        if self._server.log.count(path) == 1:
            self._write(first)
        else:
            self._picture(number, path)

    def do_limited(self, number, path, query):
        self._second_time(
            number, path, answer(b"slow", "429 Too Many Requests", extra="Retry-After: 1\r\n")
        )

    def do_busy(self, number, path, query):
        self._second_time(number, path, answer(b"", "503 Busy", extra="Retry-After: 1\r\n"))

    def do_flaky(self, number, path, query):
        self._second_time(number, path, answer(b"oops", "500 Server Error"))

    def do_sick(self, number, path, query):
        self._write(answer(b"oops", "502 Bad Gateway"))

    def do_packed(self, number, path, query):
        self._write(answer(gzip.compress(picture(number)), extra="Content-Encoding: gzip\r\n"))

    def do_torn(self, number, path, query):
        content = gzip.compress(picture(number))[:-4]
        self._write(answer(content, extra="Content-Encoding: gzip\r\n"))

    def do_chunked(self, number, path, query):
        content = picture(number)
        parts = [content[i : i + 1000] for i in range(0, len(content), 1000)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        self._write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)

    def do_closing(self, number, path, query):
        self._write(b"HTTP/1.0 200 OK\r\n\r\n" + picture(number), close=True)

    def do_twins(self, number, path, query):
        self._write(answer(picture(number // 10 * 10)))

    def do_missing(self, number, path, query):
        self._write(answer(b"<html>not here</html>", "404 Not Found", "text/html"))

    def do_gone(self, number, path, query):
        self._write(answer(b"", "410 Gone"))

    def do_secret(self, number, path, query):
        self._write(answer(b"", "403 Forbidden"))

    def do_teapot(self, number, path, query):
        self._write(answer(b"", "418 Teapot"))

    def do_silent(self, number, path, query):
        pass

    def do_drip(self, number, path, query):
        self._server.later(self._drip(answer(picture(number))))

    async def _drip(self, content):
        for byte in content:
            self._write(bytes([byte]))
            await asyncio.sleep(0.1)
            if self._transport.is_closing():
                return

    def do_endless(self, number, path, query):
        self._server.later(self._endless(b"HTTP/1.1 200 OK\r\n\r\n" + picture(number)))

    async def _endless(self, content):
        self._write(content)
        while not self._transport.is_closing():
            self._write(b"\0" * 65536)
            await asyncio.sleep(0.001)

    def do_announced(self, number, path, query):
        self._write(b"HTTP/1.1 200 OK\r\nContent-Length: 99000000000\r\n\r\n" + picture(number))

    def do_reset(self, number, path, query):
        linger = struct.pack("ii", 1, 0)
        self._transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, linger
        )
        self._transport.abort()

    def do_garbage(self, number, path, query):
        self._write(b"\x16\x03\x01 this is no HTTP\r\n\r\n", close=True)

    def do_short(self, number, path, query):
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n"
        self._write(head + picture(number), close=True)

    def do_half(self, number, path, query):
        content = picture(number)
        self._write(answer(content[: len(content) // 2]))

    def do_bomb(self, number, path, query):
        self._write(answer(_BOMB, extra="Content-Encoding: gzip\r\n"))

    def do_canvas(self, number, path, query):
        self._write(answer(canvas_bomb()))

    def do_page(self, number, path, query):
        self._write(answer(b"\n <!DOCTYPE html><html>sign in</html>"))

    def do_empty(self, number, path, query):
        self._write(answer(b""))

    def do_text(self, number, path, query):
        self._write(answer(b"error 17 at line 3"))

    def do_placeholder(self, number, path, query):
        self._write(answer(_PLACEHOLDER))

    def do_removed(self, number, path, query):
        self._write(moved("/pw/images/en-us/photo_unavailable.png", "302 Found"))

    def do_metadata(self, number, path, query):
        self._write(moved("http://169.254.169.254/latest/meta-data/", "302 Found"))

    def do_home(self, number, path, query):
        self._write(moved(f"http://127.0.0.1:{self._server.port}/ok/{number}.jpg", "302 Found"))

    def do_file(self, number, path, query):
        self._write(moved("file:///etc/passwd", "302 Found"))

    def do_robots(self, number, path, query):
        self._write(answer(picture(number), extra="X-Robots-Tag: noai, noimageai\r\n"))

    def do_strange(self, number, path, query):
        self._write(answer(picture(number), extra="Content-Encoding: br\r\n"))


class LoopbackDial(httpcore.AnyIOBackend):
    """Stands in for the internet: whatever checked address is dialled, this machine answers.

    `dialled` holds the addresses in order. Nothing but loopback is ever connected to.
    """

    def __init__(self):
        self.dialled = []

    async def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):
        self.dialled.append(host)
        if host == "192.0.9.9":
            raise httpcore.ConnectError("refused")
        home = "::1" if ":" in host else "127.0.0.1"
        return await super().connect_tcp(home, port, timeout, local_address, socket_options)


async def resolve(host, port):
    """Names end in .example; numbers are themselves, as with the system's resolver."""
    if host.endswith(".nowhere.example"):
        raise OSError(-2, "Name or service not known")
    if host.endswith(".refused.example"):
        return ["192.0.9.9"]
    if host == "six.example":
        return [PUBLIC_SIX]
    if host.endswith(".example"):
        return [PUBLIC]
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
    )
    return [found[0][4][0]]


def pinned(dial=None, allow_private=False):
    return PinnedBackend(allow_private, resolve, dial or LoopbackDial())


def write_csv(path, urls, kind="ONE_CLASS_TRIPLET"):
    """Triplets over the URLs, each URL in at least one; two boxes on every seventh picture."""
    urls = list(urls)
    lines = []
    for place in range(0, len(urls), 3):
        three = [urls[(place + k) % len(urls)] for k in range(3)]
        cells = [f'"{url}",0.{1 + (place + k) % 7},0.8,0.25,0.75' for k, url in enumerate(three)]
        lines.append(",".join([*cells, kind, *(f"r{r},{1 + r % 2}" for r in range(6))]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
