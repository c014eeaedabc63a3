"""One person, frontal, in a picture of 240 x 240: what the tests of drawing share."""

import numpy as np
from PIL import Image

from fec_cache.datasets.synthetic.emotions import ActionUnits
from fec_cache.datasets.synthetic.portrait.canvas import Canvas, View
from fec_cache.datasets.synthetic.portrait.drawing import draw_portrait
from fec_cache.datasets.synthetic.portrait.people import Identity, Scene
from fec_cache.datasets.synthetic.portrait.sketch import Sketch

SIZE = 240
SCALE, CENTRE = 0.3 * SIZE, (0.5 * SIZE, 0.49 * SIZE)
SITTER = Identity(
    skin=(236, 190, 158),
    hair=(98, 62, 40),
    iris=(86, 110, 70),
    lips=(206, 130, 120),
    clothes=(60, 110, 140),
)
BLANK = (0, 255, 0)


def draw(identity=SITTER, scene=None, **units):
    image = draw_portrait(identity, ActionUnits(**units), scene or Scene(), SIZE, SIZE)
    return np.asarray(image).astype(int)


def change(**units):
    return np.abs(draw(**units) - draw()).sum(axis=2)


def rows(top, bottom):
    # The head of a frontal scene: lift off the ellipsoid moves nothing without a turn.
    return slice(round(CENTRE[1] + top * SCALE), round(CENTRE[1] + bottom * SCALE))


def paint(step, identity=SITTER, scene=None, **units):
    """What one step of drawing paints on a blank canvas, without oversampling: [240, 240, 3]."""
    canvas = Canvas(Image.new("RGB", (SIZE, SIZE), BLANK), 1.0)
    soft = Canvas(Image.new("RGB", (SIZE // 2, SIZE // 2), BLANK), 0.5)
    view = View(*CENTRE, SCALE)
    step(Sketch(canvas, soft, view, identity, ActionUnits(**units), scene or Scene()))
    return np.asarray(canvas.image).astype(int)


def painted(image):
    """Which pixels are no longer blank: [240, 240] bool."""
    return (image != BLANK).any(axis=2)


def pixel(image, x, y):
    """The colour at a place in head units."""
    return tuple(image[round(CENTRE[1] + y * SCALE), round(CENTRE[0] + x * SCALE)].tolist())
