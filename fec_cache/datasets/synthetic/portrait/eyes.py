"""Eyes, brows and forehead: AU1, 2, 4, 5, 6, 7 and 43 of a drawn face."""

from dataclasses import dataclass

import numpy as np

from fec_cache.datasets.synthetic.portrait.canvas import RGB, Points, ellipse, mix, open_curve
from fec_cache.datasets.synthetic.portrait.sketch import Sketch

_ACROSS = np.linspace(-1.0, 1.0, 17)
_WHITE: RGB = (250, 246, 242)
_BLACK: RGB = (22, 16, 18)


@dataclass(frozen=True)
class _Eye:
    """Lid curves of one eye, [17] each, from its inner to its outer corner, in head units.

    `side` is -1 for the eye on the picture's left, 1 for the one on its right; `x` grows outwards
    on both sides.
    """

    side: int
    x: Points
    upper: Points
    lower: Points
    crease: Points

    def curve(self, y: Points) -> Points:
        """Points [17, 2] of a lid with the heights `y` [17]."""
        return np.stack([self.side * self.x, y], axis=1)

    def clip(self, points: Points) -> Points:
        """Move points [n, 2] that lie outside the lids onto them."""
        across = np.clip(self.side * points[:, 0], self.x[0], self.x[-1])
        upper = np.interp(across, self.x, self.upper)
        lower = np.interp(across, self.x, self.lower)
        return np.stack([self.side * across, np.clip(points[:, 1], upper, lower)], axis=1)


def _eye(sketch: Sketch, side: int) -> _Eye:
    """The lids of one eye under the units of the upper face (AU4, 5, 6, 7, 9, 43)."""
    identity, units = sketch.identity, sketch.units
    size = identity.eye_size / 0.165
    squint = min(1.0, 0.9 * units.lid_tighten + 0.25 * units.brow_lower + 0.3 * units.nose_wrinkle)
    droop = 0.012 * identity.age
    up = (0.1 + 0.055 * units.upper_lid_raise) * size * (1 - 0.42 * squint) - droop
    down = (0.056 + 0.014 * units.upper_lid_raise) * size
    down *= 1 - 0.5 * squint - 0.75 * units.cheek_raise * (1 - 0.5 * squint)
    crease = up + 0.04 - 0.012 * squint
    # The eye closes by the upper lid alone, which travels down to the lower one.
    shut = units.eye_closure
    up = up * (1 - shut) - (0.9 * down) * shut
    tilt = -identity.eye_tilt * _ACROSS - 0.014 * _ACROSS
    arch = 1 - np.abs(_ACROSS + 0.08 * (1 - _ACROSS**2)) ** 2.3
    bowl = 1 - np.abs(_ACROSS - 0.12 * (1 - _ACROSS**2)) ** 2.2
    # Raised cheeks (AU6) push the lower lid up into an arch: the Duchenne marker of a real smile.
    smile = 0.028 * units.cheek_raise * bowl
    lower = tilt + down * bowl - smile
    upper = np.minimum(tilt - up * arch - smile * shut, lower)
    x = identity.eye_spacing + identity.eye_size * _ACROSS
    return _Eye(side, x, upper, lower, tilt - crease * arch - 0.01)


def draw_eyes(sketch: Sketch) -> None:
    """Draw both eyes with lids, iris, catchlight, lashes, and the wrinkles around them."""
    for side in (-1, 1):
        eye = _eye(sketch, side)
        _draw_ball(sketch, eye)
        _draw_lids(sketch, eye)
        _draw_lash_lines(sketch, eye)
        _draw_crows_feet(sketch, eye)
        _draw_bags(sketch, eye)


