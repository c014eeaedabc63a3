"""Records of figures: masks by type, and their form for JSON."""

import json
import math

import numpy as np
import pytest

from fec_cache.evaluation.figures import Evaluation, GroupAccuracy, PairFigures, plain, type_masks


def test_masks_by_type_and_all_of_them_last():
    masks = type_masks(np.array([2, 0, 2, 1]))
    assert {name: np.flatnonzero(mask).tolist() for name, mask in masks.items()} == {
        "one-class": [1],
        "two-class": [3],
        "three-class": [0, 2],
        "all": [0, 1, 2, 3],
    }
    assert list(masks)[-1] == "all"


@pytest.mark.parametrize(
    ("num_triplets", "low", "is_too_few"),
    [(40, 0.4, False), (20, math.nan, True), (0, math.nan, False)],
)
def test_too_few_means_a_figure_without_an_interval(num_triplets, low, is_too_few):
    assert GroupAccuracy("all", num_triplets, 0.5, low, 0.6, 0.9).is_too_few is is_too_few


def test_plain_values_are_those_of_json():
    assert plain({1: (math.nan, 0.5, -math.inf), "a": {"b": [math.inf, 2, "x", None, True]}}) == {
        "1": [None, 0.5, None],
        "a": {"b": [None, 2, "x", None, True]},
    }


def test_an_evaluation_as_json_has_the_figures_and_no_arrays():
    groups = tuple(
        GroupAccuracy(name, 2, 0.5, math.nan, math.nan, 0.9) for name in ("one-class", "all")
    )
    pairs = PairFigures(6, 1 / 3, 2 / 3, 0.7, 0.6, 0.65, 0.8, 1)
    zeros = np.zeros((2, 3), np.float32)
    found = Evaluation(groups, pairs, 1 / 3, 1 / 3, zeros, zeros)
    assert found.overall is groups[1]
    fields = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert list(fields["triplets"]) == ["one-class", "all"]
    assert fields["triplets"]["all"]["low"] is None
    assert fields["pairs"]["auc"] == 0.8
    assert fields["pairs"]["brier"] is None
    assert fields["intervals"] == {"confidence": 0.95, "redrawn": "faces", "num_redrawn": 0}
    assert not {"similarity", "probability", "units"} & set(fields)
