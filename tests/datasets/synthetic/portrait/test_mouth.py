from dataclasses import replace

import numpy as np
import pytest

from fec_cache.datasets.synthetic.emotions import ActionUnits
from fec_cache.datasets.synthetic.portrait.mouth import draw_beard, draw_mouth, shape_mouth
from tests.datasets.synthetic.portrait.studio import (
    SITTER,
    SIZE,
    change,
    draw,
    paint,
    painted,
    pixel,
)


def test_jaw_drop_opens_the_mouth():
    closed, opened = (shape_mouth(SITTER, ActionUnits(jaw_drop=jaw)) for jaw in (0.0, 1.0))
    assert (closed.lower - closed.upper).max() == 0.0
    assert (opened.lower - opened.upper).max() > 0.2


def test_corners_go_up_down_and_inwards():
    def corner(**units):
        mouth = shape_mouth(SITTER, ActionUnits(**units))
        return float(mouth.x[-1]), float(mouth.upper[-1])

    x, y = corner()
    assert corner(lip_corner_pull=1.0) < (x + 0.12, y - 0.1)
    assert corner(lip_corner_pull=1.0)[0] > x + 0.08
    assert corner(lip_corner_depress=1.0)[1] > y + 0.05
    assert corner(lip_pucker=1.0)[0] < 0.7 * x


def test_dimple_is_on_one_side():
    changed = change(dimple=1.0)
    left, right = changed[:, : SIZE // 2].sum(), changed[:, SIZE // 2 :].sum()
    assert right > 20 * left
    other = np.abs(
        draw(replace(SITTER, is_mirrored=True), dimple=1.0)
        - draw(replace(SITTER, is_mirrored=True))
    ).sum(axis=2)
    assert other[:, : SIZE // 2].sum() > 20 * other[:, SIZE // 2 :].sum()


def test_a_band_is_closed_and_runs_back_along_its_lower_curve():
    mouth = shape_mouth(SITTER, ActionUnits())
    band = mouth.band(mouth.top, mouth.bottom)
    assert band.shape == (50, 2)
    assert band[:25].tolist() == np.stack([mouth.x, mouth.top], axis=1).tolist()
    assert band[:24:-1].tolist() == np.stack([mouth.x, mouth.bottom], axis=1).tolist()


def test_curves_of_a_mouth_are_in_order_under_every_unit():
    for name in ("lip_corner_pull", "lip_corner_depress", "lip_pucker", "jaw_drop", "nose_wrinkle"):
        mouth = shape_mouth(SITTER, ActionUnits(**{name: 1.0}))
        assert (np.diff(mouth.x) > 0).all()
        for above, below in (("top", "upper"), ("upper", "lower"), ("lower", "bottom")):
            assert (getattr(mouth, below) - getattr(mouth, above)).min() > -1e-12


def test_a_mouth_without_a_dimple_is_symmetric():
    for units in (ActionUnits(), ActionUnits(lip_corner_pull=0.8, jaw_drop=0.5)):
        mouth = shape_mouth(SITTER, units)
        assert mouth.x == pytest.approx(-mouth.x[::-1])
        for name in ("top", "upper", "lower", "bottom"):
            assert getattr(mouth, name) == pytest.approx(getattr(mouth, name)[::-1])


def test_teeth_show_in_an_open_mouth_only():
    def num_white(**units):
        return (paint(draw_mouth, **units).min(axis=2) > 230).sum()

    assert num_white() == 0
    assert num_white(lip_corner_pull=1.0, jaw_drop=0.5) > 20


def test_beards_cover_what_their_names_say():
    masks = {
        beard: painted(paint(draw_beard, replace(SITTER, beard=beard)))
        for beard in ("none", "moustache", "goatee", "full", "stubble")
    }
    areas = {beard: int(mask.sum()) for beard, mask in masks.items()}
    assert areas["none"] == 0
    assert 0 < areas["moustache"] < areas["goatee"] < areas["full"]
    full = paint(draw_beard, replace(SITTER, beard="full"))
    assert max(pixel(full, 0.0, 0.9)) < 150
    stubble = paint(draw_beard, replace(SITTER, beard="stubble"))
    assert max(pixel(stubble, 0.0, 0.9)) > 200  # hardly covers the blank canvas
