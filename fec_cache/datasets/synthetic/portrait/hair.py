"""Hair, ears, clothes and glasses: what surrounds a drawn face and must not matter."""

from dataclasses import dataclass

import numpy as np

from fec_cache.datasets.synthetic.portrait.canvas import (
    RGB,
    Points,
    closed_curve,
    ellipse,
    mix,
    open_curve,
)
from fec_cache.datasets.synthetic.portrait.people import HairStyle
from fec_cache.datasets.synthetic.portrait.sketch import Sketch

Corners = tuple[tuple[float, float], ...]

# Hairlines from the picture's left ear to the right one; x in face widths, y in head units.
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
    """A hair style: hairline, volume over the skull, and how far it hangs behind.

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
    palette = sketch.palette
    if sketch.identity.hair_style == "scarf":
        red, green, blue = sketch.identity.clothes
        cloth = mix((blue, red, green), (240, 236, 230), 0.15)
        return cloth, mix(cloth, (20, 20, 50), 0.35), mix(cloth, (255, 255, 255), 0.4)
    return palette.hair, palette.hair_dark, palette.hair_light


def _skull(width: float, cut: _Cut) -> Points:
    """Give the hair's outer edge from the left ear over the crown to the right ear."""
    side = width + cut.sides
    # Long hair goes on downwards; short hair ends in front of the ear.
    end = (side * 0.985, 0.1) if cut.hang else (width * 1.005, 0.06)
    edge = [
        (-end[0], end[1]), (-side * 1.02, -0.25), (-side * 0.95, -0.6 - cut.top * 0.3),
        (-side * 0.6, -0.93 - cut.top * 0.85), (0.0, -1.03 - cut.top),
        (side * 0.6, -0.93 - cut.top * 0.85), (side * 0.95, -0.6 - cut.top * 0.3),
        (side * 1.02, -0.25), end,
    ]  # fmt: skip
    return open_curve(edge)


def draw_hair_behind(sketch: Sketch) -> None:
    """Draw the hair that lies behind the head, and the bun."""
    cut = _CUTS.get(sketch.identity.hair_style)
    if cut is None:
        return
    colour, dark, _ = _colours(sketch)
    width, view, canvas = sketch.identity.face_width, sketch.view, sketch.canvas
    if sketch.identity.hair_style == "bun":
        canvas.fill(view.flat(ellipse(0, -1.2, 0.33, 0.27), -0.2), dark)
        canvas.fill(view.flat(ellipse(-0.03, -1.22, 0.28, 0.22), -0.2), colour)
    skull = view.flat(_skull(width, cut), -0.1)
    # A turned head must not show the background between its hairline and its hair.
    canvas.fill(skull, mix(colour, dark, 0.4))
    if not cut.hang:
        return
    end = cut.flare * width
    lower = [(end * 0.99, 0.45 * cut.hang), (end, cut.hang * 0.85), (end * 0.6, cut.hang)]
    fall = open_curve([(width + cut.sides, 0.1), *lower])
    shape = np.concatenate([_skull(width, cut), fall, (fall * (-1, 1))[::-1]])
    canvas.fill(view.flat(shape, -0.15), mix(colour, dark, 0.55))
    if cut.curls:
        _draw_curls(sketch, fall, cut.curls, mix(colour, dark, 0.5))
        _draw_curls(sketch, fall * (-1, 1), cut.curls, mix(colour, dark, 0.5))


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
    if identity.is_parted_left:
        line, skull = (line * (-1, 1))[::-1], (skull * (-1, 1))[::-1]
    # The hairline leaves the front of the head where it meets the ears.
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
    """Draw round locks along the hairline, and a second tone inside the hair."""
    for number, (x, y) in enumerate(line[6:-6:4]):
        size = radius * (0.7, 0.58, 0.78)[number % 3]
        sketch.canvas.fill(sketch.view.face(ellipse(x, y - 0.05, size, size)), colour)
        inner = ellipse(x * 1.05, y - 0.2, size, size * 0.9)
        sketch.canvas.fill(sketch.view.face(inner), sketch.palette.hair_light, 0.12)


def _draw_strands(sketch: Sketch, front: Points, back: Points, dark: RGB, light: RGB) -> None:
    for share, colour, opacity in ((0.12, dark, 0.55), (0.5, light, 0.5), (0.36, dark, 0.25),
                                   (0.66, dark, 0.3), (0.85, dark, 0.25)):  # fmt: skip
        strand = (front + (back - front) * share)[5:-5]
        width = sketch.px(0.05 if colour is light else 0.022)
        sketch.canvas.stroke(strand, width, colour, opacity)


def draw_ears(sketch: Sketch) -> None:
    """Draw the ears, unless hair or a scarf hides them."""
    identity, view, canvas, palette = sketch.identity, sketch.view, sketch.canvas, sketch.palette
    if identity.hair_style in ("scarf", "bob", "fringe"):
        return
    for side in (-1, 1):
        x = side * (identity.face_width + 0.015)
        ear = closed_curve([
            (x - side * 0.06, -0.13), (x + side * 0.075, -0.14), (x + side * 0.105, 0.02),
            (x + side * 0.055, 0.2), (x - side * 0.03, 0.29), (x - side * 0.08, 0.1),
        ])  # fmt: skip
        canvas.fill(view.flat(ear, -0.1), mix(palette.skin, palette.shade, 0.3))
        inner = open_curve(
            [(x, -0.07), (x + side * 0.06, -0.05), (x + side * 0.05, 0.08), (x, 0.16)]
        )
        canvas.stroke(view.flat(inner, -0.1), sketch.px(0.035), palette.shade, 0.9)
        if identity.has_lashes and identity.hair_style in ("bun", "afro", "side"):
            pearl = ellipse(x + side * 0.01, 0.31, 0.035, 0.035)
            canvas.fill(view.flat(pearl, -0.1), (240, 214, 150))


