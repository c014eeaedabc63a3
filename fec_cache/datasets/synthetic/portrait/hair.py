"""Hair and scarf of a drawn face: they carry no expression."""

from dataclasses import dataclass

import numpy as np

from fec_cache.datasets.synthetic.portrait.canvas import (
    RGB,
    Points,
    ellipse,
    mix,
    open_curve,
)
from fec_cache.datasets.synthetic.portrait.people import HairStyle
from fec_cache.datasets.synthetic.portrait.sketch import Sketch, mirrored

Corners = tuple[tuple[float, float], ...]

# Hairlines from the ear on the picture's left to the other ear; x in face widths, y in head units.
_SHORT_LINE: Corners = (
    (-1.0, 0.02), (-0.93, -0.3), (-0.84, -0.5), (-0.5, -0.61), (0.0, -0.64),
    (0.5, -0.61), (0.84, -0.5), (0.93, -0.3), (1.0, 0.02),
)  # fmt: skip
_SIDE_LINE: Corners = (
    (-1.0, 0.02), (-0.93, -0.3), (-0.82, -0.56), (-0.48, -0.77), (-0.1, -0.66),
    (0.35, -0.56), (0.72, -0.5), (0.93, -0.3), (1.0, 0.02),
)  # fmt: skip
_CURTAIN_LINE: Corners = (
    (-1.0, 0.2), (-0.95, -0.1), (-0.84, -0.4), (-0.45, -0.66), (0.0, -0.83),
    (0.45, -0.66), (0.84, -0.4), (0.95, -0.1), (1.0, 0.2),
)  # fmt: skip
_FRINGE_LINE: Corners = (
    (-1.0, 0.2), (-0.95, -0.1), (-0.86, -0.34), (-0.5, -0.41), (0.0, -0.43),
    (0.5, -0.41), (0.86, -0.34), (0.95, -0.1), (1.0, 0.2),
)  # fmt: skip
_RECEDING_LINE: Corners = (
    (-1.0, 0.02), (-0.95, -0.3), (-0.82, -0.62), (-0.52, -0.86), (0.0, -0.8),
    (0.52, -0.86), (0.82, -0.62), (0.95, -0.3), (1.0, 0.02),
)  # fmt: skip


@dataclass(frozen=True)
class _Cut:
    """Shape of a hair style.

    Attributes:
        line: the hairline.
        top, sides: volume above and beside the skull, in head units.
        hang: y of the lower end of the hair behind the head; 0 for none.
        flare: half width of that end, in face widths.
        curls: radius of the curls along the edge; 0 for none.
    """

    line: Corners
    top: float = 0.1
    sides: float = 0.05
    hang: float = 0.0
    flare: float = 1.1
    curls: float = 0.0


# "bald" has no entry: nothing is drawn.
_CUTS: dict[HairStyle, _Cut] = {
    "receding": _Cut(_RECEDING_LINE, top=0.03, sides=0.03),
    "crop": _Cut(_SHORT_LINE, top=0.07, sides=0.03),
    "quiff": _Cut(_SHORT_LINE, top=0.16, sides=0.04),
    "side": _Cut(_SIDE_LINE, top=0.15, sides=0.06),
    "curly": _Cut(_SHORT_LINE, top=0.15, sides=0.1, hang=0.15, flare=1.12, curls=0.15),
    "afro": _Cut(_SHORT_LINE, top=0.3, sides=0.3, hang=0.35, flare=1.38, curls=0.17),
    "fringe": _Cut(_FRINGE_LINE, top=0.13, sides=0.12, hang=1.15, flare=1.3),
    "bob": _Cut(_FRINGE_LINE, top=0.14, sides=0.16, hang=0.72, flare=1.32),
    "long": _Cut(_CURTAIN_LINE, top=0.12, sides=0.12, hang=1.5, flare=1.4),
    "wavy": _Cut(_CURTAIN_LINE, top=0.16, sides=0.2, hang=1.3, flare=1.5, curls=0.14),
    "bun": _Cut(_CURTAIN_LINE, top=0.07, sides=0.03),
    "scarf": _Cut(_CURTAIN_LINE, top=0.12, sides=0.13, hang=1.4, flare=1.3),
}


