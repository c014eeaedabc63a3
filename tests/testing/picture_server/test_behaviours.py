"""Behaviours send what their names say."""

import gzip
import io

import numpy as np
import pytest
from PIL import Image

from fec_cache.testing.picture_server.behaviours import BEHAVIOURS, EXPECTED
from fec_cache.testing.picture_server.messages import Request
from fec_cache.testing.picture_server.pictures import canvas_bomb, picture


def reply(name, number=7, query="", count=1):
    return BEHAVIOURS[name](Request(number, f"/{name}/{number}.jpg", query, count, 80))


def body(name, **request):
    return reply(name, **request).content.partition(b"\r\n\r\n")[2]


def test_every_behaviour_has_an_expected_outcome_and_a_docstring():
    assert set(BEHAVIOURS) == set(EXPECTED)
    assert len(BEHAVIOURS) == 38
    assert all(behaviour.__doc__ for behaviour in BEHAVIOURS.values())


@pytest.mark.parametrize("name", ["ok", "folder", "closing", "robots"])
def test_the_picture_arrives_as_it_is(name):
    assert body(name) == picture(7)


def test_packed_pictures_unpack_and_torn_ones_do_not():
    assert gzip.decompress(body("packed")) == picture(7)
    with pytest.raises(EOFError):
        gzip.decompress(body("torn"))


@pytest.mark.parametrize(
    ("name", "status"), [("flaky", b"500"), ("busy", b"503"), ("limited", b"429")]
)
def test_the_second_request_succeeds(name, status):
    assert reply(name).content.split()[1] == status
    assert body(name, count=2) == picture(7)
    assert reply(name, count=2).is_picture


def test_a_chain_ends_after_three_redirects():
    for step, status in enumerate((b"301", b"302", b"308")):
        content = reply("chain", query=str(step) if step else "").content
        assert content.split()[1] == status
        assert f"Location: /chain/7.jpg?{step + 1}\r\n".encode() in content
    assert body("chain", query="3") == picture(7)


def test_twins_share_a_picture_and_others_do_not():
    assert body("twins", number=71) == body("twins", number=79) != body("twins", number=80)
    assert body("ok", number=71) != body("ok", number=79)


def test_pictures_differ_in_a_comment_only():
    first, second = (Image.open(io.BytesIO(picture(number))) for number in (1, 2))
    assert first.size == (160, 120)
    assert np.array_equal(np.asarray(first), np.asarray(second))
    assert picture(1) != picture(2)


def test_the_canvas_bomb_is_small_and_claims_to_be_large():
    content = canvas_bomb(1000)
    assert len(content) < 100
    assert Image.open(io.BytesIO(content)).size == (1000, 1000)