def draw_glasses(sketch: Sketch) -> None:
    """Draw round or square glasses in front of the eyes."""
    identity, view, canvas = sketch.identity, sketch.view, sketch.canvas
    if identity.glasses == "none":
        return
    frame = (38, 32, 40) if identity.glasses == "square" else (140, 96, 50)
    round_lens = ellipse(0.0, 0.0, 0.235, 0.215)
    corners = [(-0.24, -0.15), (0, -0.17), (0.24, -0.15), (0.225, 0.12), (0, 0.17), (-0.225, 0.12)]
    lens = round_lens if identity.glasses == "round" else closed_curve(corners)
    for side in (-1, 1):
        rim = lens * (side, 1) + (side * (identity.eye_spacing + 0.01), 0.01)
        placed = view.face(np.concatenate([rim, rim[:1]]), 0.12)
        canvas.fill(placed, (255, 255, 255), 0.07)
        canvas.stroke(placed, sketch.px(0.032), frame, is_tapered=False)
        x = side * identity.face_width
        temple = np.array([(side * (identity.eye_spacing + 0.24), -0.05), (x, -0.06)])
        canvas.stroke(view.face(temple, 0.02), sketch.px(0.035), frame, is_tapered=False)
    inner = identity.eye_spacing - 0.22
    bridge = open_curve([(-inner, -0.03), (0, -0.06), (inner, -0.03)])
    canvas.stroke(view.face(bridge, 0.14), sketch.px(0.032), frame, is_tapered=False)


def draw_body(sketch: Sketch) -> None:
    """Draw neck, shoulders and collar; they do not turn with the head."""
    identity, view, canvas, palette = sketch.identity, sketch.view, sketch.canvas, sketch.palette
    neck = 0.4 if identity.jaw_width > 0.53 else 0.34
    shape = open_curve([
        (-neck * 0.98, 0.4), (-neck, 0.95), (-neck * 1.15, 1.2), (-0.75, 1.4), (0.75, 1.4),
        (neck * 1.15, 1.2), (neck, 0.95), (neck * 0.98, 0.4),
    ])  # fmt: skip
    canvas.fill(view.body(shape), mix(palette.skin, palette.shade, 0.25))
    shadow = [(-neck, 0.5), (-neck, 1.0), (0.0, 1.24 + sketch.jaw), (neck, 1.0), (neck, 0.5)]
    canvas.fill(view.body(open_curve(shadow)), palette.shade, 0.8)
    _draw_clothes(sketch, neck)


def _draw_clothes(sketch: Sketch, neck: float) -> None:
    view, canvas, identity = sketch.view, sketch.canvas, sketch.identity
    cloth = identity.clothes
    dark = mix(cloth, (16, 16, 40), 0.35)
    collar = "roll" if identity.hair_style == "scarf" else identity.collar
    depth = {"crew": 1.36, "vee": 1.6, "shirt": 1.5, "roll": 1.16}[collar]
    base = neck * 1.12
    opening = [(-base, 1.17), (-base * 0.6, (depth + 1.17) / 2 + 0.03), (0.0, depth)]
    if collar == "vee":
        opening[1] = (-base * 0.55, 1.36)
    half = opening + [(-x, y) for x, y in reversed(opening[:-1])]
    curve = np.array(half) if collar in ("vee", "shirt") else open_curve(half)
    right = open_curve([(base, 1.17), (0.85, 1.33), (1.25, 1.5), (1.45, 1.9), (1.5, 3.2)])
    left = (right * (-1, 1))[::-1]
    canvas.fill(view.body(np.concatenate([left, curve, right])), cloth)
    canvas.stroke(view.body(curve), sketch.px(0.05), dark, 0.8, is_tapered=False)
    for side in (-1, 1):
        sleeve = open_curve([(side * 0.95, 1.75), (side * 1.0, 2.1), (side * 0.98, 2.6)])
        canvas.stroke(view.body(sleeve), sketch.px(0.04), dark, 0.6)
    if collar == "shirt":
        _draw_shirt_collar(sketch, base, dark)


def _draw_shirt_collar(sketch: Sketch, base: float, dark: RGB) -> None:
    white = mix(sketch.identity.clothes, (255, 255, 255), 0.55)
    for side in (-1, 1):
        flap = np.array(
            [(side * base, 1.1), (0.0, 1.5), (side * 0.3, 1.68), (side * base * 1.25, 1.28)]
        )
        sketch.canvas.fill(sketch.view.body(flap), white)
        sketch.canvas.stroke(
            sketch.view.body(flap[1:]), sketch.px(0.02), dark, 0.5, is_tapered=False
        )
