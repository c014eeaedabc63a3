"""Evaluation of a head whose answers are known."""

import json
import math

import numpy as np
import pytest
import torch

from fec_cache.config import HeadConfig
from fec_cache.evaluation.report import DECISION_THRESHOLD, evaluate_head
from fec_cache.heads.model import PairHead
from fec_cache.pairs.build import TripletTable
from tests.heads.planted import planted_set


class Distance(PairHead):
    """Similarity is minus the distance of the first feature: the planted truth itself."""

    def compare(self, a, b):
        return 1.0 - (a[:, 0] - b[:, 0]).abs()


class Constant(PairHead):
    def compare(self, a, b):
        return torch.zeros(len(a))


def head_of(kind):
    return kind(HeadConfig(prepare="none"), 12)


def test_the_truth_scores_one_in_every_group():
    features, table = planted_set()
    found = evaluate_head(head_of(Distance), features, table)
    assert [group.accuracy for group in found.groups] == [1.0] * 4
    assert [group.name for group in found.groups] == [
        "one-class",
        "two-class",
        "three-class",
        "all",
    ]
    counts = [int((table.types == kind).sum()) for kind in range(3)]
    assert [group.num_triplets for group in found.groups] == [*counts, len(table)]
    assert found.overall.rater_accuracy == 1.0
    assert (found.overall.low, found.overall.high) == (1.0, 1.0)


def test_a_constant_head_scores_chance_and_its_pairs_say_nothing():
    features, table = planted_set()
    found = evaluate_head(head_of(Constant), features, table)
    assert found.overall.accuracy == pytest.approx(1 / 3)
    assert found.pairs.auc == 0.5
    assert found.pairs.balanced_accuracy == 0.5
    assert found.pairs.base_rate == pytest.approx(1 / 3)
    assert found.pairs.accuracy_uncalibrated == pytest.approx(2 / 3)


def test_swapped_labels_score_below_chance():
    features, table = planted_set()
    swapped = TripletTable(table.rows, (table.odd + 1) % 3, table.types, table.votes)
    assert evaluate_head(head_of(Distance), features, swapped).overall.accuracy == 0.0


def test_pair_figures_equal_plain_counts():
    features, table = planted_set(30, 50)
    found = evaluate_head(head_of(Distance), features, table)
    similar, called, right = 0, [], 0
    for rows, odd in zip(table.rows, table.odd, strict=True):
        for face in range(3):
            i, j = (rows[k] for k in range(3) if k != face)
            logit = 1.0 - abs(features[i, 0] - features[j, 0])
            similar += face == odd
            right += (1 / (1 + math.exp(-logit)) >= 0.5) == (face == odd)
            called.append((1 / (1 + math.exp(-logit)) >= DECISION_THRESHOLD, face == odd))
    assert found.pairs.num_pairs == 150
    assert found.pairs.accuracy == pytest.approx(right / 150)
    recalls = [np.mean([c == kind for c, s in called if s == kind]) for kind in (True, False)]
    assert found.pairs.balanced_accuracy == pytest.approx(np.mean(recalls))


def test_empty_groups_are_none_in_json():
    features, table = planted_set()
    only = table.take(table.types == 1)
    fields = json.loads(json.dumps(evaluate_head(head_of(Distance), features, only).to_dict()))
    assert fields["triplets"]["one-class"]["accuracy"] is None
    assert fields["triplets"]["one-class"]["num_triplets"] == 0
    assert fields["triplets"]["two-class"]["accuracy"] == 1.0
