"""How the server answers: each behaviour is a function from a request to a reply.

A URL names a behaviour and a number: `/flaky/17.jpg`. `EXPECTED` lists what a download must make of
each: the kind of failure, or an empty string for a picture.
"""

import asyncio
import functools
import gzip
from collections.abc import AsyncIterator, Callable

from fec_cache.testing.picture_server.messages import (
    GZIP,
    Reply,
    Request,
    failure,
    redirect,
    response,
)
from fec_cache.testing.picture_server.pictures import canvas_bomb, picture

Behaviour = Callable[[Request], Reply]
BEHAVIOURS: dict[str, Behaviour] = {}
EXPECTED: dict[str, str] = {}


def behaviour(expected: str = "") -> Callable[[Behaviour], Behaviour]:
    """Register a function under its name, and what a download must make of it."""

    def register(function: Behaviour) -> Behaviour:
        """Add the function to both tables."""
        BEHAVIOURS[function.__name__], EXPECTED[function.__name__] = function, expected
        return function

    return register


@behaviour()
def ok(request: Request) -> Reply:
    """The picture."""
    return Reply(response(picture(request.number)), is_picture=True)


@behaviour()
def folder(request: Request) -> Reply:
    """The picture, under a file name that other folders hold too."""
    return ok(request)


@behaviour()
def chain(request: Request) -> Reply:
    """Three redirects of three kinds, then the picture."""
    step = int(request.query or 0)
    if step == 3:
        return ok(request)
    status = ("301 Moved Permanently", "302 Found", "308 Permanent Redirect")[step]
    return redirect(f"{request.path}?{step + 1}", status)


@behaviour("redirects")
def loop(request: Request) -> Reply:
    """Two URLs that redirect to each other."""
    return redirect(request.path if request.query else f"{request.path}?again")


@behaviour("redirects")
def long(request: Request) -> Reply:
    """Redirects without end, each to a new URL."""
    return redirect(f"{request.path}?{int(request.query or 0) + 1}")


@behaviour()
def limited(request: Request) -> Reply:
    """429 with Retry-After, then the picture."""
    if request.count > 1:
        return ok(request)
    return failure(b"slow", "429 Too Many Requests", extra="Retry-After: 1\r\n")


@behaviour()
def busy(request: Request) -> Reply:
    """503 with Retry-After, then the picture."""
    if request.count > 1:
        return ok(request)
    return failure(b"", "503 Service Unavailable", extra="Retry-After: 1\r\n")


@behaviour()
def flaky(request: Request) -> Reply:
    """500, then the picture."""
    return ok(request) if request.count > 1 else failure(b"oops", "500 Internal Server Error")


@behaviour("server-error")
def sick(request: Request) -> Reply:
    """502 every time."""
    return failure(b"oops", "502 Bad Gateway")


@behaviour()
def packed(request: Request) -> Reply:
    """The picture, gzipped although the client did not ask for it."""
    return Reply(response(gzip.compress(picture(request.number)), extra=GZIP))


@behaviour("cut-short")
def torn(request: Request) -> Reply:
    """A gzip stream without its last four bytes."""
    return Reply(response(gzip.compress(picture(request.number))[:-4], extra=GZIP))


@behaviour()
def chunked(request: Request) -> Reply:
    """The picture in chunks of 1,000 bytes, without Content-Length."""
    content = picture(request.number)
    parts = [content[i : i + 1000] for i in range(0, len(content), 1000)]
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    return Reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)


@behaviour()
def closing(request: Request) -> Reply:
    """HTTP/1.0 without Content-Length: the picture ends where the connection does."""
    return Reply(b"HTTP/1.0 200 OK\r\n\r\n" + picture(request.number), closes=True)


