"""One URL -> its bytes, within a time and a size limit; every redirect is checked."""

import datetime
import email.utils
import logging
import re
import ssl
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import anyio
import httpcore
import httpx

from fec_cache.datasets.download.config import DownloadConfig, FetchFailed
from fec_cache.datasets.download.content import check_url_path
from fec_cache.datasets.download.http.addresses import check_url
from fec_cache.system.wording import counted

_LOG = logging.getLogger(__name__)
MOST_REDIRECTS = 5
_SMALL_BODY = 65536
_CLOSE_S = 2.0
_REDIRECTS = {301, 302, 303, 307, 308}
_KINDS_OF_STATUS = {401: "forbidden", 403: "forbidden", 404: "not-found", 408: "server-error"} | {
    410: "gone",
    429: "rate-limited",
    451: "forbidden",
}
_NO_ROBOTS = {"noindex", "noimageindex", "noai", "noimageai", "none"}
_DIRECTIVE = re.compile(r"^\s*([a-z0-9_-]+)\s*:\s*(.*)$", re.I)
_OWN_ROBOT_NAME = "fec-cache"
_VALUED = {"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"}


@dataclass(frozen=True)
class Fetched:
    """The body behind a URL, and the HTTP status."""

    content: bytes
    status: int


class Fetcher:
    """Fetches URLs over a transport; otherwise stateless."""

    def __init__(self, transport: httpx.AsyncBaseTransport, config: DownloadConfig) -> None:
        self._transport, self._config = transport, config
        self._headers = {
            "User-Agent": config.user_agent,
            "Accept": "image/*,*/*;q=0.5",
            # Pictures are compressed already; some servers compress them all the same.
            "Accept-Encoding": "identity",
        }

    async def fetch(self, url: str) -> Fetched:
        """The body behind a URL.

        Raises:
            FetchFailed: for every failure; `kind` names it.
        """
        try:
            with anyio.fail_after(self._config.deadline_s):
                return await self._follow(url)
        except TimeoutError as error:
            detail = f"not finished after {self._config.deadline_s:g} s"
            raise FetchFailed("timeout", detail) from error

    async def _follow(self, url: str) -> Fetched:
        target = check_url(url, self._config.allow_private)
        seen = {str(target)}
        for _ in range(MOST_REDIRECTS + 1):
            result = await self._hop(target)
            if isinstance(result, Fetched):
                return result
            try:
                joined = target.join(result)
            except (httpx.InvalidURL, ValueError) as error:
                raise FetchFailed("bad-url", f"redirected to an invalid URL: {error}") from error
            target = check_url(joined.copy_with(fragment=None), self._config.allow_private)
            check_url_path(target.path)
            if str(target) in seen:
                raise FetchFailed("redirects", f"a loop back to {str(target)[:200]}")
            seen.add(str(target))
        raise FetchFailed("redirects", f"more than {MOST_REDIRECTS} redirects")

    async def _hop(self, target: httpx.URL) -> Fetched | str:
        """One request: the picture's bytes, or the target of a redirect."""
        try:
            response = await self._transport.handle_async_request(
                httpx.Request("GET", target, headers=self._headers)
            )
            try:
                return await self._read(response)
            finally:
                # Shielded, so that a passed deadline does not leave the connection open.
                with anyio.move_on_after(_CLOSE_S, shield=True):
                    await response.aclose()
        except FetchFailed:
            raise
        except Exception as error:
            raise _failure_of(error) from error

    async def _read(self, response: httpx.Response) -> Fetched | str:
        status = response.status_code
        if status in _REDIRECTS and "location" in response.headers:
            await _drain(response)
            return response.headers["location"]
        if status != 200:
            await _drain(response)
            raise _status_failure(response)
        if self._config.honour_robots:
            _check_robots(response.headers.get_list("x-robots-tag"))
        return Fetched(await self._body(response), status)

    async def _body(self, response: httpx.Response) -> bytes:
        most = self._config.max_bytes
        # The header spares reading a large body; a server may lie, so bytes are counted too.
        announced = response.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > most:
            raise FetchFailed(
                "too-large", f"{counted(int(announced), 'byte')} announced, {most} allowed", 200
            )
        decoder = _Decoder(response.headers.get("content-encoding", ""), most)
        chunks: list[bytes] = []
        size = 0
        async for raw in response.stream:  # type: ignore[union-attr]
            size += len(raw)
            if size > most:
                raise FetchFailed("too-large", f"more than {counted(most, 'byte')}", 200)
            chunks.append(decoder.decode(raw))
        chunks.append(decoder.finish())
        return b"".join(chunks)


