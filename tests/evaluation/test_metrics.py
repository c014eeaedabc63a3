"""Metrics against hand-counted cases, slow loops and scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score

from fec_cache.evaluation.metrics import (
    bootstrap_interval,
    majority_agreement,
    pair_auc,
    pair_balanced_accuracy,
    rater_accuracy,
    triplet_credit,
)

similarities = arrays(np.float64, (7, 3), elements=st.integers(-2, 2).map(float))
odds = arrays(np.int64, 7, elements=st.integers(0, 2))
vote_tables = arrays(np.int64, (6, 3), elements=st.integers(0, 6))


def test_credit_by_hand():
    similarity = np.array([[0.9, 0.1, 0.2], [0.9, 0.1, 0.2], [0.5, 0.5, 0.1], [1.0, 1.0, 1.0]])
    odd = np.array([0, 1, 1, 2])
    np.testing.assert_allclose(triplet_credit(similarity, odd), [1, 0, 1 / 2, 1 / 3])


@given(similarities, odds)
def test_credit_equals_a_slow_loop(similarity, odd):
    for row, credit in enumerate(triplet_credit(similarity, odd)):
        winners = [j for j in range(3) if similarity[row, j] == max(similarity[row])]
        assert credit == pytest.approx((odd[row] in winners) / len(winners))


@given(odds)
def test_constant_head_scores_exactly_chance(odd):
    assert triplet_credit(np.ones((7, 3)), odd).mean() == pytest.approx(1 / 3)


def test_credit_without_ties_is_scikit_learns_accuracy():
    rng = np.random.default_rng(0)
    similarity, odd = rng.normal(size=(500, 3)), rng.integers(0, 3, 500)
    wanted = accuracy_score(odd, similarity.argmax(1))
    assert triplet_credit(similarity, odd).mean() == pytest.approx(wanted)


def test_no_triplets_no_credit():
    assert triplet_credit(np.empty((0, 3)), np.empty(0, np.int64)).shape == (0,)


@settings(max_examples=200)
@given(vote_tables)
def test_rater_accuracy_equals_leaving_each_rater_out(votes):
    credits = []
    for row in votes:
        answers = [face for face in range(3) for _ in range(row[face])]
        if len(answers) < 2:
            continue
        for left_out, answer in enumerate(answers):
            others = answers[:left_out] + answers[left_out + 1 :]
            counts = [others.count(face) for face in range(3)]
            top = [face for face in range(3) if counts[face] == max(counts)]
            credits.append((answer in top) / len(top))
    if credits:
        assert rater_accuracy(votes) == pytest.approx(np.mean(credits))
    else:
        assert math.isnan(rater_accuracy(votes))


def test_rater_accuracy_by_hand():
    assert rater_accuracy(np.array([[6, 0, 0]])) == 1.0
    # Five agree and one does not: the five face 4 against 1, the one faces 5 against 0.
    assert rater_accuracy(np.array([[5, 1, 0]])) == pytest.approx(5 / 6)
    assert math.isnan(rater_accuracy(np.array([[1, 0, 0]])))


def test_majority_agreement_by_hand():
    assert majority_agreement(np.array([[5, 1, 0], [0, 3, 3]])) == pytest.approx(8 / 12)


def test_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for draw in range(200):
        low, high = bootstrap_interval((rng.random(300) < 0.6).astype(float), 300, draw)
        hits += low <= 0.6 <= high
    assert 0.90 <= hits / 200 <= 0.99


def test_interval_is_near_the_normal_one_and_repeats():
    credit = (np.random.default_rng(2).random(2000) < 0.5).astype(float)
    low, high = bootstrap_interval(credit)
    half = 1.96 * math.sqrt(0.25 / 2000)
    assert (low, high) == pytest.approx((credit.mean() - half, credit.mean() + half), abs=0.003)
    assert (low, high) == bootstrap_interval(credit)
    assert all(map(math.isnan, bootstrap_interval(np.empty(0))))


def test_auc_by_hand_and_undefined():
    is_similar = np.array([True, False, True, False])
    assert pair_auc(np.array([0.9, 0.8, 0.7, 0.1]), is_similar) == pytest.approx(0.75)
    assert pair_auc(np.array([1.0, 1.0, 1.0, 1.0]), is_similar) == 0.5
    assert math.isnan(pair_auc(np.array([0.5, 0.4]), np.array([True, True])))


def test_balanced_accuracy_of_a_constant_is_one_half():
    is_similar = np.array([True, False, False])
    assert pair_balanced_accuracy(np.zeros(3, bool), is_similar) == 0.5
    assert pair_balanced_accuracy(is_similar, is_similar) == 1.0
    assert math.isnan(pair_balanced_accuracy(np.ones(2, bool), np.ones(2, bool)))
