"""Random people and scenes: the confounders of the synthetic faces.

Identity and scene are drawn independently of the expression and vary more than it does, so a
method that compares people, hair or backgrounds does badly on the synthetic set.
"""

import colorsys
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fec_cache.datasets.synthetic.portrait.canvas import RGB

HairStyle = Literal[
    "bald", "receding", "crop", "quiff", "side", "curly", "afro",
    "fringe", "bob", "long", "wavy", "bun", "scarf",
]  # fmt: skip
Beard = Literal["none", "stubble", "moustache", "goatee", "full"]
Glasses = Literal["none", "round", "square"]
Collar = Literal["crew", "vee", "shirt", "roll"]

_SKINS: tuple[RGB, ...] = (
    (250, 218, 196), (244, 205, 178), (236, 190, 158), (226, 178, 142), (214, 162, 122),
    (198, 142, 102), (176, 120, 82), (150, 98, 66), (122, 78, 54), (98, 62, 44),
)  # fmt: skip
_HAIR: tuple[RGB, ...] = (
    (32, 26, 28), (48, 34, 30), (70, 46, 34), (98, 62, 40), (128, 82, 48),
    (166, 112, 62), (206, 160, 98), (226, 190, 130), (158, 70, 38), (184, 92, 50),
)  # fmt: skip
_GREYS: tuple[RGB, ...] = ((126, 124, 126), (172, 172, 174), (214, 212, 210))
_VIVID: tuple[RGB, ...] = ((60, 120, 150), (176, 70, 110), (112, 84, 150))
_IRISES: tuple[RGB, ...] = (
    (74, 46, 30), (92, 58, 34), (60, 40, 32), (86, 110, 70), (78, 120, 150), (112, 130, 140),
)  # fmt: skip
_SHORT: tuple[HairStyle, ...] = ("crop", "quiff", "side", "curly", "afro", "receding", "bald")
_LONG: tuple[HairStyle, ...] = (
    "fringe", "bob", "long", "wavy", "bun", "afro", "curly", "scarf", "side",
)  # fmt: skip
# Repeated entries are weights: "none" is drawn more often than each other value.
_BEARDS: tuple[Beard, ...] = ("none", "none", "none", "stubble", "moustache", "goatee", "full")
_GLASSES: tuple[Glasses, ...] = ("none", "none", "none", "none", "round", "square")
_COLLARS: tuple[Collar, ...] = ("crew", "vee", "shirt", "roll")


@dataclass(frozen=True)
class Identity:
    """One person. Lengths are in head units (half the head's height).

    Attributes:
        skin, hair, iris, lips, clothes: colours.
        hair_style, beard, glasses, collar: what the person wears.
        is_mirrored: whether the hair is mirrored and the dimple (AU14) on the picture's left.
        has_lashes: whether the person has long lashes and, with some hair styles, earrings.
        face_width, jaw_width, chin_width: half widths.
        eye_spacing, eye_size, eye_tilt: half the distance between the eyes, their half width,
            and how much the outer corner is raised.
        brow_height, brow_thickness: distance from the eye, thickness.
        nose_width, nose_length: half width at the wings, length below the eyes.
        mouth_width, lip_fullness: half width, thickness of the lower lip.
        age: 0 (twenty years) to 1 (eighty).
        has_freckles: whether nose and cheeks have freckles.
    """

    skin: RGB
    hair: RGB
    iris: RGB
    lips: RGB
    clothes: RGB
    hair_style: HairStyle = "crop"
    beard: Beard = "none"
    glasses: Glasses = "none"
    collar: Collar = "crew"
    is_mirrored: bool = False
    has_lashes: bool = False
    face_width: float = 0.72
    jaw_width: float = 0.54
    chin_width: float = 0.2
    eye_spacing: float = 0.31
    eye_size: float = 0.18
    eye_tilt: float = 0.01
    brow_height: float = 0.22
    brow_thickness: float = 0.05
    nose_width: float = 0.15
    nose_length: float = 0.36
    mouth_width: float = 0.25
    lip_fullness: float = 0.065
    age: float = 0.2
    has_freckles: bool = False


