"""Replies are HTTP that a client of the standard library understands."""

import http.client
import io

from fec_cache.testing.picture_server.messages import failure, redirect, response


class Socket:
    """What `http.client` reads a response from."""

    def __init__(self, content):
        self._content = content

    def makefile(self, *_):
        return io.BytesIO(self._content)


def parsed(content):
    answer = http.client.HTTPResponse(Socket(content))
    answer.begin()
    return answer


def test_a_response_holds_status_headers_and_content():
    answer = parsed(response(b"abc", "418 I'm a teapot", "text/plain", "Retry-After: 1\r\n"))
    assert (answer.status, answer.reason) == (418, "I'm a teapot")
    assert answer.headers["Content-Type"] == "text/plain"
    assert answer.headers["Retry-After"] == "1"
    assert answer.read() == b"abc"


def test_a_redirect_names_the_location():
    answer = parsed(redirect("http://a.example/b", "302 Found").content)
    assert (answer.status, answer.headers["Location"]) == (302, "http://a.example/b")


def test_a_failure_is_not_counted_as_a_picture():
    reply = failure(b"", "410 Gone")
    assert (parsed(reply.content).status, reply.is_picture) == (410, False)
