from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from fec_cache.datasets.synthetic.portrait.hair import draw_hair_behind, draw_hair_front
from fec_cache.datasets.synthetic.portrait.people import HairStyle, Scene
from tests.datasets.synthetic.portrait.studio import CENTRE, SITTER, paint, painted, pixel

EVERY_UNIT = {"jaw_drop": 1.0, "lip_corner_pull": 1.0, "outer_brow_raise": 1.0}


def front(style, **fields):
    return paint(draw_hair_front, replace(SITTER, hair_style=style, **fields))


def behind(style):
    return painted(paint(draw_hair_behind, replace(SITTER, hair_style=style)))


def test_bald_heads_have_no_hair():
    assert not painted(front("bald")).any()
    assert not behind("bald").any()


@pytest.mark.parametrize("style", get_args(HairStyle))
def test_hair_depends_on_the_person_only(style):
    identity = replace(SITTER, hair_style=style)
    for step in (draw_hair_behind, draw_hair_front):
        plain = paint(step, identity)
        other = paint(step, identity, Scene(light_angle=0.3, gaze=0.5), **EVERY_UNIT)
        assert (plain == other).all()


def test_hair_has_its_colour_and_a_scarf_does_not():
    # Beside the strands, above the forehead: 98, 62, 40 is the sitter's hair.
    assert pixel(front("crop"), 0.0, -0.9) == pytest.approx((98, 62, 40), abs=25)
    blond = front("crop", hair=(226, 190, 130))
    assert pixel(blond, 0.0, -0.9) == pytest.approx((226, 190, 130), abs=25)
    scarf, other = (front("scarf", hair=hair) for hair in ((98, 62, 40), (226, 190, 130)))
    assert (scarf == other).all()


def test_the_hairline_leaves_the_face_free():
    for style in ("crop", "quiff", "long", "fringe", "receding"):
        hair = painted(front(style))
        assert hair[round(CENTRE[1] - 72), 120]  # the crown
        assert not hair[round(CENTRE[1]), 120]  # between the eyes
    # A fringe comes down to -0.43, a receding hairline stays at -0.8.
    at_forehead = round(CENTRE[1] - 0.6 * 72)
    assert painted(front("fringe"))[at_forehead, 120]
    assert not painted(front("receding"))[at_forehead, 120]


def test_long_hair_hangs_lower_than_a_bob_and_short_hair_not_at_all():
    lowest = {style: np.nonzero(behind(style))[0].max() for style in ("long", "bob", "crop")}
    # They hang to y = 1.5 and 0.72; a crop ends at the ears, at 0.06.
    assert lowest["long"] == pytest.approx(CENTRE[1] + 1.5 * 72, abs=2)
    assert lowest["bob"] == pytest.approx(CENTRE[1] + 0.72 * 72, abs=2)
    assert lowest["crop"] == pytest.approx(CENTRE[1] + 0.06 * 72, abs=2)


def test_mirrored_hair_is_the_mirror_image():
    plain, mirrored = painted(front("side")), painted(front("side", is_mirrored=True))
    assert (plain != mirrored).sum() > 100
    # The middle of the face is the left edge of column 120.
    assert (plain[:, :0:-1] != mirrored[:, 1:]).mean() < 0.01
