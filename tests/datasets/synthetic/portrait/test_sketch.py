from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fec_cache.datasets.synthetic.emotions import ActionUnits
from fec_cache.datasets.synthetic.portrait.canvas import Canvas, View
from fec_cache.datasets.synthetic.portrait.people import Scene
from fec_cache.datasets.synthetic.portrait.sketch import Palette, Sketch, head_outline, mirrored
from tests.datasets.synthetic.portrait.studio import SITTER


def test_mirrored_points_change_sides():
    assert mirrored(np.array([(0.3, 0.5), (-0.2, 0.0)])).tolist() == [[-0.3, 0.5], [0.2, 0.0]]


def test_the_outline_is_its_own_mirror_image():
    outline = head_outline(SITTER, 0.1)
    # From the crown on, the outline runs the other way round in the mirror.
    assert np.roll(mirrored(outline)[::-1], 1, axis=0) == pytest.approx(outline, abs=1e-12)


def test_the_outline_runs_from_the_crown_to_the_chin_and_back():
    outline = head_outline(SITTER)
    assert outline[0].tolist() == pytest.approx([0.0, -1.02])
    assert outline[:, 1].max() == pytest.approx(1.015)
    assert outline[:, 0].max() == pytest.approx(SITTER.face_width, rel=0.02)
    assert outline[1, 0] > 0  # clockwise in a picture, where y points down


def test_a_dropped_jaw_lowers_the_chin_and_nothing_above_the_cheeks():
    closed, dropped = head_outline(SITTER), head_outline(SITTER, 0.17)
    assert dropped[:, 1].max() - closed[:, 1].max() == pytest.approx(0.17)
    assert (dropped == closed)[closed[:, 1] < -0.2].all()


def test_age_widens_the_jaw():
    young, old = (head_outline(replace(SITTER, age=age)) for age in (0.0, 1.0))
    at_jaw = np.abs(young[:, 1] - 0.66).argmin()
    assert abs(old[at_jaw, 0]) - abs(young[at_jaw, 0]) == pytest.approx(0.03, abs=0.005)


def test_a_palette_is_mixed_from_skin_hair_and_lips():
    palette = Palette.of(SITTER)
    assert (palette.skin, palette.hair, palette.lips) == (SITTER.skin, SITTER.hair, SITTER.lips)
    # 0.36 of the way from (236, 190, 158) to (110, 40, 50), and 0.45 from hair to (10, 6, 14).
    assert palette.shade == (191, 136, 119)
    assert palette.hair_dark == (58, 37, 28)


def test_light_and_blush_are_weaker_on_dark_skin():
    def contrast(skin):
        palette = Palette.of(replace(SITTER, skin=skin))
        share = [(palette.light[2] - skin[2]) / (214 - skin[2])]
        share += [(palette.blush[1] - skin[1]) / (70 - skin[1])]
        return np.array(share)

    assert (contrast((122, 78, 54)) < contrast((236, 190, 158))).all()


def test_a_sketch_measures_in_pixels_and_knows_its_jaw():
    canvas = Canvas(Image.new("RGB", (8, 8)), 1.0)
    units = ActionUnits(jaw_drop=0.5)
    sketch = Sketch(canvas, canvas, View(4.0, 4.0, 72.0), SITTER, units, Scene())
    assert sketch.px(0.25) == 18.0
    assert sketch.jaw == pytest.approx(0.085)
    assert sketch.palette == Palette.of(SITTER)
