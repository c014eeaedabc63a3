"""Emotion words as points in the space of action units: where a synthetic set starts.

`raters` and `portrait` both use these points, so simulated raters judge exactly what is drawn.

Sources: action units and their numbers, P. Ekman & W. V. Friesen, "Facial Action Coding
System", 1978. Prototypes of the basic emotions, Ekman, Friesen & Hager, "FACS
Investigator's Guide", 2002, ch. 12; of the others, after D. T. Cordaro et al., "Universals
and cultural variations in 22 emotional expressions across five cultures", Emotion 18(1),
2018, rounded and exaggerated for drawing. The 30 words are those of Vemulapalli &
Agarwala, CVPR 2019, arXiv:1811.11283.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ActionUnits:
    """Intensity of each facial action unit, 0 (absent) to 1 (maximal).

    Attributes:
        inner_brow_raise: AU1.
        outer_brow_raise: AU2.
        brow_lower: AU4.
        upper_lid_raise: AU5.
        cheek_raise: AU6.
        lid_tighten: AU7.
        nose_wrinkle: AU9.
        lip_corner_pull: AU12.
        dimple: AU14, on one side of the mouth only, as in contempt.
        lip_corner_depress: AU15.
        lip_pucker: AU18.
        jaw_drop: AU26.
        eye_closure: AU43.
    """

    inner_brow_raise: float = 0.0
    outer_brow_raise: float = 0.0
    brow_lower: float = 0.0
    upper_lid_raise: float = 0.0
    cheek_raise: float = 0.0
    lid_tighten: float = 0.0
    nose_wrinkle: float = 0.0
    lip_corner_pull: float = 0.0
    dimple: float = 0.0
    lip_corner_depress: float = 0.0
    lip_pucker: float = 0.0
    jaw_drop: float = 0.0
    eye_closure: float = 0.0

    def as_array(self) -> NDArray[np.float64]:
        """The intensities in the order of `UNIT_NAMES`, [13] float64, 0..1."""
        return np.array(astuple(self), dtype=np.float64)


UNIT_NAMES: tuple[str, ...] = tuple(field.name for field in fields(ActionUnits))
"""The action units in the order of `ActionUnits.as_array`."""


@dataclass(frozen=True)
class Emotion:
    """An emotion word with its class and its prototype.

    Attributes:
        word: one of the 30 words.
        emotion_class: the group of neighbouring words it belongs to; a triplet's type
            counts these.
        units: the prototype at full intensity.
    """

    word: str
    emotion_class: str
    units: ActionUnits


# A text table in percent, one line per word: columns line up, so that a value is easy to check.
# Columns are UNIT_NAMES: AU1 2 4 5 6 7 9 12 14 15 18 26 43.
_TABLE = """
amusement      joy       0  10   0   0  90  30   0 100   0   0   0  50   0
ecstasy        joy      45  25   0   0  45   0   0  70   0   0   0  60  95
elation        joy      60  70   0  40  50   0   0 100   0   0   0  90   0
triumph        joy       0   0  60   0  70  50  30  80   0   0   0  85   0
contentment    warmth    0   0   0   0  30   0   0  60   0   0   0   0  55
desire         warmth    0   0   0   0   0  15   0  25   0   0  40  25  45
love           warmth   40  10   0   0  60   0   0  70   0   0   0   0  15
pride          warmth    0  30   0   0  10  10   0  60  30   0   0   0  25
relief         warmth   30  15   0   0  10   0   0  35   0   0  10  35  85
awe            surprise 85  65   0  55   0   0   0  15   0   0   0  60   0
interest       surprise 50  65   0  35  10   0   0  30   0   0   0   5   0
realization    surprise 55  95   0  55   0   0   0   0   0   0  15  35   0
surprise       surprise 95 100   0  95   0   0   0   0   0   0   0  95   0
fear           fear    100  50  50 100   0  20   0   0   0  45   0  50   0
distress       fear     95   0  60   0  20  30  20   0   0  75   0  60  15
anger          anger     0   0 100  55   0  70  35   0   0  40  10   0   0
disgust        disgust   0   0  55   0  30  50 100   0   0  50   0  20   0
contempt       contempt  0  25   0   0   0  15   0   0 100   0   0   0  20
doubt          contempt  0  60  45   0   0  45   0   0  45  40  30   0   0
disappointment sadness  35   0  20   0   0   0   0   0  10  65   0   0  35
sadness        sadness 100   0  40   0   0   0   0   0   0  95   0   0  25
sympathy       sadness  85   0  30   0  20   0   0  15   0  20   0   0   0
embarrassment  shame    25   0   0   0  25   0   0  40  45  25   0   0  55
shame          shame    35   0  15   0   0   0   0   0   0  60  15   0  75
pain           pain      0   0  95   0  70 100  75   0   0  45   0  20  85
concentration  thought   0   0  70   0   0  70   0   0   0   0  25   0   0
confusion      thought   0  50  75   0   0  40  10   0  10  15  45   0   0
contemplation  thought   0   0  40   0   0  15   0   0   0   0  85   0  20
boredom        calm      0   0   0   0   0   0   0   0   0  25   0   5  55
neutral        calm      0   0   0   0   0   0   0   0   0   0   0   0   0
"""


def _read_table(table: str) -> dict[str, Emotion]:
    emotions = {}
    for line in table.strip().splitlines():
        word, emotion_class, *percents = line.split()
        units = ActionUnits(*(int(percent) / 100 for percent in percents))
        emotions[word] = Emotion(word, emotion_class, units)
    return emotions


EMOTIONS: Mapping[str, Emotion] = MappingProxyType(_read_table(_TABLE))
"""The 30 emotions by word.

In the paper each word is its own class. Here related words share one of 12 classes, so that the
three faces of a one-class triplet still differ visibly.
"""

EMOTION_CLASSES: tuple[str, ...] = tuple(dict.fromkeys(e.emotion_class for e in EMOTIONS.values()))
"""The 12 emotion classes."""


def vary(units: ActionUnits, rng: np.random.Generator, spread: float = 0.07) -> ActionUnits:
    """One person's version of a prototype, with a random intensity and random deviations.

    Args:
        units: the prototype.
        rng: random source; 27 values are drawn.
        spread: standard deviation of each unit's deviation. A unit at rest in the prototype
            deviates half as much, and only upwards.

    Returns:
        The prototype times an intensity in 0.6..1.1, plus deviations, clipped to 0..1 and
        rounded to 3 digits, so that truth.csv holds exactly what is drawn.
    """
    prototype = units.as_array()
    # Both deviations are drawn for every unit: the number of draws does not depend on the word.
    noise = rng.normal(0.0, spread, prototype.size)
    at_rest = np.maximum(rng.normal(0.0, spread / 2, prototype.size), 0.0)
    varied = prototype * rng.uniform(0.6, 1.1) + np.where(prototype > 0, noise, at_rest)
    return ActionUnits(*(round(float(value), 3) for value in np.clip(varied, 0.0, 1.0)))
