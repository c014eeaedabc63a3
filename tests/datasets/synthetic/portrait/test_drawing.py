from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from fec_cache.datasets.synthetic.emotions import UNIT_NAMES, ActionUnits
from fec_cache.datasets.synthetic.portrait.drawing import (
    Person,
    draw_people,
    draw_portrait,
    face_box,
)
from fec_cache.datasets.synthetic.portrait.people import (
    Beard,
    Collar,
    Glasses,
    HairStyle,
    Scene,
    random_identity,
    random_scene,
)
from tests.datasets.synthetic.portrait.studio import CENTRE, SCALE, SITTER, SIZE, change, draw, rows

# Top and bottom of the strip, in head units, in which a unit should show.
STRIPS = {
    "inner_brow_raise": (-0.75, -0.05),
    "outer_brow_raise": (-0.75, -0.05),
    "brow_lower": (-0.5, 0.12),
    "upper_lid_raise": (-0.3, 0.15),
    "cheek_raise": (-0.2, 0.5),
    "lid_tighten": (-0.3, 0.2),
    "nose_wrinkle": (-0.4, 0.95),
    "lip_corner_pull": (0.2, 0.95),
    "dimple": (0.2, 0.95),
    "lip_corner_depress": (0.3, 0.95),
    "lip_pucker": (0.3, 0.95),
    "jaw_drop": (0.3, 1.4),
    "eye_closure": (-0.3, 0.2),
}


@pytest.mark.parametrize("name", UNIT_NAMES)
def test_each_unit_shows_where_it_should_and_hardly_elsewhere(name):
    changed = change(**{name: 1.0})
    inside = changed[rows(*STRIPS[name])].sum()
    assert inside > 0.97 * changed.sum()
    # At least 150 of the picture's pixels change clearly.
    assert (changed[rows(*STRIPS[name])] > 60).sum() > 150


@pytest.mark.parametrize("name", UNIT_NAMES)
def test_stronger_units_change_more(name):
    assert change(**{name: 0.4}).sum() < change(**{name: 1.0}).sum()


def test_same_arguments_same_pixels():
    rng = np.random.default_rng(4)
    identity, scene = random_identity(rng), random_scene(rng)
    assert (draw(identity, scene) == draw(identity, scene)).all()


def test_people_and_scenes_vary_more_than_expressions():
    rng = np.random.default_rng(9)
    scenes = [draw(SITTER, random_scene(rng)) for _ in range(6)]
    people = [draw(random_identity(rng)) for _ in range(6)]
    smile = np.abs(draw(lip_corner_pull=1.0) - draw()).mean()
    assert np.mean([np.abs(other - people[0]).mean() for other in people[1:]]) > 5 * smile
    assert np.mean([np.abs(other - scenes[0]).mean() for other in scenes[1:]]) > 5 * smile


def test_box_holds_the_features_and_follows_the_turn():
    person = Person(SITTER, ActionUnits(), Scene())
    left, right, top, bottom = face_box(person, SIZE, SIZE)
    assert (left + right) / 2 == pytest.approx(0.5)
    assert (right - left) * SIZE == pytest.approx(2 * 0.72 * SCALE, rel=0.02)
    assert top * SIZE == pytest.approx(CENTRE[1] - 0.8 * SCALE, abs=4)
    assert bottom * SIZE == pytest.approx(CENTRE[1] + 1.015 * SCALE, abs=1)
    shifted = face_box(replace(person, scene=Scene(shift_x=0.5)), SIZE, SIZE)
    assert shifted[0] - left == pytest.approx(0.5 * SCALE / SIZE)


def test_two_people_stand_side_by_side():
    happy = ActionUnits(lip_corner_pull=1.0)
    left = Person(SITTER, happy, Scene(), place=0.27)
    right = Person(replace(SITTER, skin=(122, 78, 54)), ActionUnits(), Scene(), place=0.73)
    image = draw_people([left, right], 372, 240)
    assert image.size == (372, 240)
    boxes = [face_box(person, 372, 240) for person in (left, right)]
    assert boxes[0][1] < 0.5 < boxes[1][0]
    pixels = np.asarray(image).astype(int)
    foreheads = [
        pixels[round(240 * (top + 0.12)), round(372 * (low + high) / 2)]
        for low, high, top, _ in boxes
    ]
    assert foreheads[0].sum() > foreheads[1].sum() + 150


def test_every_style_beard_glasses_and_collar_can_be_drawn():
    pictures = set()
    for number, style in enumerate(get_args(HairStyle)):
        worn = {
            name: get_args(kind)[number % len(get_args(kind))]
            for name, kind in (("beard", Beard), ("glasses", Glasses), ("collar", Collar))
        }
        identity = replace(SITTER, hair_style=style, **worn)
        pictures.add(draw_portrait(identity, ActionUnits(), Scene(), 48, 48).tobytes())
    assert len(pictures) == 13


def test_jaw_drop_lowers_the_chin():
    bottoms = [
        face_box(Person(SITTER, ActionUnits(jaw_drop=jaw), Scene()), SIZE, SIZE)[3]
        for jaw in (0.0, 1.0)
    ]
    assert (bottoms[1] - bottoms[0]) * SIZE == pytest.approx(0.17 * SCALE, abs=0.5)