def _colours(sketch: Sketch) -> tuple[RGB, RGB, RGB]:
    """Base, dark and light colour of the hair, or of the scarf that covers it."""
    palette = sketch.palette
    if sketch.identity.hair_style == "scarf":
        red, green, blue = sketch.identity.clothes
        cloth = mix((blue, red, green), (240, 236, 230), 0.15)
        return cloth, mix(cloth, (20, 20, 50), 0.35), mix(cloth, (255, 255, 255), 0.4)
    return palette.hair, palette.hair_dark, palette.hair_light


def _skull(width: float, cut: _Cut) -> Points:
    """The hair's outer edge from the left ear over the crown to the right ear, [49, 2]."""
    side = width + cut.sides
    # Long hair continues downwards (see `draw_hair_behind`); short hair ends at the ear.
    end = (side * 0.985, 0.1) if cut.hang else (width * 1.005, 0.06)
    edge = [
        (-end[0], end[1]), (-side * 1.02, -0.25), (-side * 0.95, -0.6 - cut.top * 0.3),
        (-side * 0.6, -0.93 - cut.top * 0.85), (0.0, -1.03 - cut.top),
        (side * 0.6, -0.93 - cut.top * 0.85), (side * 0.95, -0.6 - cut.top * 0.3),
        (side * 1.02, -0.25), end,
    ]  # fmt: skip
    return open_curve(edge)


def draw_hair_behind(sketch: Sketch) -> None:
    """Draw the hair behind the head, and the bun."""
    cut = _CUTS.get(sketch.identity.hair_style)
    if cut is None:
        return
    colour, dark, _ = _colours(sketch)
    width, view, canvas = sketch.identity.face_width, sketch.view, sketch.canvas
    if sketch.identity.hair_style == "bun":
        canvas.fill(view.flat(ellipse(0, -1.2, 0.33, 0.27), -0.2), dark)
        canvas.fill(view.flat(ellipse(-0.03, -1.22, 0.28, 0.22), -0.2), colour)
    skull = view.flat(_skull(width, cut), -0.1)
    # Filled whole: otherwise a turned head shows background between its hairline and its hair.
    canvas.fill(skull, mix(colour, dark, 0.4))
    if not cut.hang:
        return
    end = cut.flare * width
    lower = [(end * 0.99, 0.45 * cut.hang), (end, cut.hang * 0.85), (end * 0.6, cut.hang)]
    fall = open_curve([(width + cut.sides, 0.1), *lower])
    shape = np.concatenate([_skull(width, cut), fall, mirrored(fall)[::-1]])
    canvas.fill(view.flat(shape, -0.15), mix(colour, dark, 0.55))
    if cut.curls:
        _draw_curls(sketch, fall, cut.curls, mix(colour, dark, 0.5))
        _draw_curls(sketch, mirrored(fall), cut.curls, mix(colour, dark, 0.5))


def _draw_curls(sketch: Sketch, edge: Points, radius: float, colour: RGB) -> None:
    for number, (x, y) in enumerate(edge[::3]):
        size = radius * (1.0, 0.82, 1.1, 0.9)[number % 4]
        sketch.canvas.fill(sketch.view.flat(ellipse(x, y, size, size), -0.05), colour)