@dataclass(frozen=True)
class Scene:
    """Conditions under which one picture of a person is taken.

    Attributes:
        yaw, pitch, roll: turn of the head in radians, see `View`.
        zoom: size of the head relative to the default.
        shift_x, shift_y: offset of the head from its default position, in head units.
        gaze: direction of the eyes, -1 (picture's left) to 1 (right).
        light_angle: direction the light comes from, in radians: 0 is the picture's right, pi / 2
            above.
        light_strength: 0 (flat) to 1 (hard).
        warmth: -1 (blue light) to 1 (golden light).
        exposure: -1 (dark) to 1 (bright).
        backdrop, backdrop_accent: colours of the background.
        backdrop_seed: seed of the background's shapes.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    zoom: float = 1.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    gaze: float = 0.0
    light_angle: float = 2.2
    light_strength: float = 0.4
    warmth: float = 0.2
    exposure: float = 0.0
    backdrop: RGB = (206, 220, 226)
    backdrop_accent: RGB = (236, 214, 190)
    backdrop_seed: int = 0


def _hue(
    rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]
) -> RGB:
    channels = colorsys.hsv_to_rgb(rng.uniform(), rng.uniform(*saturation), rng.uniform(*value))
    red, green, blue = (round(255 * channel) for channel in channels)
    return red, green, blue


def _lip_colour(skin: RGB, is_painted: bool, rng: np.random.Generator) -> RGB:
    depth = 0.6 if is_painted else rng.uniform(0.22, 0.38)
    paint = (186, 48, 66) if is_painted else (176, 66, 70)
    red, green, blue = (round(s + (p - s) * depth) for s, p in zip(skin, paint, strict=True))
    return red, green, blue


def _hair_colour(skin_tone: int, age: float, rng: np.random.Generator) -> RGB:
    """Grey ever more often with age, rarely dyed; one of the three darkest on dark skin."""
    if rng.uniform() < (age - 0.45) * 2:
        return _GREYS[rng.integers(len(_GREYS))]
    if rng.uniform() < 0.05:
        return _VIVID[rng.integers(len(_VIVID))]
    return _HAIR[rng.integers(3 if skin_tone > 5 else len(_HAIR))]


def random_identity(rng: np.random.Generator) -> Identity:
    """A random person; skin, age, hair and proportions vary over their whole range."""
    # Every value below comes from one random stream: the order of these lines is part of the
    # format. Reordering them changes every person of every seed.
    is_soft = bool(rng.uniform() < 0.5)
    skin_tone = int(rng.integers(len(_SKINS)))
    skin = _SKINS[skin_tone]
    age = float(rng.beta(1.3, 1.9))
    styles = _LONG if is_soft else _SHORT
    return Identity(
        skin=skin,
        hair=_hair_colour(skin_tone, age, rng),
        iris=_IRISES[rng.integers(3 if skin_tone > 5 else len(_IRISES))],
        lips=_lip_colour(skin, is_soft and bool(rng.uniform() < 0.35), rng),
        clothes=_hue(rng, (0.25, 0.7), (0.3, 0.9)),
        hair_style=styles[rng.integers(len(styles))],
        beard="none" if is_soft else _BEARDS[rng.integers(len(_BEARDS))],
        glasses=_GLASSES[rng.integers(len(_GLASSES))],
        collar=_COLLARS[rng.integers(len(_COLLARS))],
        is_mirrored=bool(rng.uniform() < 0.5),
        has_lashes=is_soft,
        face_width=rng.uniform(0.66, 0.75),
        jaw_width=rng.uniform(0.46, 0.54) if is_soft else rng.uniform(0.52, 0.62),
        chin_width=rng.uniform(0.13, 0.2) if is_soft else rng.uniform(0.18, 0.28),
        eye_spacing=rng.uniform(0.29, 0.33),
        eye_size=rng.uniform(0.165, 0.19) + 0.01 * is_soft,
        eye_tilt=rng.uniform(-0.015, 0.035),
        brow_height=rng.uniform(0.2, 0.24) + 0.01 * is_soft,
        brow_thickness=rng.uniform(0.03, 0.05) if is_soft else rng.uniform(0.048, 0.075),
        nose_width=rng.uniform(0.12, 0.165) + 0.02 * (not is_soft),
        nose_length=rng.uniform(0.31, 0.39),
        mouth_width=rng.uniform(0.22, 0.275),
        lip_fullness=rng.uniform(0.05, 0.09) + 0.01 * is_soft,
        age=age,
        has_freckles=bool(skin_tone < 4 and rng.uniform() < 0.2),
    )


def random_scene(rng: np.random.Generator) -> Scene:
    """Random pose, gaze, light and background of one picture; independent of the person."""
    # As above, the order of the lines decides which value of the stream goes where.
    return Scene(
        yaw=float(np.clip(rng.normal(0, 0.15), -0.34, 0.34)),
        pitch=float(np.clip(rng.normal(0, 0.07), -0.16, 0.16)),
        roll=float(np.clip(rng.normal(0, 0.08), -0.2, 0.2)),
        zoom=rng.uniform(0.86, 1.08),
        shift_x=rng.uniform(-0.16, 0.16),
        shift_y=rng.uniform(-0.08, 0.12),
        gaze=float(np.clip(rng.normal(0, 0.3), -0.8, 0.8)),
        light_angle=rng.uniform(0.15, np.pi - 0.15),
        light_strength=rng.uniform(0.15, 0.9),
        warmth=rng.uniform(-0.7, 1.0),
        exposure=rng.uniform(-0.7, 0.6),
        backdrop=_hue(rng, (0.08, 0.5), (0.5, 0.95)),
        backdrop_accent=_hue(rng, (0.08, 0.5), (0.4, 1.0)),
        backdrop_seed=int(rng.integers(2**31)),
    )
