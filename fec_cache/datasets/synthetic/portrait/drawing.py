"""Identity, action units and scene -> a drawn picture.

Pillow's home is `faces/`, which loads and crops pictures. It is used here too because these
modules only draw; none of them opens a picture.

A picture is painted from back to front: background, hair behind the head, body, head with soft
shading, features, hair in front. Then it is reduced to its final size and lit as a whole.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from fec_cache.datasets.boxes import Box
from fec_cache.datasets.synthetic.emotions import ActionUnits
from fec_cache.datasets.synthetic.portrait.body import draw_body, draw_ears, draw_glasses
from fec_cache.datasets.synthetic.portrait.canvas import Canvas, Points, View, ellipse, mix
from fec_cache.datasets.synthetic.portrait.eyes import draw_brows, draw_eyes, shade_eyes
from fec_cache.datasets.synthetic.portrait.hair import draw_hair_behind, draw_hair_front
from fec_cache.datasets.synthetic.portrait.mouth import (
    draw_beard,
    draw_folds,
    draw_mouth,
    draw_nose,
    shade_lower_face,
)
from fec_cache.datasets.synthetic.portrait.people import Identity, Scene
from fec_cache.datasets.synthetic.portrait.sketch import JAW_TRAVEL, Sketch, head_outline

# Pillow's ImageDraw has no antialiasing: shapes are drawn larger and reduced at the end.
_OVERSAMPLE = 3
# The skin's shading is painted at a fraction of the picture's size, since it is blurred anyway.
_SOFT = 0.5


@dataclass(frozen=True)
class Person:
    """One person in a picture.

    Attributes:
        identity, units, scene: the person, the expression, the conditions.
        place: position of the head across the picture, 0 (left) to 1 (right).
    """

    identity: Identity
    units: ActionUnits
    scene: Scene
    place: float = 0.5


def _view(person: Person, width: int, height: int) -> View:
    scene = person.scene
    # A head off the centre gets less room: it stays in the picture and clear of a neighbour.
    room = 2 * width * min(person.place, 1 - person.place)
    scale = min(0.3 * height, 0.31 * room) * scene.zoom
    x = person.place * width + scene.shift_x * scale
    y = 0.49 * height + scene.shift_y * scale
    return View(x, y, scale, scene.yaw, scene.pitch, scene.roll)


def face_box(person: Person, width: int, height: int) -> Box:
    """The tight box of a face: from the upper forehead to the chin, cheek to cheek.

    Args:
        person: the person in the picture.
        width: width of the picture, in pixels.
        height: height of the picture, in pixels.

    Returns:
        Left, right, top, bottom as fractions of the picture: FEC's order.
    """
    outline = head_outline(person.identity, JAW_TRAVEL * person.units.jaw_drop)
    placed = _view(person, width, height).flat(outline[outline[:, 1] > -0.8])
    left, top = placed.min(axis=0) / (width, height)
    right, bottom = placed.max(axis=0) / (width, height)
    return float(left), float(right), float(top), float(bottom)


def draw_portrait(
    identity: Identity, units: ActionUnits, scene: Scene, width: int = 240, height: int = 240
) -> Image.Image:
    """Draw one person with one expression in one scene.

    Args:
        identity: the person.
        units: the expression.
        scene: pose, gaze, light and background.
        width: width of the picture, in pixels.
        height: height of the picture, in pixels.

    Returns:
        An RGB picture; the same arguments give the same pixels.
    """
    return draw_people([Person(identity, units, scene)], width, height)


def draw_people(people: Sequence[Person], width: int, height: int) -> Image.Image:
    """Draw people in front of one background, lit by the scene of the first person.

    Args:
        people: from back to front, at least one.
        width: width of the picture, in pixels.
        height: height of the picture, in pixels.

    Returns:
        An RGB picture; the same arguments give the same pixels.
    """
    scene = people[0].scene
    canvas = Canvas(_backdrop(scene, width, height), _OVERSAMPLE)
    for person in people:
        size = (round(width * _SOFT), round(height * _SOFT))
        soft = Canvas(Image.new("RGB", size, person.identity.skin), _SOFT)
        view = _view(person, width, height)
        lit = replace(
            person.scene, light_angle=scene.light_angle, light_strength=scene.light_strength
        )
        _draw_person(Sketch(canvas, soft, view, person.identity, person.units, lit))
    return _light(canvas.image.reduce(_OVERSAMPLE), scene)


def _draw_person(sketch: Sketch) -> None:
    draw_hair_behind(sketch)
    draw_body(sketch)
    draw_ears(sketch)
    _draw_head(sketch)
    draw_folds(sketch)
    draw_beard(sketch)
    draw_nose(sketch)
    draw_mouth(sketch)
    draw_eyes(sketch)
    draw_brows(sketch)
    draw_hair_front(sketch)
    draw_glasses(sketch)


def _backdrop(scene: Scene, width: int, height: int) -> Image.Image:
    """A blurred background of a few large shapes, at the oversampled size."""
    rng = np.random.default_rng(scene.backdrop_seed)
    small = Image.new("RGB", (48, 48), scene.backdrop)
    draw = ImageDraw.Draw(small, "RGBA")
    for _ in range(5):
        x, y, size = rng.uniform(-8, 56), rng.uniform(-8, 56), rng.uniform(6, 22)
        shade = mix(scene.backdrop_accent, (255, 255, 255), float(rng.uniform(0, 0.5)))
        box = (x - size, y - size, x + size, y + size)
        opacity = int(rng.integers(60, 190))
        if rng.uniform() < 0.6:
            draw.ellipse(box, fill=(*shade, opacity))
        else:
            draw.rectangle(box, fill=(*shade, opacity))
    blurred = small.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.8, 3.0))))
    return blurred.resize((width * _OVERSAMPLE, height * _OVERSAMPLE), Image.Resampling.BILINEAR)


def _draw_head(sketch: Sketch) -> None:
    """Paint the skin softly at a small size, then cut the head's sharp outline from it."""
    outline = sketch.view.flat(head_outline(sketch.identity, sketch.jaw))
    _shade_rim(sketch)
    shade_lower_face(sketch)
    shade_eyes(sketch)
    radius = max(1.0, 0.045 * sketch.view.scale * _SOFT)
    soft = sketch.soft.image.filter(ImageFilter.GaussianBlur(radius))
    image, factor = sketch.canvas.image, sketch.canvas.factor
    left, top = (int(side) for side in outline.min(axis=0) * factor)
    right, bottom = (math.ceil(side) for side in outline.max(axis=0) * factor)
    size = (right - left, bottom - top)
    mask = Image.new("L", size)
    corners: list[float] = (outline * factor - (left, top)).ravel().tolist()
    ImageDraw.Draw(mask).polygon(corners, fill=255)
    shrink = _SOFT / factor
    part = (left * shrink, top * shrink, right * shrink, bottom * shrink)
    image.paste(soft.resize(size, Image.Resampling.BILINEAR, box=part), (left, top), mask)


