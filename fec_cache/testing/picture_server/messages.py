"""HTTP by hand: a request as a behaviour sees it, a reply as the server sends it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

GZIP = "Content-Encoding: gzip\r\n"


@dataclass(frozen=True)
class Request:
    """One request; `count` is how often this path was requested, this time included."""

    number: int
    path: str
    query: str
    count: int
    port: int


@dataclass(frozen=True)
class Reply:
    """What to send: `content`, or the parts of a `stream`, and what then happens.

    `is_picture` marks the plain answers that the server counts as pictures.
    """

    content: bytes = b""
    stream: AsyncIterator[bytes] | None = None
    is_picture: bool = False
    closes: bool = False
    resets: bool = False


def response(
    content: bytes, status: str = "200 OK", kind: str = "image/jpeg", extra: str = ""
) -> bytes:
    """An HTTP/1.1 response with its length; `extra` holds more header lines, each with CRLF."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{extra}Content-Length: {len(content)}\r\n"
    return head.encode() + b"\r\n" + content


def redirect(location: str, status: str = "301 Moved Permanently") -> Reply:
    """A redirect to a URL or path."""
    return Reply(response(b"see there", status, "text/plain", f"Location: {location}\r\n"))


def failure(content: bytes, status: str, kind: str = "image/jpeg", extra: str = "") -> Reply:
    """A reply that is no picture."""
    return Reply(response(content, status, kind, extra))
