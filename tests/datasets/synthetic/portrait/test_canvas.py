import math

import numpy as np
import pytest
from PIL import Image

from fec_cache.datasets.synthetic.portrait.canvas import (
    Canvas,
    View,
    closed_curve,
    ellipse,
    mix,
    open_curve,
)


def test_curves_pass_through_their_corners():
    corners = [(0.0, 0.0), (1.0, 2.0), (3.0, 1.0)]
    assert np.abs(closed_curve(corners, 4)[::4] - np.array(corners)).max() < 1e-12
    curve = open_curve(corners, 4)
    assert np.abs(curve[[0, 4, 8]] - np.array(corners)).max() < 1e-12
    assert len(curve) == 9


def test_mix_of_colours():
    assert mix((0, 100, 200), (100, 0, 200), 0.25) == (25, 75, 200)


def test_yaw_moves_the_nose_towards_the_gaze():
    view = View(0.0, 0.0, 100.0, yaw=0.3)
    nose, cheek = view.face(np.array([(0.0, 0.2), (-0.6, 0.2)]))
    assert nose[0] > 15
    assert nose[0] > cheek[0] + 60


def blank(size=200, factor=1.0):
    return Canvas(Image.new("RGB", (round(size * factor),) * 2), factor)


def levels(canvas):
    return np.asarray(canvas.image)[..., 0].astype(int)


def test_a_filled_ellipse_has_its_area():
    canvas = blank()
    canvas.fill(ellipse(100, 100, 60, 40), (255, 255, 255))
    area = (levels(canvas) == 255).sum()
    # 24 corners: 1.1 % less than an ellipse; Pillow's outline adds half a pixel all around.
    assert area == pytest.approx(math.pi * 60 * 40, rel=0.02)
    ys, xs = np.nonzero(levels(canvas))
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == (40, 160, 60, 140)


def test_a_fill_blends_by_its_opacity():
    canvas = blank()
    square = np.array([(10, 10), (50, 10), (50, 50), (10, 50)], float)
    canvas.fill(square, (200, 200, 200), 0.5)
    assert levels(canvas)[30, 30] == pytest.approx(100, abs=1)
    canvas.fill(square, (200, 200, 200), 0.01)
    assert levels(canvas)[30, 30] == pytest.approx(100, abs=1)
    canvas.fill(square, (200, 200, 200))
    assert levels(canvas)[30, 30] == 200
    assert levels(canvas)[5, 5] == 0


def test_a_larger_canvas_takes_the_same_points():
    areas = []
    for factor in (1.0, 3.0):
        canvas = blank(100, factor)
        canvas.fill(ellipse(50, 50, 30, 20), (255, 255, 255))
        areas.append((levels(canvas) == 255).sum())
    assert areas[1] / areas[0] == pytest.approx(9, rel=0.05)


def test_a_stroke_has_its_width_and_tapers_at_its_ends():
    line = np.stack([np.linspace(20, 180, 41), np.full(41, 100.0)], axis=1)
    even, tapered = blank(), blank()
    even.stroke(line, 10, (255, 255, 255), is_tapered=False)
    tapered.stroke(line, 10, (255, 255, 255))
    widths = [(levels(canvas)[:, [25, 100, 175]] == 255).sum(axis=0) for canvas in (even, tapered)]
    assert widths[0].tolist() == pytest.approx([10, 10, 10], abs=1)
    assert widths[1].tolist() == pytest.approx([2.5, 10, 2.5], abs=2)


def test_a_frontal_view_scales_and_shifts():
    view = View(30.0, 40.0, 10.0)
    points = np.array([(0.0, 0.0), (0.5, -1.0), (-0.3, 0.7)])
    for project in (view.face, view.flat, view.body):
        assert np.abs(project(points) - (points * 10 + (30, 40))).max() < 1e-12


def test_roll_turns_clockwise_about_the_neck():
    view = View(0.0, 0.0, 10.0, roll=math.pi / 2)
    neck, above = view.flat(np.array([(0.0, 0.9), (0.0, 0.0)]))
    assert neck.tolist() == pytest.approx([0.0, 9.0])
    assert above.tolist() == pytest.approx([9.0, 9.0])


def test_pitch_moves_the_front_of_the_face_down():
    straight, down = (
        View(0.0, 0.0, 100.0, pitch=pitch).face(np.array([(0.0, 0.0)]))[0] for pitch in (0, 0.2)
    )
    # The ellipsoid is 0.7 deep at its centre.
    assert down[1] - straight[1] == pytest.approx(100 * 0.7 * math.sin(0.2))
    assert down[0] == straight[0]