def _draw_ball(sketch: Sketch, eye: _Eye) -> None:
    view, canvas, identity = sketch.view, sketch.canvas, sketch.identity
    white = mix(_WHITE, identity.skin, 0.1)
    canvas.fill(
        view.face(np.concatenate([eye.curve(eye.upper), eye.curve(eye.lower)[::-1]])), white
    )
    # Of an eye that is all but closed, no iris shows.
    if (eye.lower - eye.upper).max() < 0.012:
        return
    x = eye.side * identity.eye_spacing + sketch.scene.gaze * 0.05 + 0.04 * np.sin(sketch.view.yaw)
    y = -0.022 + 0.02 * sketch.units.eye_closure
    radius = 0.47 * identity.eye_size
    rings = [
        (radius, mix(identity.iris, _BLACK, 0.55)),
        (radius * 0.86, identity.iris),
        (radius * 0.46, _BLACK),
    ]
    for ring, colour in rings:
        canvas.fill(view.face(eye.clip(ellipse(x, y, ring, ring))), colour)
    glow = ellipse(x, y + radius * 0.45, radius * 0.55, radius * 0.28)
    canvas.fill(view.face(eye.clip(glow)), mix(identity.iris, (255, 230, 190), 0.6), 0.5)
    shadow = np.minimum(eye.upper + 0.026, eye.lower)
    band = np.concatenate([eye.curve(eye.upper), eye.curve(shadow)[::-1]])
    canvas.fill(view.face(band), (60, 40, 60), 0.35)
    spark = np.cos(sketch.scene.light_angle) * radius * 0.4
    light = ellipse(x + spark, y - radius * 0.34, radius * 0.24, radius * 0.24)
    canvas.fill(view.face(eye.clip(light)), (255, 255, 255))


def _draw_lids(sketch: Sketch, eye: _Eye) -> None:
    view, canvas, palette = sketch.view, sketch.canvas, sketch.palette
    lid = np.concatenate([eye.curve(eye.crease), eye.curve(eye.upper)[::-1]])
    canvas.fill(view.face(lid), mix(palette.skin, palette.shade, 0.45), 0.75)
    crease = eye.curve(eye.crease)[2:-1]
    canvas.stroke(view.face(crease), sketch.px(0.02), palette.line, 0.6)
    # The bulge of the lid over the eyeball catches light.
    middle = eye.curve(eye.crease * 0.45 + eye.upper * 0.55)[5:-5]
    width = sketch.px(0.03 + 0.03 * sketch.units.eye_closure)
    canvas.stroke(view.face(middle), width, palette.light, 0.35)


def _draw_lash_lines(sketch: Sketch, eye: _Eye) -> None:
    view, canvas, identity = sketch.view, sketch.canvas, sketch.identity
    lash = mix(mix(identity.hair, _BLACK, 0.75), identity.skin, 0.08)
    thickness = 0.034 if identity.has_lashes else 0.026
    canvas.stroke(view.face(eye.curve(eye.upper)), sketch.px(thickness), lash)
    lower = eye.curve(eye.lower)[2:]
    canvas.stroke(view.face(lower), sketch.px(0.012), mix(sketch.palette.line, lash, 0.4), 0.7)
    if identity.has_lashes:
        for at, reach in ((-1, 0.05), (-3, 0.045), (-5, 0.035)):
            x, y = eye.side * eye.x[at], eye.upper[at]
            fall = 0.03 * sketch.units.eye_closure
            tip = (x + eye.side * reach, y - 0.03 + 2 * fall)
            hair = open_curve([(x, y), (x + eye.side * reach * 0.6, y - 0.006 + fall), tip], 4)
            canvas.stroke(view.face(hair), sketch.px(0.016), lash)


def _draw_crows_feet(sketch: Sketch, eye: _Eye) -> None:
    units, age = sketch.units, sketch.identity.age
    opacity = 0.85 * units.cheek_raise * (0.5 + 0.5 * age) + 0.35 * max(0.0, age - 0.4)
    opacity += 0.25 * units.lid_tighten * age
    x = eye.side * (eye.x[-1] + 0.035)
    for slope in (-0.055, 0.0, 0.055):
        points = [
            (x, slope * 0.35),
            (x + eye.side * 0.05, slope * 0.8),
            (x + eye.side * 0.1, slope * 1.9),
        ]
        foot = sketch.view.face(open_curve(points, 4))
        sketch.canvas.stroke(foot, sketch.px(0.014), sketch.palette.line, min(0.8, opacity))


def _draw_bags(sketch: Sketch, eye: _Eye) -> None:
    units, age = sketch.units, sketch.identity.age
    strength = 0.5 * units.lid_tighten + 0.6 * units.cheek_raise
    opacity = min(0.7, 0.08 + 0.35 * age + 0.6 * strength)
    bag = eye.curve(eye.lower + 0.038 - 0.012 * strength)[2:-3]
    sketch.canvas.stroke(sketch.view.face(bag), sketch.px(0.016), sketch.palette.line, opacity)


