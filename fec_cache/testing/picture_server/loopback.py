"""Stands in for the internet: names get public addresses, but every dial ends on loopback."""

import asyncio
import socket
from collections.abc import Iterable
from typing import Any

import httpcore

from fec_cache.datasets.download.http.addresses import PinnedBackend

PUBLIC = "93.184.215.14"
PUBLIC_SIX = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
_REFUSED = "192.0.9.9"


class LoopbackDial(httpcore.AnyIOBackend):
    """Connects to this machine, whatever address is dialled.

    `dialled` holds the addresses in order.
    """

    def __init__(self) -> None:
        self.dialled: list[str] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to 127.0.0.1, or to ::1 for an IPv6 address.

        Raises:
            ConnectError: the address is that of `*.refused.example`.
        """
        self.dialled.append(host)
        if host == _REFUSED:
            raise httpcore.ConnectError("refused")
        loopback = "::1" if ":" in host else "127.0.0.1"
        return await super().connect_tcp(loopback, port, timeout, local_address, socket_options)


async def resolve(host: str, port: int) -> list[str]:
    """Addresses of a name that ends in `.example`; a numeric address is itself.

    Raises:
        OSError: the name ends in `.nowhere.example`, or not in `.example`.
    """
    if host.endswith(".nowhere.example"):
        raise OSError(-2, "Name or service not known")
    if host.endswith(".refused.example"):
        return [_REFUSED]
    if host == "six.example":
        return [PUBLIC_SIX]
    if host.endswith(".example"):
        return [PUBLIC]
    answers = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
    )
    return [str(answers[0][4][0])]


def pinned(dial: LoopbackDial | None = None, allow_private: bool = False) -> PinnedBackend:
    """The network of a download, with its address checks, on `resolve` and a loopback dial."""
    return PinnedBackend(allow_private, resolve, dial or LoopbackDial())
