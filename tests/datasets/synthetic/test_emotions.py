from collections import Counter

import numpy as np
import pytest

from fec_cache.datasets.synthetic.emotions import (
    EMOTION_CLASSES,
    EMOTIONS,
    UNIT_NAMES,
    ActionUnits,
    vary,
)

PAPER_WORDS = (
    "amusement anger awe boredom concentration confusion contemplation contempt contentment "
    "desire disappointment disgust distress doubt ecstasy elation embarrassment fear interest "
    "love neutral pain pride realization relief sadness shame surprise sympathy triumph"
)


def test_words_are_those_of_the_paper():
    assert sorted(EMOTIONS) == PAPER_WORDS.split()
    assert all(emotion.word == word for word, emotion in EMOTIONS.items())


def test_twelve_classes_hold_all_words():
    sizes = Counter(emotion.emotion_class for emotion in EMOTIONS.values())
    assert tuple(sizes) == EMOTION_CLASSES
    assert len(EMOTION_CLASSES) == 12
    assert sizes["joy"] == 4
    assert sizes["anger"] == sizes["disgust"] == sizes["pain"] == 1


def test_intensities_are_fractions_in_the_order_of_the_names():
    points = np.stack([emotion.units.as_array() for emotion in EMOTIONS.values()])
    assert points.shape == (30, 13)
    assert points.min() == 0.0
    assert points.max() == 1.0
    jaw_drop_only = ActionUnits(jaw_drop=0.4).as_array()
    assert jaw_drop_only[UNIT_NAMES.index("jaw_drop")] == 0.4
    assert jaw_drop_only.sum() == 0.4


def test_every_unit_is_strong_in_some_word():
    points = np.stack([emotion.units.as_array() for emotion in EMOTIONS.values()])
    assert points.max(axis=0).min() >= 0.85


@pytest.mark.parametrize(
    ("word", "strong", "absent"),
    [
        ("amusement", ["lip_corner_pull", "cheek_raise"], ["brow_lower", "lip_corner_depress"]),
        ("anger", ["brow_lower", "lid_tighten"], ["inner_brow_raise", "lip_corner_pull"]),
        ("surprise", ["outer_brow_raise", "jaw_drop", "upper_lid_raise"], ["brow_lower"]),
        ("sadness", ["inner_brow_raise", "lip_corner_depress"], ["lip_corner_pull"]),
        ("disgust", ["nose_wrinkle"], ["outer_brow_raise"]),
        ("contempt", ["dimple"], ["lip_corner_pull"]),
    ],
)
def test_prototypes_follow_the_literature(word, strong, absent):
    units = EMOTIONS[word].units
    assert all(getattr(units, name) >= 0.7 for name in strong)
    assert all(getattr(units, name) == 0.0 for name in absent)


def test_neutral_is_the_origin_and_no_two_words_coincide():
    assert EMOTIONS["neutral"].units == ActionUnits()
    assert len({emotion.units for emotion in EMOTIONS.values()}) == 30


def test_varied_faces_stay_near_their_word():
    rng = np.random.default_rng(3)
    points = np.stack([emotion.units.as_array() for emotion in EMOTIONS.values()])
    hits = 0
    for number, emotion in enumerate(EMOTIONS.values()):
        for _ in range(20):
            varied = vary(emotion.units, rng).as_array()
            assert varied.min() >= 0.0
            assert varied.max() <= 1.0
            hits += int(np.linalg.norm(points - varied, axis=1).argmin() == number)
    # 600 faces: most, but not all, lie nearest to their own word.
    assert 480 < hits < 600


def test_varying_depends_on_the_generator_alone():
    units = EMOTIONS["fear"].units
    first, again, other = (vary(units, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_without_spread_only_the_intensity_varies():
    units = EMOTIONS["sadness"].units
    varied = vary(units, np.random.default_rng(0), spread=0.0)
    ratio = varied.lip_corner_depress / units.lip_corner_depress
    assert 0.6 <= ratio <= 1.1
    assert varied.inner_brow_raise == pytest.approx(min(1.0, ratio), abs=0.01)
    assert varied.jaw_drop == 0.0
