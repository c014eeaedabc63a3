import asyncio
import shutil
import ssl
import subprocess

import httpx
import pytest

from fec_cache.datasets.download.config import DownloadConfig, FetchFailed
from fec_cache.datasets.download.http.connections import HostConnections
from fec_cache.datasets.download.http.fetch import Fetcher
from fec_cache.testing.picture_server.loopback import PUBLIC, LoopbackDial, pinned
from fec_cache.testing.picture_server.server import PictureServer


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate for secure.example, made now."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout",
         folder / "key.pem", "-out", folder / "cert.pem", "-subj", "/CN=secure.example",
         "-addext", "subjectAltName=DNS:secure.example"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


async def serve_tls(certificate, protocols, names):
    """One TLS server that speaks HTTP/2 or HTTP/1.1, as the client chooses."""
    import h2.config
    import h2.connection
    import h2.events

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    context.set_alpn_protocols(protocols)
    context.sni_callback = lambda sock, name, ctx: names.append(name)

    async def handle(reader, writer):
        if writer.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            head = await reader.readuntil(b"\r\n\r\n")
            names.append(next(x for x in head.decode().split("\r\n") if x.startswith("Host:")))
            # It closes without having said so: a client must take that for no failure.
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\none\n")
        else:
            h2c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
            h2c.initiate_connection()
            writer.write(h2c.data_to_send())
            while data := await reader.read(65536):
                for event in h2c.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        names.append(dict(event.headers)[b":authority"].decode())
                        h2c.send_headers(event.stream_id, [(":status", "200")])
                        h2c.send_data(event.stream_id, b"two\n", end_stream=True)
                writer.write(h2c.data_to_send())
        writer.close()

    return await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)


@pytest.mark.parametrize(("protocols", "body"), [(["h2"], b"two\n"), (["http/1.1"], b"one\n")])
def test_a_pinned_address_still_gets_its_own_name_in_tls_and_host(certificate, protocols, body):
    names = []

    async def go(trust):
        server = await serve_tls(certificate, protocols, names)
        port = server.sockets[0].getsockname()[1]
        context = ssl.create_default_context()
        if trust:
            context.load_verify_locations(certificate / "cert.pem")
        dial = LoopbackDial()
        transport = HostConnections(pinned(dial), 2.0, context)
        fetcher = Fetcher(transport, DownloadConfig(deadline_s=5.0))
        try:
            urls = [f"https://secure.example:{port}/{number}.jpg" for number in range(5)]
            found = [await fetcher.fetch(urls[0])]
            found += await asyncio.gather(*(fetcher.fetch(url) for url in urls[1:]))
            return [answer.content for answer in found], dial.dialled, port
        finally:
            await transport.aclose()
            server.close()

    found, dialled, port = asyncio.run(go(trust=True))
    assert found == [body] * 5
    assert set(dialled) == {PUBLIC}
    assert set(names) <= {
        "secure.example",
        f"Host: secure.example:{port}",
        f"secure.example:{port}",
    }
    assert len(set(names)) == 2
    if protocols == ["h2"]:
        assert dialled == [PUBLIC]  # one connection for all
    with pytest.raises(FetchFailed) as caught:
        asyncio.run(go(trust=False))
    assert caught.value.kind == "tls"


def test_connections_are_used_again_and_forgotten():
    async def go(port):
        dial = LoopbackDial()
        transport = HostConnections(pinned(dial), 2.0)
        for number in range(5):
            request = httpx.Request("GET", f"http://a.example:{port}/ok/{number}.jpg")
            response = await transport.handle_async_request(request)
            await response.aread()
            await response.aclose()
        assert len(dial.dialled) == 1
        await transport.forget("a.example")
        response = await transport.handle_async_request(request)
        await response.aread()
        await response.aclose()
        assert len(dial.dialled) == 2
        await transport.aclose()

    with PictureServer() as server:
        asyncio.run(go(server.port))
