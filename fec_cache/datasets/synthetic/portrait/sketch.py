"""What all parts of a drawn face share: `Sketch`, `Palette` and the head's outline."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fec_cache.datasets.synthetic.emotions import ActionUnits
from fec_cache.datasets.synthetic.portrait.canvas import (
    RGB,
    Canvas,
    Points,
    View,
    closed_curve,
    mix,
)
from fec_cache.datasets.synthetic.portrait.people import Identity, Scene

JAW_TRAVEL = 0.17
"""How far a fully dropped jaw (AU26 = 1) lowers the chin, in head units."""


@dataclass(frozen=True)
class Palette:
    """The colours of one person, derived from skin, hair and lips."""

    skin: RGB
    shade: RGB
    line: RGB
    light: RGB
    blush: RGB
    hair: RGB
    hair_dark: RGB
    hair_light: RGB
    lips: RGB
    lips_dark: RGB

    @classmethod
    def of(cls, identity: Identity) -> "Palette":
        """The colours of a person."""
        skin, hair = identity.skin, identity.hair
        # Less light and blush on dark skin: the same white looks like dust, the same red glows.
        return cls(
            skin=skin,
            shade=mix(skin, (110, 40, 50), 0.36),
            line=mix(skin, (64, 18, 22), 0.68),
            light=mix(skin, (255, 238, 214), 0.22 + 0.28 * skin[1] / 210),
            blush=mix(skin, (224, 70, 80), 0.42 * skin[1] / 210),
            hair=hair,
            hair_dark=mix(hair, (10, 6, 14), 0.45),
            hair_light=mix(hair, (255, 226, 190), 0.3),
            lips=identity.lips,
            lips_dark=mix(identity.lips, (90, 16, 36), 0.34),
        )


@dataclass(frozen=True)
class Sketch:
    """One face that is being drawn.

    Attributes:
        canvas: for sharp shapes; larger than the final picture.
        soft: for the skin's shading; smaller than the final picture, and blurred before use.
        view: position, size and turn of the head.
        identity, units, scene: the person, the expression, the conditions.
    """

    canvas: Canvas
    soft: Canvas
    view: View
    identity: Identity
    units: ActionUnits
    scene: Scene

    @cached_property
    def palette(self) -> Palette:
        """The person's colours."""
        return Palette.of(self.identity)

    @cached_property
    def jaw(self) -> float:
        """How far the jaw has fallen, in head units."""
        return JAW_TRAVEL * self.units.jaw_drop

    def px(self, length: float) -> float:
        """A length in head units as pixels of the picture."""
        return length * self.view.scale


def mirrored(points: Points) -> Points:
    """Points [n, 2] reflected about the middle of the face."""
    return points * (-1.0, 1.0)


def head_outline(identity: Identity, jaw: float = 0.0) -> Points:
    """The outline of the head without ears, [108, 2] in head units, clockwise from the crown.

    Args:
        identity: the person; widths and age shape the outline.
        jaw: how far the jaw has dropped, in head units.
    """
    width, jaw_width, chin = identity.face_width, identity.jaw_width, identity.chin_width
    jowl = 0.03 * identity.age
    right = [
        (0.56 * width, -0.93), (0.9 * width, -0.64), (width, -0.2), (0.99 * width, 0.12),
        (0.93 * width + jowl, 0.38 + 0.2 * jaw), (jaw_width + jowl, 0.66 + 0.5 * jaw),
        (0.5 * (jaw_width + chin), 0.86 + 0.8 * jaw), (chin, 0.985 + jaw),
    ]  # fmt: skip
    left = [(-x, y) for x, y in reversed(right)]
    return closed_curve(np.array([(0.0, -1.02), *right, (0.0, 1.015 + jaw), *left]))