@behaviour()
def twins(request: Request) -> Reply:
    """The same picture behind ten URLs."""
    return Reply(response(picture(request.number // 10 * 10)))


@behaviour("not-found")
def missing(request: Request) -> Reply:
    """404."""
    return failure(b"<html>not here</html>", "404 Not Found", "text/html")


@behaviour("gone")
def gone(request: Request) -> Reply:
    """410."""
    return failure(b"", "410 Gone")


@behaviour("forbidden")
def secret(request: Request) -> Reply:
    """403."""
    return failure(b"", "403 Forbidden")


@behaviour("status")
def teapot(request: Request) -> Reply:
    """418: a status that has no kind of failure."""
    return failure(b"", "418 I'm a teapot")


@behaviour("timeout")
def silent(request: Request) -> Reply:
    """Nothing at all, on an open connection."""
    return Reply()


@behaviour("timeout")
def drip(request: Request) -> Reply:
    """Ten bytes per second: each read is in time, the whole is not."""
    return Reply(stream=_drip(response(picture(request.number))))


async def _drip(content: bytes) -> AsyncIterator[bytes]:
    for byte in content:
        yield bytes([byte])
        await asyncio.sleep(0.1)


@behaviour("too-large")
def endless(request: Request) -> Reply:
    """A picture followed by zeros without end."""
    return Reply(stream=_endless(b"HTTP/1.1 200 OK\r\n\r\n" + picture(request.number)))


async def _endless(content: bytes) -> AsyncIterator[bytes]:
    yield content
    while True:
        yield b"\0" * 65536
        await asyncio.sleep(0.001)


@behaviour("too-large")
def announced(request: Request) -> Reply:
    """A Content-Length of 99 GB."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 99000000000\r\n\r\n"
    return Reply(head + picture(request.number))


@behaviour("broken")
def reset(request: Request) -> Reply:
    """The connection is reset before any answer."""
    return Reply(resets=True)


@behaviour("broken")
def garbage(request: Request) -> Reply:
    """Bytes that are not HTTP; they look like the start of a TLS handshake."""
    return Reply(b"\x16\x03\x01 this is no HTTP\r\n\r\n", closes=True)


@behaviour("cut-short")
def short(request: Request) -> Reply:
    """Fewer bytes than Content-Length says."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n"
    return Reply(head + picture(request.number), closes=True)


@behaviour("damaged")
def half(request: Request) -> Reply:
    """The first half of a JPEG, with the right length for it."""
    content = picture(request.number)
    return Reply(response(content[: len(content) // 2]))


@behaviour("bomb")
def bomb(request: Request) -> Reply:
    """8 MB of zeros in 8 kB of gzip."""
    return Reply(response(_zeros(), extra=GZIP))


@functools.cache
def _zeros() -> bytes:
    return gzip.compress(b"\0" * 8_000_000)


@behaviour("bomb")
def canvas(request: Request) -> Reply:
    """A tiny PNG that claims 900 million pixels."""
    return Reply(response(canvas_bomb()))


@behaviour("html")
def page(request: Request) -> Reply:
    """A page that asks to sign in, served as a JPEG."""
    return Reply(response(b"\n <!DOCTYPE html><html>sign in</html>"))


@behaviour("empty")
def empty(request: Request) -> Reply:
    """200 without content."""
    return Reply(response(b""))


@behaviour("not-a-picture")
def text(request: Request) -> Reply:
    """Plain text, served as a JPEG."""
    return Reply(response(b"error 17 at line 3"))


@behaviour("placeholder")
def placeholder(request: Request) -> Reply:
    """One picture for all URLs."""
    return Reply(response(picture(2**60)))


@behaviour("placeholder")
def removed(request: Request) -> Reply:
    """A redirect to a file named as the large hosts name their placeholders."""
    return redirect("/pw/images/en-us/photo_unavailable.png", "302 Found")


@behaviour("unsafe-address")
def metadata(request: Request) -> Reply:
    """A redirect to the metadata service of cloud machines."""
    return redirect("http://169.254.169.254/latest/meta-data/", "302 Found")


@behaviour("unsafe-address")
def home(request: Request) -> Reply:
    """A redirect to this machine's loopback address."""
    return redirect(f"http://127.0.0.1:{request.port}/ok/{request.number}.jpg", "302 Found")


@behaviour("bad-url")
def file(request: Request) -> Reply:
    """A redirect to a local file."""
    return redirect("file:///etc/passwd", "302 Found")


@behaviour("robots")
def robots(request: Request) -> Reply:
    """The picture, with a header that forbids machine learning."""
    return Reply(response(picture(request.number), extra="X-Robots-Tag: noai, noimageai\r\n"))


@behaviour("encoding")
def strange(request: Request) -> Reply:
    """A content encoding that the client did not ask for and does not know."""
    return Reply(response(picture(request.number), extra="Content-Encoding: br\r\n"))
