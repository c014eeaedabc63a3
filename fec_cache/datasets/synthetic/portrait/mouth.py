"""Mouth, nose, folds and beard: AU9, 12, 14, 15, 18 and 26 of a drawn face."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fec_cache.datasets.synthetic.emotions import ActionUnits
from fec_cache.datasets.synthetic.portrait.canvas import (
    RGB,
    Points,
    closed_curve,
    ellipse,
    mix,
    open_curve,
)
from fec_cache.datasets.synthetic.portrait.people import Identity
from fec_cache.datasets.synthetic.portrait.sketch import JAW_TRAVEL, Sketch, head_outline

_ACROSS = np.linspace(-1.0, 1.0, 25)
_MOUTH_Y = 0.585
_CAVITY: RGB = (74, 18, 26)
_TEETH: RGB = (252, 248, 240)
_TONGUE: RGB = (206, 92, 96)


@dataclass(frozen=True)
class Mouth:
    """Curves of a mouth in head units, [25] each, from the picture's left corner to the right one.

    Attributes:
        x: shared by the four curves.
        top, upper: upper and lower edge of the upper lip.
        lower, bottom: upper and lower edge of the lower lip.
    """

    x: Points
    top: Points
    upper: Points
    lower: Points
    bottom: Points

    def band(self, above: Points, below: Points) -> Points:
        """The closed shape between two of the curves, [50, 2] in head units."""
        forth = np.stack([self.x, above], axis=1)
        return np.concatenate([forth, np.stack([self.x, below], axis=1)[::-1]])


# Five steps of one drawing ask for the same mouth.
@lru_cache(maxsize=8)
def shape_mouth(identity: Identity, units: ActionUnits) -> Mouth:
    """The lips under the units of the lower face (AU9, 12, 14, 15, 18, 26), in head units."""
    smile, sad, pucker = units.lip_corner_pull, units.lip_corner_depress, units.lip_pucker
    jaw, snarl = units.jaw_drop, units.nose_wrinkle
    smirk = units.dimple * _smirk_weights(identity)
    half = identity.mouth_width * (1 + 0.42 * smile + 0.05 * sad) * (1 - 0.12 * jaw * (1 - smile))
    half *= 1 - 0.42 * pucker
    x = _ACROSS * half + 0.075 * smirk
    squared = _ACROSS**2
    middle = _MOUTH_Y + 0.012 * smile - 0.02 * sad - 0.02 * pucker
    rest = middle + (0.09 * sad - 0.13 * smile) * np.abs(_ACROSS) ** 2.2 - 0.1 * smirk
    # A dropped jaw opens the mouth round; a laugh opens it wide to the corners.
    round_shape = np.sqrt(np.clip(1 - squared, 0.0, 1.0))
    flat_shape = 1 - np.abs(_ACROSS) ** 3
    opening = smile * flat_shape + (1 - smile) * round_shape
    gap = 0.055 * max(0.0, smile - 0.35) + 0.07 * snarl
    upper = rest - (0.03 * jaw * (1 - 0.6 * smile) + 0.6 * gap) * opening
    lower = rest + (1.75 * JAW_TRAVEL * jaw + 0.6 * gap + 0.012 * pucker * jaw) * opening
    thin = 1 - 0.28 * smile - 0.15 * snarl
    full = identity.lip_fullness * thin * (1 + 1.0 * pucker)
    bow = (1 - _ACROSS**4) * (0.82 - 0.22 * np.exp(-((_ACROSS / 0.16) ** 2)))
    top = upper - full * bow - 0.02 * snarl * (1 - squared)
    bottom = lower + full * 1.12 * (1 - np.abs(_ACROSS) ** 2.6)
    return Mouth(x, top, upper, lower, bottom)


def _smirk_weights(identity: Identity) -> Points:
    """How far AU14 pulls each point of the mouth, [25], 0..1: one half of the mouth only."""
    side = -1 if identity.is_mirrored else 1
    return np.clip(side * _ACROSS, 0.0, 1.0) ** 1.6


def draw_mouth(sketch: Sketch) -> None:
    """Draw lips, teeth, tongue and the corners of the mouth."""
    mouth = shape_mouth(sketch.identity, sketch.units)
    view, canvas, palette = sketch.view, sketch.canvas, sketch.palette
    lift = 0.04 + 0.07 * sketch.units.lip_pucker
    canvas.fill(view.face(mouth.band(mouth.upper, mouth.lower), lift), _CAVITY)
    _draw_inside(sketch, mouth, lift)
    canvas.fill(view.face(mouth.band(mouth.top, mouth.upper), lift), palette.lips_dark)
    canvas.fill(view.face(mouth.band(mouth.lower, mouth.bottom), lift), palette.lips)
    shine = np.stack([mouth.x, 0.45 * mouth.lower + 0.55 * mouth.bottom], axis=1)[8:-8]
    canvas.stroke(view.face(shine, lift), sketch.px(0.022), palette.light, 0.5)
    for edge, width in ((mouth.upper, 0.018), (mouth.lower, 0.01)):
        line = np.stack([mouth.x, edge], axis=1)
        canvas.stroke(view.face(line, lift), sketch.px(width), mix(palette.line, _CAVITY, 0.5), 0.9)
    _draw_corners(sketch, mouth, lift)
    _draw_pucker_lines(sketch, mouth, lift)


def _draw_inside(sketch: Sketch, mouth: Mouth, lift: float) -> None:
    gap = mouth.lower - mouth.upper
    # Slightly open lips show a dark line, no teeth or tongue.
    if gap.max() < 0.02:
        return
    view, canvas, units = sketch.view, sketch.canvas, sketch.units
    tongue = np.maximum(mouth.lower - 0.32 * gap * (1 - 0.4 * _ACROSS**2), mouth.upper)
    canvas.fill(view.face(mouth.band(tongue, mouth.lower), lift), _TONGUE)
    show = 0.03 + 0.05 * units.lip_corner_pull + 0.03 * units.nose_wrinkle
    teeth = np.minimum(mouth.upper + show * (1 - _ACROSS**6), mouth.upper + 0.9 * gap)
    inner = mouth.band(mouth.upper, teeth)[2:-2]
    canvas.fill(view.face(inner, lift), _TEETH)
    shadow = mouth.band(mouth.upper, np.minimum(mouth.upper + 0.014, teeth))
    canvas.fill(view.face(shadow, lift), _CAVITY, 0.3)


def _draw_corners(sketch: Sketch, mouth: Mouth, lift: float) -> None:
    units, palette = sketch.units, sketch.palette
    smirk = _smirk_weights(sketch.identity)[[0, -1]] * units.dimple
    for at, side, pull in ((0, -1, smirk[0]), (-1, 1, smirk[1])):
        x, y = mouth.x[at], mouth.upper[at]
        depth = max(units.lip_corner_pull, units.lip_corner_depress, pull)
        down = 0.04 * units.lip_corner_depress - 0.03 * units.lip_corner_pull
        points = [
            (x - side * 0.01, y),
            (x + side * 0.015, y + down / 2),
            (x + side * 0.03, y + down),
        ]
        corner = sketch.view.face(open_curve(points, 4), lift)
        sketch.canvas.stroke(corner, sketch.px(0.022), palette.line, 0.35 + 0.5 * depth)
        if pull > 0.05:
            bend = [(x + side * 0.05, y - 0.07), (x + side * 0.085, y), (x + side * 0.06, y + 0.08)]
            dimple = sketch.view.face(open_curve(bend, 5), lift)
            sketch.canvas.stroke(dimple, sketch.px(0.028), palette.line, 0.75 * float(pull))
        if units.lip_corner_depress > 0.05:
            fold = [
                (x + side * 0.03, y + 0.03),
                (x + side * 0.05, y + 0.1),
                (x + side * 0.035, y + 0.18),
            ]
            line = sketch.view.face(open_curve(fold, 4))
            sketch.canvas.stroke(
                line, sketch.px(0.022), palette.line, 0.6 * units.lip_corner_depress
            )


def _draw_pucker_lines(sketch: Sketch, mouth: Mouth, lift: float) -> None:
    opacity = 0.28 * sketch.units.lip_pucker
    for at in (6, 9, 12, 15, 18):
        for near, far in ((mouth.upper, mouth.top), (mouth.lower, mouth.bottom)):
            x, start, end = mouth.x[at], near[at], near[at] + (far[at] - near[at])
            points = np.array([(x, start), (x * 1.08, (start + end) / 2), (x * 1.2, end)])
            line = sketch.view.face(points, lift)
            sketch.canvas.stroke(line, sketch.px(0.012), sketch.palette.line, opacity)


def draw_nose(sketch: Sketch) -> None:
    """Draw nostrils, wings and bridge, with the wrinkles of AU9."""
    identity, units, view = sketch.identity, sketch.units, sketch.view
    canvas, palette, wrinkle = sketch.canvas, sketch.palette, units.nose_wrinkle
    y = identity.nose_length - 0.045 * wrinkle
    width = identity.nose_width * (1 + 0.18 * wrinkle + 0.06 * units.lip_corner_pull)
    for side in (-1, 1):
        nostril = ellipse(side * width * 0.48, y + 0.005, width * 0.27, 0.02 + 0.006 * wrinkle)
        canvas.fill(view.face(nostril, 0.1), mix(palette.line, _CAVITY, 0.45), 0.85)
        wing = [
            (side * width * 0.8, y - 0.1), (side * width * 1.06, y - 0.035),
            (side * width * 0.92, y + 0.02), (side * width * 0.7, y + 0.012),
        ]  # fmt: skip
        canvas.stroke(view.face(open_curve(wing, 5), 0.06), sketch.px(0.02), palette.line, 0.7)
        _draw_nose_wrinkles(sketch, side)
    under = [(-width * 0.3, y + 0.03), (0, y + 0.045), (width * 0.3, y + 0.03)]
    canvas.stroke(view.face(open_curve(under), 0.13), sketch.px(0.018), palette.line, 0.5)


def _draw_nose_wrinkles(sketch: Sketch, side: int) -> None:
    opacity = 0.75 * sketch.units.nose_wrinkle
    for y, reach in ((-0.06, 0.075), (0.0, 0.095), (0.06, 0.1)):
        points = [(side * 0.015, y + 0.012), (side * reach * 0.6, y), (side * reach, y + 0.035)]
        line = sketch.view.face(open_curve(points, 4), 0.08)
        sketch.canvas.stroke(line, sketch.px(0.018), sketch.palette.line, opacity)


def draw_folds(sketch: Sketch) -> None:
    """Draw the folds from the nose to the corners of the mouth."""
    identity, units = sketch.identity, sketch.units
    mouth = shape_mouth(identity, units)
    y = identity.nose_length - 0.04 - 0.045 * units.nose_wrinkle
    smirk = _smirk_weights(identity)[[0, -1]] * units.dimple
    for at, side, pull in ((0, -1, smirk[0]), (-1, 1, smirk[1])):
        depth = max(units.lip_corner_pull, units.nose_wrinkle, 0.6 * float(pull))
        start = (side * (identity.nose_width + 0.035), y)
        end = (float(mouth.x[at]) + side * 0.085, float(mouth.upper[at]) + 0.02)
        middle = (
            0.5 * (start[0] + end[0]) + side * (0.02 + 0.03 * depth),
            0.45 * start[1] + 0.55 * end[1],
        )
        fold = sketch.view.face(open_curve([start, middle, end], 6))
        opacity = min(0.8, 0.05 + 0.3 * identity.age + 0.55 * depth)
        sketch.canvas.stroke(fold, sketch.px(0.018 + 0.008 * depth), sketch.palette.line, opacity)


def shade_lower_face(sketch: Sketch) -> None:
    """Paint the soft shadows of nose, lips and chin, the blush, freckles and stubble."""
    identity, units, view = sketch.identity, sketch.units, sketch.view
    soft, palette, jaw = sketch.soft, sketch.palette, sketch.jaw
    mouth = shape_mouth(identity, units)
    y, width = identity.nose_length, identity.nose_width
    light = np.sign(np.cos(sketch.scene.light_angle))
    for side in (-1, 1):
        rosy = ellipse(side * 0.43, 0.29, 0.17, 0.11)
        soft.fill(view.face(rosy), palette.blush, 0.34 + 0.3 * units.cheek_raise)
        fold = ellipse(side * (width + 0.16), 0.47, 0.05, 0.12)
        soft.fill(view.face(fold), palette.shade, 0.12 + 0.4 * units.lip_corner_pull)
    soft.fill(view.face(ellipse(-light * 0.085, 0.1, 0.045, 0.22), 0.1), palette.shade, 0.42)
    soft.fill(view.face(ellipse(0, y + 0.055, width, 0.035), 0.06), palette.shade, 0.5)
    soft.fill(view.face(ellipse(light * 0.015, 0.06, 0.035, 0.2), 0.14), palette.light, 0.6)
    soft.fill(view.face(ellipse(light * 0.015, y - 0.07, 0.07, 0.055), 0.16), palette.light, 0.65)
    bottom = float(mouth.bottom.max())
    soft.fill(view.face(ellipse(0, bottom + 0.045, 0.15, 0.035)), palette.shade, 0.5)
    soft.fill(view.face(ellipse(0, bottom + 0.16 + 0.2 * jaw, 0.13, 0.07)), palette.light, 0.35)
    soft.fill(view.face(ellipse(0, float(mouth.top.min()) - 0.05, 0.03, 0.05)), palette.shade, 0.3)


def _beard_shape(sketch: Sketch) -> Points:
    """The closed shape of a full beard, in head units: along the jaw and around the mouth."""
    outline = head_outline(sketch.identity, sketch.jaw)
    mouth = shape_mouth(sketch.identity, sketch.units)
    jawline = outline[(outline[:, 1] > 0.1)] * (1.01, 1.02)
    # The outline starts at the crown: sorted by angle, its lower part becomes one unbroken line.
    order = np.argsort(np.arctan2(jawline[:, 0], jawline[:, 1] - 0.1))
    jawline = jawline[order]
    width = sketch.identity.face_width
    half = float(mouth.x[-1])
    lip = float(mouth.top.min())
    upper = [
        (0.93 * width, 0.2), (0.8 * width, 0.42), (half + 0.09, 0.5), (0.13, lip - 0.075),
        (0.0, lip - 0.05), (-0.13, lip - 0.075), (-half - 0.09, 0.5), (-0.8 * width, 0.42),
        (-0.93 * width, 0.2),
    ]  # fmt: skip
    return np.concatenate([jawline, open_curve(upper)])


def draw_beard(sketch: Sketch) -> None:
    """Draw stubble, moustache or beard; lips are drawn over it later."""
    beard = sketch.identity.beard
    if beard == "none":
        return
    view, palette, mouth = sketch.view, sketch.palette, shape_mouth(sketch.identity, sketch.units)
    colour = mix(mix(palette.hair, palette.hair_dark, 0.2), palette.skin, 0.16)
    if beard in ("full", "stubble"):
        tone, opacity = (colour, 0.92) if beard == "full" else (palette.hair_dark, 0.2)
        sketch.canvas.fill(view.flat(_beard_shape(sketch), 0.12), tone, opacity)
    if beard == "goatee":
        y = float(mouth.bottom.max())
        bottom = 0.98 + sketch.jaw
        chin = [(-0.12, y + 0.03), (0.0, y + 0.015), (0.12, y + 0.03), (0.18, bottom - 0.1),
                (0.09, bottom), (-0.09, bottom), (-0.18, bottom - 0.1)]  # fmt: skip
        sketch.canvas.fill(view.face(closed_curve(chin)), colour, 0.96)
    if beard in ("moustache", "goatee", "full"):
        _draw_moustache(sketch, mouth, mix(colour, palette.hair_dark, 0.3))


def _draw_moustache(sketch: Sketch, mouth: Mouth, colour: RGB) -> None:
    y = sketch.identity.nose_length + 0.06
    lip = mouth.top + 0.012
    upper = y + 0.02 + (lip[[0, -1]].mean() + 0.05 - y) * np.abs(_ACROSS) ** 2.4
    shape = np.stack([mouth.x * 1.22, np.minimum(upper, lip)], axis=1)
    base = np.stack([mouth.x * 1.22, lip + 0.035 * np.abs(_ACROSS) ** 3], axis=1)
    sketch.canvas.fill(sketch.view.face(np.concatenate([shape, base[::-1]]), 0.05), colour, 0.96)
