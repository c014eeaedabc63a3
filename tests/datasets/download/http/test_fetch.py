import datetime
import email.utils
import gzip

import httpcore
import pytest

from fec_cache.datasets.download.config import FetchFailed
from fec_cache.datasets.download.http import fetch as module
from fec_cache.testing.picture_server.loopback import PUBLIC, LoopbackDial, pinned
from fec_cache.testing.picture_server.server import PictureServer
from tests.datasets.download.http.fetching import fetch, kind_of


def test_a_redirect_home_is_refused_and_never_dialled():
    with PictureServer() as server:
        for behaviour in ("home", "metadata"):
            dial = LoopbackDial()
            assert kind_of(server.url(behaviour, 1), pinned(dial)) == "unsafe-address"
            assert dial.dialled == [PUBLIC]
        assert fetch(server.url("home", 1), pinned(LoopbackDial(), True), allow_private=True)
        dial = LoopbackDial()
        kind = kind_of(server.url("metadata", 1), pinned(dial, True), allow_private=True)
        assert (kind, dial.dialled) == ("unsafe-address", [PUBLIC])


def test_an_unexpected_error_is_one_urls_failure(caplog):
    class Odd(httpcore.AnyIOBackend):
        async def connect_tcp(self, *args, **options):
            raise ZeroDivisionError("who would have thought")

    with pytest.raises(FetchFailed, match="ZeroDivisionError: who would have thought") as caught:
        fetch("http://a.example/1.jpg", pinned(Odd()))
    assert caught.value.kind == "unexpected"
    assert "unexpected error" in caplog.text


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), ("7", 7.0), (" 120 ", 120.0), ("soon", None), ("-3", None), ("٣", None)],
)
def test_retry_after_in_seconds(value, seconds):
    assert module._retry_after_s(value) == seconds


def test_retry_after_as_a_date():
    now = datetime.datetime.now(datetime.timezone.utc)
    later = email.utils.format_datetime(now + datetime.timedelta(seconds=90), usegmt=True)
    assert module._retry_after_s(later) == pytest.approx(90, abs=3)
    assert module._retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0


@pytest.mark.parametrize(
    ("value", "is_refused"),
    [
        ("noindex", True),
        ("index, NOAI", True),
        ("fec-cache: noimageindex", True),
        ("otherbot: noindex", False),
        ("max-snippet: 20", False),
        ("unavailable_after: 25 Jun 2010 15:00:00 PST", False),
        ("all", False),
    ],
)
def test_robots_directives_count_for_us_and_for_all(value, is_refused):
    if not is_refused:
        module._check_robots([value])
        return
    with pytest.raises(FetchFailed) as caught:
        module._check_robots(["all", value])
    assert caught.value.kind == "robots"


def test_a_compressed_body_ends_at_the_limit():
    packed = gzip.compress(b"a" * 1000)
    decoder = module._Decoder("gzip", 1000)
    assert decoder.decode(packed[:9]) + decoder.decode(packed[9:]) == b"a" * 1000
    assert decoder.finish() == b""
    with pytest.raises(FetchFailed) as caught:
        module._Decoder("gzip", 999).decode(packed)
    assert caught.value.kind == "bomb"
    short = module._Decoder("gzip", 1000)
    short.decode(packed[:-4])
    with pytest.raises(FetchFailed) as caught:
        short.finish()
    assert caught.value.kind == "cut-short"
