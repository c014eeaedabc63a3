"""Neck, clothes, ears and glasses of a drawn face: they carry no expression."""

import numpy as np

from fec_cache.datasets.synthetic.portrait.canvas import (
    RGB,
    closed_curve,
    ellipse,
    mix,
    open_curve,
)
from fec_cache.datasets.synthetic.portrait.sketch import Sketch, mirrored


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
    """Draw round or square glasses; without them, nothing."""
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
    """Draw neck and clothes, which do not turn with the head."""
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
    """Draw shoulders, sleeves and collar; `neck` is the neck's half width in head units."""
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
    # Corners stay sharp here: a spline would round the point of a vee.
    curve = np.array(half) if collar in ("vee", "shirt") else open_curve(half)
    right = open_curve([(base, 1.17), (0.85, 1.33), (1.25, 1.5), (1.45, 1.9), (1.5, 3.2)])
    left = mirrored(right)[::-1]
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