def _shade_rim(sketch: Sketch) -> None:
    """Darken the side of the head that faces away from the light; shape forehead and jaw."""
    soft, view, palette, identity = sketch.soft, sketch.view, sketch.palette, sketch.identity
    strength, angle = sketch.scene.light_strength, sketch.scene.light_angle
    outline = head_outline(identity, sketch.jaw)
    toward = np.array([math.cos(angle), -0.5 * math.sin(angle)])
    # The outline, shrunk and moved towards the light, leaves a crescent uncovered: the shadow.
    for reach, opacity in ((0.05, 0.35), (0.16, 0.55 * strength)):
        lit = outline * (1 - reach * 0.6) + toward * reach
        _fill_between(sketch, outline, lit, opacity)
    soft.fill(view.face(ellipse(0.0, -0.42, 0.36, 0.16)), palette.light, 0.4)
    for side in (-1, 1):
        temple = ellipse(side * identity.face_width * 0.93, -0.28, 0.08, 0.22)
        soft.fill(view.flat(temple), palette.shade, 0.25)
    if identity.has_freckles:
        # Fixed positions instead of random ones: a person has the same freckles in every picture.
        for number in range(26):
            x, y = 0.5 * math.sin(number * 2.4), 0.2 + 0.1 * math.cos(number * 1.7)
            sketch.soft.fill(view.face(ellipse(x, y, 0.016, 0.016)), palette.line, 0.6)


def _fill_between(sketch: Sketch, outer: Points, inner: Points, opacity: float) -> None:
    ring = np.concatenate([outer, outer[:1], inner[:1], inner[::-1]])
    sketch.soft.fill(sketch.view.flat(ring), sketch.palette.shade, opacity)


def _light(image: Image.Image, scene: Scene) -> Image.Image:
    """Light the finished picture from one side, in the light's colour."""
    # A smooth gradient needs few samples: 6 x 6, enlarged.
    y, x = np.mgrid[-1:1:6j, -1:1:6j]
    slope = x * math.cos(scene.light_angle) - y * math.sin(scene.light_angle)
    level = 128 + 26 * scene.exposure + 34 * scene.light_strength * slope
    tint = scene.warmth * np.array([14.0, 2.0, -16.0])
    small = np.clip(level[..., None] + tint, 0, 255).astype(np.uint8)
    overlay = Image.fromarray(small).resize(image.size, Image.Resampling.BILINEAR)
    return ImageChops.soft_light(image, overlay)
