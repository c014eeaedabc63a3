from dataclasses import replace

import numpy as np
import pytest

from fec_cache.datasets.synthetic.portrait.eyes import draw_brows, draw_eyes
from fec_cache.datasets.synthetic.portrait.people import Scene
from tests.datasets.synthetic.portrait.studio import SITTER, draw, paint, painted, rows


def test_closed_eyes_hide_the_iris():
    identity = replace(SITTER, iris=(20, 60, 240))
    eyes = [draw(identity, eye_closure=shut)[rows(-0.2, 0.15)] for shut in (0.0, 1.0)]
    blue = [((eye[..., 2] - eye[..., 0]) > 40).sum() for eye in eyes]
    assert blue[0] > 80
    assert blue[1] == 0


def test_raised_lids_show_more_white():
    def white(**units):
        eyes = draw(**units)[rows(-0.25, 0.15), 60:180]
        return (eyes.min(axis=2) > 190).sum()

    assert white(upper_lid_raise=1.0) > 1.2 * white()
    assert white(lid_tighten=1.0) < 0.7 * white()


def height(step, columns=slice(None), **units):
    """Mean row of what a step paints: smaller is higher."""
    return np.nonzero(painted(paint(step, **units))[:, columns])[0].mean()


def test_brows_rise_and_fall():
    rest = height(draw_brows)
    assert height(draw_brows, outer_brow_raise=1.0) < rest - 3
    assert height(draw_brows, brow_lower=1.0) > rest + 2
    # The inner ends are next to the middle of the face, at columns 120 +- 10.
    inner = slice(108, 133)
    assert height(draw_brows, inner, inner_brow_raise=1.0) < height(draw_brows, inner) - 3


def test_gaze_moves_the_iris():
    identity = replace(SITTER, iris=(20, 60, 240))

    def column(gaze):
        eyes = paint(draw_eyes, identity, Scene(gaze=gaze))
        return np.nonzero(eyes[..., 2] - eyes[..., 0] > 40)[1].mean()

    # 0.05 head units of 72 pixels each way, less what the lids hide.
    assert column(1.0) - column(0.0) == pytest.approx(3.6, abs=0.8)
    assert column(0.0) - column(-1.0) == pytest.approx(3.6, abs=0.8)


def test_eyes_of_a_frontal_face_are_mirror_images():
    eyes = painted(paint(draw_eyes))
    # The middle of the face is at x = 120, the left edge of column 120.
    both = eyes[:, 1:] & eyes[:, :0:-1]
    assert both.sum() > 0.9 * eyes.sum()


def test_crows_feet_grow_with_raised_cheeks_and_age():
    def darkness(age, **units):
        eyes = paint(draw_eyes, replace(SITTER, age=age), **units)
        # Beside the outer corner of the eye on the picture's right.
        return painted(eyes)[rows(-0.1, 0.1), 158:].sum()

    assert darkness(0.2) < darkness(0.2, cheek_raise=1.0)
    assert darkness(0.2) < darkness(0.9)
