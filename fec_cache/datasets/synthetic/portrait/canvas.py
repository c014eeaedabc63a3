"""Drawing tools of the synthetic faces: smooth curves, projection of a head, filled shapes.

Used only inside `portrait/`. A head is drawn in head units: x to the picture's right, y down,
the eyes at y = 0, the crown at -1, the chin at +1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Points = NDArray[np.float64]
"""Points [n, 2] float64, or one coordinate of a curve, [n] float64."""
RGB = tuple[int, int, int]
"""A colour, each channel 0..255."""

# Half axes of the ellipsoid that carries the facial features. It is wider than the head, so that
# the features of a turned face stay on its surface.
_HALF_WIDTH, _HALF_HEIGHT, _DEPTH = 0.9, 1.3, 0.7


def mix(first: RGB, second: RGB, share: float) -> RGB:
    """The colour that lies `share` (0..1) of the way from `first` to `second`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


@lru_cache(maxsize=64)
def _spline(count: int, is_closed: bool, steps: int) -> Points:
    """Catmull-Rom weights [samples, count]: multiplied by its corners, they give a smooth curve.

    Source: E. Catmull & R. Rom, "A class of local interpolating splines", 1974.
    """
    # Cached: the many curves of a portrait have few different numbers of corners.
    last = count if is_closed else count - 1
    weights = np.zeros((last * steps + (not is_closed), count))
    for sample in range(weights.shape[0]):
        start, t = divmod(sample / steps, 1.0)
        corners = (np.arange(-1, 3) + int(start)) % count
        if not is_closed:
            corners = np.clip(np.arange(-1, 3) + int(start), 0, count - 1)
        # add.at, because `corners` repeats an index at the ends, where `+=` would count it once.
        cubic = (
            (-t + 2 * t**2 - t**3) / 2,
            (2 - 5 * t**2 + 3 * t**3) / 2,
            (t + 4 * t**2 - 3 * t**3) / 2,
            (t**3 - t**2) / 2,
        )
        np.add.at(weights[sample], corners, cubic)
    return weights


def closed_curve(corners: Sequence[tuple[float, float]] | Points, steps: int = 6) -> Points:
    """A smooth closed curve through n corners, `steps` points per corner: [n * steps, 2]."""
    return _spline(len(corners), True, steps) @ np.asarray(corners, dtype=np.float64)


def open_curve(corners: Sequence[tuple[float, float]] | Points, steps: int = 6) -> Points:
    """A smooth open curve from the first to the last of n corners: [(n - 1) * steps + 1, 2]."""
    return _spline(len(corners), False, steps) @ np.asarray(corners, dtype=np.float64)


def ellipse(x: float, y: float, half_width: float, half_height: float) -> Points:
    """24 points of an ellipse, [24, 2], starting at its right end."""
    return _CIRCLE * (half_width, half_height) + (x, y)


_ANGLES = np.linspace(0, 2 * np.pi, 24, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


@lru_cache(maxsize=32)
def _taper(count: int) -> Points:
    """Width of a tapered line at each of its points, [count, 1], 0..1: thin at both ends."""
    return np.sin(np.linspace(0.12, np.pi - 0.12, count))[:, None]


@dataclass(frozen=True)
class View:
    """Position, size and turn of a head in the picture.

    Attributes:
        x, y: the head's centre, in pixels of the picture.
        scale: pixels per head unit.
        yaw, pitch, roll: radians; positive yaw looks to the picture's right, positive pitch down,
            positive roll tilts clockwise.
    """

    x: float
    y: float
    scale: float
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0

    @cached_property
    def _turn(self) -> Points:
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        return np.array([[cos, sin], [-sin, cos]]) * self.scale

    def face(self, points: Points, lift: float | Points = 0.0) -> Points:
        """Project points on the front of the head, `lift` above its surface, to pixels [n, 2]."""
        inside = 1 - (points[:, 0] / _HALF_WIDTH) ** 2 - (points[:, 1] / _HALF_HEIGHT) ** 2
        return self._project(points, _DEPTH * np.sqrt(np.maximum(inside, 0.0)) + lift)

    def flat(self, points: Points, depth: float = 0.0) -> Points:
        """Project points of the head's silhouette to pixels [n, 2]."""
        # The jaw is nearer to the camera than the skull.
        return self._project(points, depth + 0.3 * np.maximum(points[:, 1], 0.0))

    def body(self, points: Points) -> Points:
        """Scale and shift points that do not turn with the head, to pixels [n, 2]."""
        return points * self.scale + (self.x, self.y)

    def _project(self, points: Points, depth: Points) -> Points:
        x = points[:, 0] * np.cos(self.yaw) + depth * np.sin(self.yaw)
        y = points[:, 1] * np.cos(self.pitch) + depth * np.sin(self.pitch)
        # Rolls about the top of the neck, 0.9 below the centre, to keep the chin over the collar.
        turned = np.stack([x, y - 0.9], axis=1) @ self._turn
        neck = np.array([self.x, self.y + 0.9 * self.scale])
        return np.asarray(turned + neck, dtype=np.float64)


class Canvas:
    """An image that shapes are drawn on, larger or smaller than the final picture."""

    def __init__(self, image: Image.Image, factor: float) -> None:
        """Draw on `image`, where one pixel of the final picture is `factor` pixels."""
        self.image = image
        self.factor = factor
        # Pillow blends only if the drawing mode is RGBA: in mode RGB, fill ignores the opacity.
        self._draw = ImageDraw.Draw(image, "RGBA")

    def fill(self, points: Points, colour: RGB, opacity: float = 1.0) -> None:
        """Fill a closed shape [n, 2], in pixels of the picture; opacity 0..1."""
        if opacity > 0.01:
            flat: list[float] = (points * self.factor).ravel().tolist()
            self._draw.polygon(flat, fill=(*colour, min(255, round(opacity * 255))))

    def stroke(
        self,
        points: Points,
        width: float,
        colour: RGB,
        opacity: float = 1.0,
        is_tapered: bool = True,
    ) -> None:
        """Draw a line [n, 2] of a width in pixels of the picture, thin at its ends if tapered."""
        # Filled as a polygon, since Pillow's line takes one width, in whole pixels.
        along = np.empty_like(points)
        along[1:-1] = points[2:] - points[:-2]
        along[0], along[-1] = points[1] - points[0], points[-1] - points[-2]
        across = np.stack([-along[:, 1], along[:, 0]], axis=1)
        length = np.sqrt((across**2).sum(axis=1, keepdims=True)) + 1e-9
        across *= width / 2 / length
        if is_tapered:
            across *= _taper(len(points))
        self.fill(np.concatenate([points + across, (points - across)[::-1]]), colour, opacity)