def shade_eyes(sketch: Sketch) -> None:
    """Paint the soft hollows around the eyes and the bulge of raised cheeks."""
    view, soft, identity, palette = sketch.view, sketch.soft, sketch.identity, sketch.palette
    units = sketch.units
    for side in (-1, 1):
        x = side * identity.eye_spacing
        soft.fill(view.face(ellipse(x, -0.05, 0.23, 0.13)), palette.shade, 0.32)
        hollow = 0.22 + 0.25 * identity.age
        soft.fill(view.face(ellipse(x - side * 0.02, 0.1, 0.17, 0.05)), palette.shade, hollow)
        brow_bone = ellipse(x + side * 0.05, -identity.brow_height + 0.05, 0.16, 0.035)
        soft.fill(view.face(brow_bone), palette.light, 0.3)
        raised = units.cheek_raise
        ball = ellipse(side * 0.41, 0.25 - 0.05 * raised, 0.17, 0.1)
        soft.fill(view.face(ball), palette.light, 0.18 + 0.42 * raised)
        soft.fill(view.face(ellipse(side * 0.42, 0.36, 0.18, 0.04)), palette.shade, 0.4 * raised)


def _brow_centre(sketch: Sketch) -> Points:
    """Four points [4, 2] along the brow on the picture's right, outwards."""
    units, identity = sketch.units, sketch.identity
    inner, outer, lower = units.inner_brow_raise, units.outer_brow_raise, units.brow_lower
    frown = lower + 0.35 * units.nose_wrinkle
    height = -identity.brow_height
    spacing = identity.eye_spacing
    start = height + 0.01 + 0.09 * frown
    knit = height - 0.02 + 0.075 * frown
    return np.array([
        (spacing - 0.17 - 0.035 * frown, start - 0.11 * inner - 0.025 * outer),
        (spacing - 0.06 - 0.025 * frown, knit - 0.07 * inner - 0.065 * outer),
        (spacing + 0.08, height - 0.035 - 0.005 * inner - 0.115 * outer + 0.04 * frown),
        (spacing + 0.21, height + 0.02 + 0.03 * inner - 0.1 * outer + 0.025 * frown),
    ])  # fmt: skip


_BROW_TAPER = np.interp(np.linspace(0, 1, 19), [0, 0.12, 0.5, 1], [0.55, 1.0, 0.9, 0.12])[:, None]


def draw_brows(sketch: Sketch) -> None:
    """Draw both brows and the wrinkles that they fold into the forehead."""
    identity = sketch.identity
    colour = mix(mix(identity.hair, _BLACK, 0.35), identity.skin, 0.12)
    # A scarf hides the hair, so the brows of its wearer are plain dark ones.
    if identity.hair_style == "scarf":
        colour = mix((50, 36, 32), identity.skin, 0.12)
    centre = open_curve(_brow_centre(sketch))
    half = _BROW_TAPER * (0.0, identity.brow_thickness / 2)
    shape = np.concatenate([centre - half, (centre + half)[::-1]])
    for side in (-1, 1):
        sketch.canvas.fill(sketch.view.face(shape * (side, 1), 0.03), colour, 0.92)
    _draw_forehead_lines(sketch)
    _draw_frown_lines(sketch)


def _draw_forehead_lines(sketch: Sketch) -> None:
    units, age = sketch.units, sketch.identity.age
    raised = max(units.inner_brow_raise * 0.85, units.outer_brow_raise)
    base = -sketch.identity.brow_height - 0.13
    # AU1 alone wrinkles the middle of the forehead; AU2 wrinkles its whole width.
    reach = 0.2 + 0.2 * units.outer_brow_raise
    for step in range(3):
        y = base - 0.075 * step - 0.03 * raised
        bend = 0.03 - 0.07 * units.inner_brow_raise * (1 - units.outer_brow_raise)
        points = [
            (-reach, y + 0.02),
            (-reach / 2, y),
            (0, y + bend),
            (reach / 2, y),
            (reach, y + 0.02),
        ]
        opacity = raised * (0.32 + 0.3 * age) + 0.25 * max(0.0, age - 0.45)
        line = sketch.view.face(open_curve(points, 4))
        sketch.canvas.stroke(line, sketch.px(0.017), sketch.palette.line, opacity)


def _draw_frown_lines(sketch: Sketch) -> None:
    units, age = sketch.units, sketch.identity.age
    opacity = min(0.8, 0.7 * units.brow_lower + 0.2 * max(0.0, age - 0.4))
    for side in (-1, 1):
        points = [(side * 0.075, -0.27), (side * 0.05, -0.19), (side * 0.06, -0.09)]
        line = sketch.view.face(open_curve(points, 4))
        sketch.canvas.stroke(line, sketch.px(0.022), sketch.palette.line, opacity)
