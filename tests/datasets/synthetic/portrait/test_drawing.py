from dataclasses import replace

import numpy as np
import pytest

from fec_cache.datasets.synthetic.emotions import UNIT_NAMES, ActionUnits
from fec_cache.datasets.synthetic.portrait.canvas import View, closed_curve, mix, open_curve
from fec_cache.datasets.synthetic.portrait.drawing import (
    Person,
    draw_people,
    draw_portrait,
    face_box,
)
from fec_cache.datasets.synthetic.portrait.mouth import shape_mouth
from fec_cache.datasets.synthetic.portrait.people import (
    Identity,
    Scene,
    random_identity,
    random_scene,
)

SIZE = 240
SCALE, CENTRE = 0.3 * SIZE, (0.5 * SIZE, 0.49 * SIZE)
SITTER = Identity(
    skin=(236, 190, 158),
    hair=(98, 62, 40),
    iris=(86, 110, 70),
    lips=(206, 130, 120),
    clothes=(60, 110, 140),
)
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


def draw(identity=SITTER, scene=None, **units):
    image = draw_portrait(identity, ActionUnits(**units), scene or Scene(), SIZE, SIZE)
    return np.asarray(image).astype(int)


def change(**units):
    return np.abs(draw(**units) - draw()).sum(axis=2)


def rows(top, bottom):
    # The head of a frontal scene: lift off the ellipsoid moves nothing without a turn.
    return slice(round(CENTRE[1] + top * SCALE), round(CENTRE[1] + bottom * SCALE))


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


def test_dimple_is_on_one_side():
    changed = change(dimple=1.0)
    left, right = changed[:, : SIZE // 2].sum(), changed[:, SIZE // 2 :].sum()
    assert right > 20 * left
    other = np.abs(
        draw(replace(SITTER, is_mirrored=True), dimple=1.0)
        - draw(replace(SITTER, is_mirrored=True))
    ).sum(axis=2)
    assert other[:, : SIZE // 2].sum() > 20 * other[:, SIZE // 2 :].sum()


def test_jaw_drop_lowers_the_chin_and_opens_the_mouth():
    closed, opened = (shape_mouth(SITTER, ActionUnits(jaw_drop=jaw)) for jaw in (0.0, 1.0))
    assert (closed.lower - closed.upper).max() == 0.0
    assert (opened.lower - opened.upper).max() > 0.2
    bottoms = [
        face_box(Person(SITTER, ActionUnits(jaw_drop=jaw), Scene()), SIZE, SIZE)[3]
        for jaw in (0.0, 1.0)
    ]
    assert (bottoms[1] - bottoms[0]) * SIZE == pytest.approx(0.17 * SCALE, abs=0.5)


def test_corners_go_up_down_and_inwards():
    def corner(**units):
        mouth = shape_mouth(SITTER, ActionUnits(**units))
        return float(mouth.x[-1]), float(mouth.upper[-1])

    x, y = corner()
    assert corner(lip_corner_pull=1.0) < (x + 0.12, y - 0.1)
    assert corner(lip_corner_pull=1.0)[0] > x + 0.08
    assert corner(lip_corner_depress=1.0)[1] > y + 0.05
    assert corner(lip_pucker=1.0)[0] < 0.7 * x


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


def test_same_arguments_same_pixels():
    rng = np.random.default_rng(4)
    identity, scene = random_identity(rng), random_scene(rng)
    assert (draw(identity, scene) == draw(identity, scene)).all()


def test_people_and_scenes_vary_more_than_expressions():
    rng = np.random.default_rng(9)
    scenes = [draw(SITTER, random_scene(rng)) for _ in range(6)]
    people = [draw(random_identity(rng)) for _ in range(6)]
    smile = np.abs(draw(lip_corner_pull=1.0) - draw()).mean()
    assert np.mean([np.abs(one - people[0]).mean() for one in people[1:]]) > 5 * smile
    assert np.mean([np.abs(one - scenes[0]).mean() for one in scenes[1:]]) > 5 * smile


def test_box_holds_the_features_and_follows_the_turn():
    person = Person(SITTER, ActionUnits(), Scene())
    left, right, top, bottom = face_box(person, SIZE, SIZE)
    assert (left + right) / 2 == pytest.approx(0.5)
    assert (right - left) * SIZE == pytest.approx(2 * 0.72 * SCALE, rel=0.02)
    assert top * SIZE == pytest.approx(CENTRE[1] - 0.8 * SCALE, abs=4)
    assert bottom * SIZE == pytest.approx(CENTRE[1] + 1.015 * SCALE, abs=1)
    shifted = face_box(replace(person, scene=Scene(shift_x=0.5)), SIZE, SIZE)
    assert shifted[0] - left == pytest.approx(0.5 * SCALE / SIZE)


def test_yaw_moves_the_nose_towards_the_gaze():
    view = View(0.0, 0.0, 100.0, yaw=0.3)
    nose, cheek = view.face(np.array([(0.0, 0.2), (-0.6, 0.2)]))
    assert nose[0] > 15
    assert nose[0] > cheek[0] + 60


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
    rng = np.random.default_rng(2)
    seen = set()
    for _ in range(60):
        identity = random_identity(rng)
        seen |= {identity.hair_style, identity.beard, identity.glasses, identity.collar}
        draw_portrait(identity, ActionUnits(), random_scene(rng), 48, 48)
    assert seen >= {"scarf", "bald", "afro", "full", "none", "round", "square", "vee", "roll"}


def test_curves_pass_through_their_corners():
    corners = [(0.0, 0.0), (1.0, 2.0), (3.0, 1.0)]
    assert np.abs(closed_curve(corners, 4)[::4] - np.array(corners)).max() < 1e-12
    curve = open_curve(corners, 4)
    assert np.abs(curve[[0, 4, 8]] - np.array(corners)).max() < 1e-12
    assert len(curve) == 9


def test_mix_of_colours():
    assert mix((0, 100, 200), (100, 0, 200), 0.25) == (25, 75, 200)
