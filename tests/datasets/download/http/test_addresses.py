import ipaddress

import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fec_cache.datasets.download.config import FetchFailed
from fec_cache.datasets.download.http.addresses import PinnedBackend, check_url, danger_of, resolve
from fec_cache.testing.picture_server.loopback import PUBLIC, LoopbackDial
from fec_cache.testing.picture_server.server import PictureServer
from tests.datasets.download.http.fetching import fetch, kind_of

REFUSED = {
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "::1": "loopback",
    "0.0.0.0": "unspecified",
    "::": "unspecified",
    "10.0.0.1": "private",
    "172.16.0.1": "private",
    "192.168.1.1": "private",
    "fd00:ec2::254": "private",
    "169.254.169.254": "link-local",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "100.100.100.200": "not a public address",
    "168.63.129.16": "a cloud's metadata service",
    "192.0.0.192": "not a public address",
    "224.0.0.1": "multicast",
    "ff02::1": "multicast",
    "255.255.255.255": "private",
    "::ffff:127.0.0.1": "loopback",
    "::ffff:169.254.169.254": "link-local",
    "::ffff:a00:1": "private",
    "2002:7f00:1::": "loopback",
    "64:ff9b::7f00:1": "loopback",
    "64:ff9b::a9fe:a9fe": "link-local",
    "elsewhere": "not an IP address",
}


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_is_not_the_webs_is_refused(address):
    danger = danger_of(address)
    assert danger
    if ":" not in address or address.startswith("::"):
        assert danger == REFUSED[address]


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_allowed(address):
    assert danger_of(address) == ""


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.1.2.3", "::ffff:127.0.0.1"])
def test_private_ones_can_be_allowed_but_never_the_metadata_services(address):
    assert danger_of(address, allow_private=True) == ""
    for never in ("169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "0.0.0.0", "224.0.0.1",
                  "168.63.129.16"):  # fmt: skip
        assert danger_of(never, allow_private=True)


@given(st.ip_addresses(v=4), st.booleans())
def test_an_ipv4_address_is_judged_the_same_inside_of_an_ipv6_one(address, allow_private):
    plain = danger_of(str(address), allow_private)
    for inside in (
        f"::ffff:{address}",
        str(ipaddress.IPv6Address((0x64FF9B << 96) + int(address))),
    ):
        assert bool(danger_of(inside, allow_private)) == bool(plain)


@given(st.ip_addresses())
def test_no_address_passes_that_the_standard_library_calls_special(address):
    special = address.is_private or address.is_loopback or address.is_link_local
    special = special or address.is_multicast or address.is_unspecified
    mapped = getattr(address, "ipv4_mapped", None)
    if special and mapped is None:
        assert danger_of(str(address))


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("file:///etc/passwd", "scheme"),
        ("data:image/png;base64,AAAA", "scheme"),
        ("ftp://a.example/1.jpg", "scheme"),
        ("gopher://a.example/1.jpg", "scheme"),
        ("//a.example/1.jpg", "scheme"),
        ("http:///1.jpg", "host"),
        ("http://", "host"),
        ("http://user:secret@a.example/1.jpg", "password"),
        ("http://user@a.example/1.jpg", "password"),
        ("http://a.example:22/1.jpg", "port 22"),
        ("http://a.example:99999/1.jpg", "not a URL"),
        ("http://a.example:x/1.jpg", "not a URL"),
        ("http://[::1/1.jpg", "not a URL"),
        ("http://a b.example/1.jpg", "not a URL"),
        ("http://xn--a.example/1.jpg", "not a URL"),
        ("http://%31%32%37.0.0.1/1.jpg", "not a URL"),
        ("http://a.example/\x00.jpg", "not a URL"),
        ("http://" + "a" * 9000 + ".example/", "longer"),
        ("http://a.example/" + "x" * 9000, "longer"),
    ],
)
def test_what_is_no_plain_web_address_is_refused(url, word):
    with pytest.raises(FetchFailed, match=word) as caught:
        check_url(url)
    assert caught.value.kind == "bad-url"


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/../../../etc/passwd",
        "http://a.example/%2e%2e/%00/1.jpg",
        "https://bücher.example/1.jpg",
        "http://a.example:8080/1.jpg?x=1#y",
        "HTTP://A.EXAMPLE/1.JPG",
        "http://a.example/ä ö/1.jpg",
    ],
)
def test_odd_but_plain_addresses_are_taken(url):
    assert check_url(url).host


@given(st.text(max_size=80), st.sampled_from(["", "http://", "https://", "http://a.example/"]))
def test_any_text_is_a_url_or_refused(text, start):
    try:
        assert check_url(start + text).scheme in ("http", "https")
    except FetchFailed as failure:
        assert failure.kind == "bad-url"


class NoDial(httpcore.AnyIOBackend):
    """Fails the test if anything is connected to."""

    async def connect_tcp(self, host, *args, **options):
        raise AssertionError(f"connected to {host}")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::1]", "[::ffff:127.0.0.1]",
     "[::ffff:7f00:1]", "169.254.169.254", "[fe80::1]", "0", "localhost"],
)  # fmt: skip
def test_every_spelling_of_home_is_refused_before_any_connection(host):
    # The system's own resolver: none of these names leaves the machine.
    backend = PinnedBackend(resolver=resolve, dial=NoDial())
    kind = kind_of(f"http://{host}/1.jpg", backend)
    assert kind == ("bad-url" if host == "0177.0.0.1" else "unsafe-address")


@pytest.mark.parametrize("address", ["169.254.169.254", "10.0.0.7", "fd00:ec2::254", "::1"])
def test_a_name_of_a_forbidden_address_is_refused_before_any_connection(address):
    async def resolver(host, port):
        return [address]

    backend = PinnedBackend(resolver=resolver, dial=NoDial())
    assert kind_of("http://innocent.example/1.jpg", backend) == "unsafe-address"


def test_one_forbidden_address_among_good_ones_is_enough():
    async def resolver(host, port):
        return [PUBLIC, "127.0.0.1"]

    backend = PinnedBackend(resolver=resolver, dial=NoDial())
    assert kind_of("http://innocent.example/1.jpg", backend) == "unsafe-address"


def test_a_name_that_changes_its_mind_is_dialled_as_it_was_checked():
    """DNS rebinding: the second answer would be this machine, and it is never requested."""
    answers = [[PUBLIC], ["127.0.0.1"]]

    async def resolver(host, port):
        return answers.pop(0)

    with PictureServer() as server:
        dial = LoopbackDial()
        backend = PinnedBackend(resolver=resolver, dial=dial)
        fetched = fetch(f"http://rebind.example:{server.port}/closing/1.jpg", backend)
        assert fetched.status == 200
    assert dial.dialled == [PUBLIC]
    assert answers == [["127.0.0.1"]]
