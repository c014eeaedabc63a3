"""Which addresses may be connected to: checked after resolution, and used exactly as checked.

A name is resolved once, each address is checked, and the connection goes to the checked address
itself: there is no second look-up between check and use that could return another address (DNS
rebinding). Host header and TLS name stay those of the URL.
"""

import asyncio
import ipaddress
import re
import socket
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import httpcore
import httpx

from fec_cache.datasets.download.config import FetchFailed

LONGEST_URL = 8000
Resolver = Callable[[str, int], Awaitable[list[str]]]
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_REMEMBER_S = 300.0
_WEB_PORTS = (80, 443)
# Azure's host agent has a public address; those of other clouds are link-local or private.
_METADATA = frozenset({ipaddress.ip_address("168.63.129.16")})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Special-purpose in IANA's registries, but global to some versions of `ipaddress`.
_SPECIAL = tuple(
    map(
        ipaddress.ip_network,
        ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "100::/64", "2001::/23",
         "3fff::/20", "5f00::/16", "fec0::/10"),
    )
)  # fmt: skip
_HOST = re.compile(rb"[A-Za-z0-9._:-]+")


def check_url(url: str | httpx.URL, allow_private: bool = False) -> httpx.URL:
    """Parse a URL and check that it is a plain web address.

    Raises:
        FetchFailed: `bad-url`, with the reason.
    """
    if len(str(url)) > LONGEST_URL:
        raise FetchFailed("bad-url", f"longer than {LONGEST_URL} characters")
    try:
        parsed = httpx.URL(url)
        host, port = parsed.raw_host, parsed.port
        shown = parsed.host  # decodes xn-- labels, which may be wrong
    except (httpx.InvalidURL, ValueError, TypeError) as error:  # idna's errors are ValueErrors
        raise FetchFailed("bad-url", f"not a URL: {error}") from error
    if parsed.scheme not in ("http", "https"):
        raise FetchFailed("bad-url", f"scheme {parsed.scheme!r} is neither http nor https")
    if not host:
        raise FetchFailed("bad-url", "it has no host")
    if not _HOST.fullmatch(host) or not 0 < (port or 80) < 65536:
        raise FetchFailed("bad-url", f"not a URL: host {shown[:80]!r}, port {port}")
    if parsed.userinfo:
        raise FetchFailed("bad-url", "it contains a user name or password")
    if port is not None and port not in _WEB_PORTS and port < 1024 and not allow_private:
        raise FetchFailed("bad-url", f"port {port} belongs to a service other than the web")
    return parsed


def danger_of(address: str, allow_private: bool = False) -> str:
    """Why an IP address must not be connected to; empty if it may be.

    An IPv4 address embedded in an IPv6 one (mapped, 6to4, Teredo, NAT64) is checked as well. With
    `allow_private`, loopback and private networks are allowed; link-local addresses and the
    metadata services of clouds never are.
    """
    try:
        outer = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "not an IP address"
    # Mapped and NAT64 addresses only stand for an IPv4 address, so only that one counts.
    is_alias = outer.version == 6 and (outer.ipv4_mapped is not None or outer in _NAT64)
    checked = _embedded(outer) if is_alias else (outer, *_embedded(outer))
    return next(filter(None, (_danger(ip, allow_private) for ip in checked)), "")


def _danger(ip: _Address, allow_private: bool) -> str:
    if ip in _METADATA:
        return "a cloud's metadata service"
    if any(ip in network for network in _SPECIAL):
        return "not a public address"
    if ip.is_link_local:
        return "link-local"
    if ip.is_multicast:
        return "multicast"
    if ip.is_unspecified:
        return "unspecified"
    if ip.is_loopback:
        return "" if allow_private else "loopback"
    if ip.is_private:
        # `ipaddress` also counts the networks for documentation and benchmarks as private.
        return "" if allow_private and not ip.is_reserved else "private"
    if ip.is_reserved or not ip.is_global:
        return "not a public address"
    return ""


def _embedded(ip: _Address) -> Iterable[_Address]:
    """The IPv4 addresses embedded in an IPv6 address."""
    if isinstance(ip, ipaddress.IPv4Address):
        return
    if ip.ipv4_mapped is not None:
        yield ip.ipv4_mapped
    if ip.sixtofour is not None:
        yield ip.sixtofour
    if ip.teredo is not None:
        yield from ip.teredo
    if ip in _NAT64:
        yield ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, from the system's resolver.

    Raises:
        OSError: the host has none.
    """
    loop = asyncio.get_running_loop()
    entries = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


class PinnedBackend(httpcore.AsyncNetworkBackend):
    """Opens connections only to checked addresses.

    Args:
        allow_private: see `danger_of`.
        resolver: host and port -> addresses.
        dial: opens a TCP connection to an address; tests pass their own.
    """

    def __init__(
        self,
        allow_private: bool = False,
        resolver: Resolver = resolve,
        dial: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._resolver = resolver
        self._dial = dial or httpcore.AnyIOBackend()
        self._known: dict[str, tuple[float, list[str]]] = {}

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve, check and connect, trying the addresses in turn.

        Raises:
            FetchFailed: `dns` or `unsafe-address`; no connection was opened.
            httpcore.ConnectError, httpcore.ConnectTimeout: no address answers.
        """
        addresses = await self._addresses(host.strip("[]"), port, timeout)
        error: Exception = httpcore.ConnectError("no address")
        for address in addresses:
            try:
                return await self._dial.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failure:
                error = failure
        raise error

    async def sleep(self, seconds: float) -> None:
        """Wait, as `httpcore` asks of a backend."""
        await asyncio.sleep(seconds)

    async def _addresses(self, host: str, port: int, timeout_s: float | None) -> list[str]:
        now = time.monotonic()
        known = self._known.get(host)
        if known is not None and known[0] > now:
            return known[1]
        try:
            addresses = await asyncio.wait_for(self._resolver(host, port), timeout_s)
        except (OSError, UnicodeError, asyncio.TimeoutError) as error:
            reason = error.args[-1] if error.args else "no answer in time"
            raise FetchFailed("dns", f"{host} was not found: {reason}") from error
        if not addresses:
            raise FetchFailed("dns", f"{host} has no address")
        for address in addresses:
            # One forbidden address is enough: a fallback to a good one could be an attack.
            danger = danger_of(address, self._allow_private)
            if danger:
                raise FetchFailed("unsafe-address", f"{host} is at {address}: {danger}")
        self._known[host] = (now + _REMEMBER_S, addresses)
        return addresses
