"""Metrics against hand-counted cases, slow loops and scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    log_loss,
    roc_auc_score,
)

from fec_cache.evaluation.measures.metrics import (
    constant_accuracy,
    odd_probabilities,
    pair_auc,
    pair_average_precision,
    pair_balanced_accuracy,
    pair_brier,
    rater_accuracy,
    vote_agreement,
    vote_log_losses,
)
from fec_cache.pairs.credit import triplet_credit

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


scores = arrays(np.float64, 24, elements=st.integers(0, 6).map(lambda n: n / 6))
truths = arrays(np.bool_, 24)


@given(scores, truths)
def test_pair_figures_equal_scikit_learns(probability, is_similar):
    """Ties included; with one kind of pair only, ranking figures are not defined."""
    assert pair_brier(probability, is_similar) == pytest.approx(
        np.mean((probability - is_similar) ** 2)
    )
    if is_similar.all() or not is_similar.any():
        assert math.isnan(pair_auc(probability, is_similar))
        assert math.isnan(pair_average_precision(probability, is_similar))
        assert math.isnan(pair_balanced_accuracy(probability > 0.5, is_similar))
        return
    assert pair_auc(probability, is_similar) == pytest.approx(
        roc_auc_score(is_similar, probability)
    )
    assert pair_average_precision(probability, is_similar) == pytest.approx(
        average_precision_score(is_similar, probability)
    )
    assert pair_balanced_accuracy(probability > 0.5, is_similar) == pytest.approx(
        balanced_accuracy_score(is_similar, probability > 0.5)
    )
    assert pair_brier(probability, is_similar) == pytest.approx(
        brier_score_loss(is_similar, probability)
    )


@given(scores, truths)
def test_auc_and_average_precision_equal_slow_loops(score, truth):
    if truth.all() or not truth.any():
        return
    above = [(a > b) + (a == b) / 2 for a in score[truth] for b in score[~truth]]
    assert pair_auc(score, truth) == pytest.approx(np.mean(above))
    precision, seen = 0.0, 0
    for level in sorted(set(score), reverse=True):
        called = score >= level
        found = int((called & truth).sum())
        precision += (found - seen) / truth.sum() * found / called.sum()
        seen = found
    assert pair_average_precision(score, truth) == pytest.approx(precision)


def test_pair_figures_by_hand():
    is_similar = np.array([True, False, True, False])
    assert pair_brier(np.array([0.9, 0.1, 0.6, 0.4]), is_similar) == pytest.approx(0.085)
    ranked = pair_average_precision(np.array([0.9, 0.8, 0.7, 0.1]), is_similar)
    assert ranked == pytest.approx((1 + 2 / 3) / 2)
    assert pair_average_precision(np.zeros(4), is_similar) == pytest.approx(0.5)
    assert math.isnan(pair_brier(np.empty(0), np.empty(0, bool)))


def test_vote_log_loss_by_hand_and_scikit_learn():
    probability = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    found = vote_log_losses(probability, np.array([[4, 2, 0], [0, 0, 3]]))
    assert found[0] == pytest.approx(-(4 * math.log(0.5) + 2 * math.log(0.3)) / 6)
    assert found[1] == pytest.approx(log_loss([2], probability[1:], labels=[0, 1, 2]))
    guess = vote_log_losses(np.full((1, 3), 1 / 3), np.array([[1, 5, 0]]))
    assert guess[0] == pytest.approx(math.log(3))
    assert math.isnan(vote_log_losses(np.full((1, 3), 1 / 3), np.zeros((1, 3), np.int64))[0])


@given(arrays(np.float64, (5, 3), elements=st.floats(-30, 30)))
def test_odd_probabilities_are_bayes_on_exactly_one_similar_pair(logits):
    chance = 1 / (1 + np.exp(-logits))
    for row, found in zip(chance, odd_probabilities(logits), strict=True):
        alone = [np.prod([row[k] if k == j else 1 - row[k] for k in range(3)]) for j in range(3)]
        assert found.sum() == pytest.approx(1)
        if sum(alone) > 1e-10:
            assert found == pytest.approx(np.array(alone) / sum(alone), abs=1e-4)


@given(arrays(np.float64, (6, 3), elements=st.integers(-1, 1).map(float)), vote_tables)
def test_vote_agreement_equals_asking_each_rater(similarity, votes):
    for row, cast, found in zip(similarity, votes, vote_agreement(similarity, votes), strict=True):
        named = [face for face in range(3) if row[face] == row.max()]
        if cast.sum():
            assert found == pytest.approx(sum(cast[f] for f in named) / len(named) / cast.sum())


def test_constant_accuracy_is_the_most_frequent_place():
    assert constant_accuracy(np.array([0, 2, 2, 1])) == 0.5
    assert math.isnan(constant_accuracy(np.empty(0, np.int64)))
