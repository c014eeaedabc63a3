from dataclasses import replace

import numpy as np
import pytest

from fec_cache.datasets.synthetic.portrait.body import draw_body, draw_ears, draw_glasses
from fec_cache.datasets.synthetic.portrait.people import Scene
from tests.datasets.synthetic.portrait.studio import CENTRE, SITTER, paint, painted, pixel


def body(**fields):
    return paint(draw_body, replace(SITTER, **fields))


def test_clothes_have_their_colour_and_fill_the_bottom():
    image = body()
    assert image[-1, 120].tolist() == list(SITTER.clothes)
    assert painted(image)[-1, 60:180].all()
    assert body(clothes=(200, 20, 30))[-1, 120].tolist() == [200, 20, 30]


def test_a_neckline_shows_as_much_skin_as_its_collar_leaves():
    # Just below the neck: a vee is open to 1.6 and a crew neck to 1.36.
    assert pixel(body(collar="vee"), 0.0, 1.45) != SITTER.clothes
    assert pixel(body(collar="crew"), 0.0, 1.5) == SITTER.clothes
    assert pixel(body(collar="roll"), 0.0, 1.3) == SITTER.clothes


def test_a_scarf_goes_with_a_roll_neck():
    assert (body(hair_style="scarf", collar="vee") == body(collar="roll")).all()


def test_the_body_does_not_turn_with_the_head():
    turned = paint(draw_body, SITTER, Scene(yaw=0.3, roll=0.2, light_angle=0.2))
    assert (turned == body()).all()


def test_a_dropped_jaw_casts_its_shadow_lower():
    def num_shaded(**units):
        return (paint(draw_body, **units) != body()).any(axis=2).sum()

    assert num_shaded() == 0
    assert num_shaded(jaw_drop=1.0) > 20


@pytest.mark.parametrize("style", ["scarf", "bob", "fringe"])
def test_hair_over_the_ears_hides_them(style):
    assert not painted(paint(draw_ears, replace(SITTER, hair_style=style))).any()


def test_ears_are_on_both_sides_of_the_head():
    ears = painted(paint(draw_ears))
    columns = np.nonzero(ears)[1]
    # From inside the head's edge, 0.72 + 0.015 - 0.08, to 0.105 outside of it.
    left, right = columns[columns < 120], columns[columns >= 120]
    assert right.min() == pytest.approx(CENTRE[0] + 0.655 * 72, abs=2)
    assert right.max() == pytest.approx(CENTRE[0] + 0.84 * 72, abs=2)
    assert abs(len(left) - len(right)) < 0.05 * len(right)


def test_pearls_are_worn_with_lashes_and_hair_that_shows_them():
    def has_pearl(style, has_lashes):
        identity = replace(SITTER, hair_style=style, has_lashes=has_lashes)
        return pixel(paint(draw_ears, identity), 0.745, 0.31) == (240, 214, 150)

    assert has_pearl("bun", True)
    assert not has_pearl("bun", False)
    assert not has_pearl("long", True)


def test_glasses_have_the_colour_of_their_kind():
    assert not painted(paint(draw_glasses)).any()
    for glasses, colour in (("round", (140, 96, 50)), ("square", (38, 32, 40))):
        image = paint(draw_glasses, replace(SITTER, glasses=glasses))
        frame = (image == colour).all(axis=2)
        assert 200 < frame.sum() < 2000
        # Frames are in front of both eyes and leave the mouth free.
        assert frame[:, :120].sum() == pytest.approx(frame[:, 120:].sum(), rel=0.1)
        assert not painted(image)[round(CENTRE[1] + 0.4 * 72) :].any()