def draw_hair_front(sketch: Sketch) -> None:
    """Draw the hair from the hairline over the crown, with strands and shine."""
    identity, view, canvas = sketch.identity, sketch.view, sketch.canvas
    cut = _CUTS.get(identity.hair_style)
    if cut is None:
        return
    colour, dark, light = _colours(sketch)
    line = open_curve(np.array(cut.line) * (identity.face_width, 1.0))
    skull = _skull(identity.face_width, cut)
    if identity.hair_style == "quiff":
        skull = skull + np.exp(-((skull[:, :1] + 0.25) ** 2) / 0.1) * (0.0, -0.08)
    if identity.is_mirrored:
        line, skull = mirrored(line)[::-1], mirrored(skull)[::-1]
    # Towards the ears the hairline leaves the front of the head and runs back along its side.
    sides = np.abs(line[:, 0] / identity.face_width) ** 4
    front, back = view.face(line, -0.3 * sides), view.flat(skull, -0.05)
    if cut.curls:
        _draw_curls(sketch, skull, cut.curls, colour)
    if cut.hang and not cut.curls:
        _draw_side_locks(sketch, cut, colour, dark)
    canvas.fill(np.concatenate([back, front[::-1]]), colour)
    if cut.curls:
        _draw_locks(sketch, line, cut.curls, mix(colour, dark, 0.12))
    elif cut.line is _FRINGE_LINE:
        _draw_fan(sketch, front, dark, light)
    else:
        _draw_strands(sketch, front, back, dark, light)


def _draw_side_locks(sketch: Sketch, cut: _Cut, colour: RGB, dark: RGB) -> None:
    """Draw the hair that falls from the temples in front of the ears."""
    width, hang = sketch.identity.face_width, cut.hang
    end = cut.flare * width
    inner = [(0.93 * width, -0.2), (0.95 * width, 0.2), (0.96 * width, 0.5 * hang),
             (0.8 * end, 0.93 * hang)]  # fmt: skip
    outer = [(0.99 * end, 0.8 * hang), (0.99 * end, 0.45 * hang), (width + cut.sides, 0.1),
             (width + cut.sides, -0.3)]  # fmt: skip
    shape = np.concatenate([open_curve(inner), open_curve(outer)])
    middle = open_curve((np.array(inner) + np.array(outer[::-1])) / 2)
    for side in (-1, 1):
        sketch.canvas.fill(sketch.view.flat(shape * (side, 1), 0.05), colour)
        for share in (0.985, 1.07):
            strand = sketch.view.flat(middle * (side * share, 1), 0.05)
            sketch.canvas.stroke(strand, sketch.px(0.022), dark, 0.35)


def _draw_fan(sketch: Sketch, front: Points, dark: RGB, light: RGB) -> None:
    """Draw strands from the crown down to a straight fringe."""
    crown = sketch.view.flat(np.array([(0.0, -1.1)]), 0.1)
    for number, at in enumerate(range(8, len(front) - 8, 3)):
        end = front[at]
        bend = crown[0] * 0.4 + end * 0.6 + (end - crown[0]) * (0.22, -0.06)
        strand = open_curve(np.array([crown[0] * 0.75 + end * 0.25, bend, end]), 4)
        colour, opacity = (light, 0.4) if number % 3 == 1 else (dark, 0.35)
        sketch.canvas.stroke(strand, sketch.px(0.03), colour, opacity)
    sketch.canvas.stroke(front[8:-8], sketch.px(0.03), dark, 0.35)


def _draw_locks(sketch: Sketch, line: Points, radius: float, colour: RGB) -> None:
    """Draw round locks along the hairline, and a lighter tone inside the hair."""
    for number, (x, y) in enumerate(line[6:-6:4]):
        size = radius * (0.7, 0.58, 0.78)[number % 3]
        sketch.canvas.fill(sketch.view.face(ellipse(x, y - 0.05, size, size)), colour)
        inner = ellipse(x * 1.05, y - 0.2, size, size * 0.9)
        sketch.canvas.fill(sketch.view.face(inner), sketch.palette.hair_light, 0.12)


def _draw_strands(sketch: Sketch, front: Points, back: Points, dark: RGB, light: RGB) -> None:
    """Draw strands between the hairline and the hair's outer edge, and the shine."""
    for share, colour, opacity in ((0.12, dark, 0.55), (0.5, light, 0.5), (0.36, dark, 0.25),
                                   (0.66, dark, 0.3), (0.85, dark, 0.25)):  # fmt: skip
        strand = (front + (back - front) * share)[5:-5]
        width = sketch.px(0.05 if colour is light else 0.022)
        sketch.canvas.stroke(strand, width, colour, opacity)
