"""Evaluation of a head whose answers are known."""

import json
import math

import numpy as np
import pytest
import torch

from fec_cache.errors import BadFeatures
from fec_cache.evaluation.people import RowLabels
from fec_cache.evaluation.report import DECISION_THRESHOLD, evaluate_head
from fec_cache.heads.base import PairHead
from fec_cache.heads.config import HeadConfig
from fec_cache.pairs.build import TripletTable
from fec_cache.testing.planted import planted_set


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
    # Never wrong on 600 triplets of 120 faces is not never wrong.
    assert found.overall.high == 1.0
    assert 0.7 < found.overall.low < 1.0


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


def constant_votes(table, votes):
    return TripletTable(table.rows, table.odd, table.types, votes)


def test_every_group_stands_beside_floor_and_ceiling():
    features, table = planted_set()
    found = evaluate_head(head_of(Distance), features, table)
    for group, kind in zip(found.groups[:3], range(3), strict=True):
        odd = table.odd[table.types == kind]
        assert group.floor == pytest.approx(max((odd == place).mean() for place in range(3)))
        assert group.ceiling > 0.99
        assert group.vote_agreement == 1.0
        assert group.vote_entropy == pytest.approx(0.0)
    assert found.macro.value == 1.0
    assert found.pairs.ceiling.num_distinct <= 3 * len(table)
    assert found.redrawn == "faces"
    assert found.num_redrawn == len(np.unique(table.rows))
    constant = evaluate_head(head_of(Constant), features, table)
    assert constant.overall.vote_log_loss == pytest.approx(math.log(3))
    assert constant.pairs.average_precision == pytest.approx(1 / 3)


def test_a_constant_head_gives_a_warning():
    features, table = planted_set()
    found = evaluate_head(head_of(Constant), features, table)
    assert "same answer to several pairs in 100% of the triplets" in found.warnings[0]
    assert evaluate_head(head_of(Distance), features, table).warnings == ()


def test_swapped_labels_give_a_warning():
    features, table = planted_set()
    swapped = TripletTable(table.rows, (table.odd + 1) % 3, table.types, table.votes)
    found = evaluate_head(head_of(Distance), features, swapped)
    assert found.overall.high < 1 / 3
    assert "swapped" in found.warnings[0]


def test_features_that_are_no_numbers_are_refused():
    features, table = planted_set()
    features[table.rows[:3, 0], 0] = np.nan
    num_bad = len(np.unique(table.rows[:3, 0]))
    with pytest.raises(BadFeatures, match=f"{num_bad} of .* not finite"):
        evaluate_head(head_of(Distance), features, table)
    features, table = planted_set()
    unused = np.concatenate([features, np.full((1, 12), np.nan, np.float32)])
    assert evaluate_head(head_of(Distance), unused, table).overall.accuracy == 1.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_head_whose_answers_are_no_numbers_is_refused(value):
    class Spoilt(PairHead):
        def compare(self, a, b):
            return torch.full((len(a),), value)

    with pytest.raises(BadFeatures, match="Train the head again"):
        evaluate_head(head_of(Spoilt), *planted_set())


def test_agreed_triplets_are_measured_apart():
    features, table = planted_set()
    votes = table.votes.copy()
    votes[::2] = np.eye(3, dtype=np.int64)[table.odd[::2]] * 3
    votes[::2] += np.eye(3, dtype=np.int64)[(table.odd[::2] + 1) % 3] * 2
    found = evaluate_head(
        head_of(Distance), features, constant_votes(table, votes), min_agreement=0.7
    )
    assert found.overall.num_triplets == len(table)
    assert found.agreed.num_triplets == len(table) // 2
    assert found.agreed.name == "agreement from 70%"
    assert found.overall.vote_agreement == pytest.approx(0.8)


def test_people_are_redrawn_where_they_are_known():
    features, table = planted_set()
    labels = RowLabels(np.arange(len(features)) // 6, np.full(len(features), -1), ())
    found = evaluate_head(head_of(Distance), features, table, labels=labels)
    assert (found.redrawn, found.num_redrawn) == ("people", 20)
    assert sum(group.num_triplets for group in found.identity.groups) <= len(table)
    assert json.loads(json.dumps(found.to_dict()))["identity"]["neighbours"]["precision"] == {
        "1": None,
        "5": None,
        "10": None,
    }


def test_no_triplets_at_all_are_figures_without_values():
    features, table = planted_set()
    found = evaluate_head(head_of(Distance), features, table.take(np.zeros(len(table), bool)))
    assert found.overall.num_triplets == 0
    assert math.isnan(found.overall.accuracy)
    assert "no triplets to measure" in found.warnings[0]
    json.dumps(found.to_dict(), allow_nan=False)


def test_few_triplets_have_no_interval():
    features, table = planted_set()
    found = evaluate_head(head_of(Distance), features, table.take(np.arange(20)))
    assert found.overall.is_too_few
    assert math.isnan(found.overall.low)
    assert found.warnings == ("20 triplets: too few to judge a head.",)


def test_a_handful_of_people_is_not_redrawn():
    features, table = planted_set()
    labels = RowLabels(np.arange(len(features)) % 7, np.full(len(features), -1), ())
    found = evaluate_head(head_of(Distance), features, table, labels=labels)
    assert found.redrawn == "faces (of 7 people only)"
    assert found.num_redrawn == len(np.unique(table.rows))
    assert found.identity is not None


def test_a_constant_probability_gives_a_warning():
    head, (features, table) = head_of(Distance), planted_set()
    head.calibration.copy_(torch.tensor([1e-9, -0.7]))
    found = evaluate_head(head, features, table)
    assert "gives the same P(similar) for every pair" in found.warnings[0]