class _Decoder:
    """Decompresses gzip and deflate up to a size limit; other bytes pass unchanged."""

    def __init__(self, encoding: str, most: int) -> None:
        name = encoding.strip().lower()
        if name not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise FetchFailed("encoding", f"content-encoding {encoding[:40]!r} is not known", 200)
        self._is_uncompressed = name in ("", "identity")
        self._decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        self._left = most

    def decode(self, raw: bytes) -> bytes:
        """The decompressed bytes of a chunk; raises `FetchFailed` beyond the limit."""
        if self._is_uncompressed:
            return raw
        try:
            content = self._decompressor.decompress(raw, self._left + 1)
        except zlib.error as error:
            raise FetchFailed("damaged", f"compressed body: {error}", 200) from error
        self._left -= len(content)
        if self._left < 0:
            raise FetchFailed("bomb", "decompresses to more than is allowed", 200)
        return content

    def finish(self) -> bytes:
        """The end of the body; raises `FetchFailed` if a compressed one is incomplete."""
        if not (self._is_uncompressed or self._decompressor.eof):
            raise FetchFailed("cut-short", "the compressed body is incomplete", 200)
        return b""


async def _drain(response: httpx.Response) -> None:
    """Read and drop a short body, so that the connection can be used again."""
    announced = response.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) <= _SMALL_BODY:
        async for _ in response.stream:  # type: ignore[union-attr]
            continue


def _status_failure(response: httpx.Response) -> FetchFailed:
    status = response.status_code
    wait_s = _retry_after_s(response.headers.get("retry-after"))
    kind = _KINDS_OF_STATUS.get(status, "server-error" if status >= 500 else "status")
    if status == 503 and wait_s is not None:
        kind = "rate-limited"
    is_asked = kind == "rate-limited"
    return FetchFailed(kind, f"HTTP {status}", status, wait_s if is_asked else None)


def _retry_after_s(value: str | None) -> float | None:
    """Seconds from a Retry-After header: a number or a date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdecimal():
        return float(value[:9])
    try:
        date = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=datetime.timezone.utc)
    return max(0.0, (date - datetime.datetime.now(datetime.timezone.utc)).total_seconds())


def _check_robots(values: Sequence[str]) -> None:
    for value in values:
        named = _DIRECTIVE.match(value)
        if named and named[1].lower() not in _VALUED:
            if named[1].lower() != _OWN_ROBOT_NAME:
                continue  # for another robot
            value = named[2]
        words = {word.strip().lower() for word in value.split(",")}
        refused = sorted(words & _NO_ROBOTS)
        if refused:
            raise FetchFailed("robots", f"X-Robots-Tag: {', '.join(refused)}", 200)


def _failure_of(error: Exception) -> FetchFailed:
    """The `FetchFailed` for an exception of the transport."""
    text = f"{type(error).__name__}: {error}"[:300]
    if isinstance(error, (httpcore.ConnectError, httpcore.ConnectTimeout)):
        cause: BaseException | None = error
        while cause is not None:
            # A handshake that ran out of time ends in SSLWantReadError: no refusal of TLS.
            if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLWantReadError):
                return FetchFailed("tls", str(cause)[:300])
            cause = cause.__cause__ or cause.__context__
        return FetchFailed("connect", text)
    if isinstance(error, httpcore.RemoteProtocolError) and "message body" in str(error):
        return FetchFailed("cut-short", text, 200)
    if isinstance(error, (httpcore.UnsupportedProtocol, httpcore.LocalProtocolError)):
        return FetchFailed("bad-url", text)
    known = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError)
    if isinstance(error, known):
        return FetchFailed("broken", text)
    # One strange response among 150,000 must not end the run, this time and at each later try.
    _LOG.warning("A request failed with an unexpected error: %s", text)
    return FetchFailed("unexpected", text)
