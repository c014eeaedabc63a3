"""How a verdict is worded, for people and for machines."""

import dataclasses

import pytest

from fec_cache.judge.verdict import JudgedFace, Verdict

FACES = (JudgedFace("a", (0.0, 1.0, 0.0, 1.0)), JudgedFace("b", (0.0, 0.5, 0.0, 1.0)))
VERDICT = Verdict(FACES, 0.5, 1 / 3, "run", "toy:avgpool")


@pytest.mark.parametrize(
    ("probability", "expected"),
    [
        (0.71234, "similar (P(similar) = 0.712; similar from 0.333"),
        (0.33329, "different (P(similar) = 0.33329; similar from 0.33333"),
        (0.3334, "similar (P(similar) = 0.3334; similar from 0.3333"),
        (1 / 3, "similar (P(similar) = 0.333333333; similar from 0.333333333"),
    ],
)
def test_figures_near_the_threshold_have_digits_enough(probability, expected):
    verdict = dataclasses.replace(VERDICT, probability=probability)
    assert verdict.in_words().startswith(expected)
    assert verdict.word == expected.split(" ")[0]


def test_machines_get_the_faces_and_the_rule():
    assert VERDICT.to_dict() == {
        "verdict": "similar",
        "probability_similar": 0.5,
        "threshold": 1 / 3,
        "pictures": ["a", "b"],
        "boxes": [[0.0, 1.0, 0.0, 1.0], [0.0, 0.5, 0.0, 1.0]],
        "run": "run",
        "features": "toy:avgpool",
        "warnings": [],
    }
