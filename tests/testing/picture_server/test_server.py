"""The server on a real socket, seen by the client of the standard library."""

import http.client
import socket
import time

import pytest

from fec_cache.testing.picture_server.pictures import picture
from fec_cache.testing.picture_server.server import PictureServer


@pytest.fixture
def server():
    with PictureServer() as running:
        yield running


def get(connection, path, agent="a test"):
    connection.request("GET", path, headers={"User-Agent": agent})
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_requests_are_answered_on_one_connection_and_logged(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    first_number = 22 * 1_000_000  # `ok` is the 23rd behaviour in alphabetical order
    assert get(connection, "/ok/17.jpg") == (200, picture(first_number + 17))
    assert get(connection, "/flaky/1.jpg")[0] == 500
    assert get(connection, "/flaky/1.jpg")[0] == 200
    assert get(connection, "/nothing/1.jpg")[0] == 404
    connection.close()
    assert server.log == ["/ok/17.jpg", "/flaky/1.jpg", "/flaky/1.jpg", "/nothing/1.jpg"]
    assert [target for target, _ in server.times] == server.log
    assert server.answered == {"/ok/17.jpg": 1, "/flaky/1.jpg": 1}
    assert server.agents == {"a test"}


def test_urls_name_behaviour_number_and_host(server):
    assert server.url("ok", 3) == f"http://pictures.example:{server.port}/ok/3.jpg"
    assert server.url("folder", 3, "a.example").endswith("/folder/3/same.jpg")


def test_a_reset_breaks_the_connection(server):
    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        client.sendall(b"GET /reset/1.jpg HTTP/1.1\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            client.recv(10)


def test_a_drip_comes_byte_by_byte(server):
    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        client.sendall(b"GET /drip/1.jpg HTTP/1.1\r\n\r\n")
        started = time.monotonic()
        content = b""
        while len(content) < 3:
            content += client.recv(1)
        assert content == b"HTT"
        assert time.monotonic() - started >= 0.15


def test_the_port_is_free_after_the_end():
    with PictureServer() as server:
        port = server.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)
