"""Names resolve without any network, and every dial ends on this machine."""

import asyncio

import httpcore
import pytest

from fec_cache.testing.picture_server.loopback import PUBLIC, PUBLIC_SIX, LoopbackDial, resolve


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("a.example", [PUBLIC]),
        ("six.example", [PUBLIC_SIX]),
        ("b.refused.example", ["192.0.9.9"]),
        ("10.1.2.3", ["10.1.2.3"]),
    ],
)
def test_names_resolve_to_their_addresses(host, addresses):
    assert asyncio.run(resolve(host, 80)) == addresses


@pytest.mark.parametrize("host", ["a.nowhere.example", "localhost", "example.org"])
def test_other_names_do_not_resolve(host):
    with pytest.raises(OSError):
        asyncio.run(resolve(host, 80))


def test_a_public_address_is_dialled_on_loopback():
    async def peer():
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1")
        port = server.sockets[0].getsockname()[1]
        dial = LoopbackDial()
        stream = await dial.connect_tcp(PUBLIC, port)
        address = stream.get_extra_info("server_addr")
        await stream.aclose()
        server.close()
        await server.wait_closed()
        return dial.dialled, address == ("127.0.0.1", port)

    assert asyncio.run(peer()) == ([PUBLIC], True)


def test_the_refused_address_is_refused():
    with pytest.raises(httpcore.ConnectError):
        asyncio.run(LoopbackDial().connect_tcp("192.0.9.9", 80))
