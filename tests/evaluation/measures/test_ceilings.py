"""Ceilings against planted truth and an exhaustive search."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from fec_cache.evaluation.measures.ceilings import pair_ceiling, triplet_ceilings
from fec_cache.pairs.build import PAIRS_OF_TRIPLET, TripletTable


def table_of(rows, odd):
    rows, odd = np.asarray(rows, np.int64), np.asarray(odd, np.int64)
    votes = np.eye(3, dtype=np.int64)[odd]
    return TripletTable(rows, odd, np.zeros(len(rows), np.int64), votes)


@settings(deadline=None, max_examples=20)
@given(
    st.lists(st.permutations(range(4)).map(lambda p: p[:3]), min_size=1, max_size=6),
    st.data(),
)
def test_no_function_of_two_faces_beats_the_ceiling(rows, data):
    """All 64 ways to answer the six pairs of four faces, tried one by one."""
    odd = data.draw(st.lists(st.integers(0, 2), min_size=len(rows), max_size=len(rows)))
    table = table_of(rows, odd)
    pairs = [
        (frozenset((row[i], row[j])), place == o)
        for row, o in zip(rows, odd, strict=True)
        for place, (i, j) in enumerate(PAIRS_OF_TRIPLET)
    ]
    distinct = sorted({pair for pair, _ in pairs}, key=sorted)
    truth = [said for _, said in pairs]
    accuracies, balanced = [], []
    for answers in itertools.product([False, True], repeat=len(distinct)):
        said = [dict(zip(distinct, answers, strict=True))[pair] for pair, _ in pairs]
        accuracies.append(np.mean(np.array(said) == truth))
        balanced.append(balanced_accuracy_score(truth, said))
    found = pair_ceiling(table)
    assert found.accuracy == pytest.approx(max(accuracies))
    assert found.balanced_accuracy == pytest.approx(max(balanced))
    seen = {pair: {said for other, said in pairs if other == pair} for pair in distinct}
    assert found.num_contradicting == sum(len(labels) == 2 for labels in seen.values())
    assert found.num_distinct == len(distinct)


def test_ceiling_by_hand():
    """Faces 0 and 1 are similar once and different once; everything else occurs once."""
    found = pair_ceiling(table_of([[0, 1, 2], [0, 1, 3]], [2, 0]))
    assert (found.num_distinct, found.num_repeated, found.num_contradicting) == (5, 1, 1)
    assert found.accuracy == pytest.approx(5 / 6)
    scores, truth = [0, 0, 0.5, 1, 0, 0.5], [0, 0, 1, 1, 0, 0]
    assert found.auc == pytest.approx(roc_auc_score(truth, scores))
    assert found.brier == pytest.approx((0.25 + 0.25) / 6)
    empty = pair_ceiling(table_of(np.empty((0, 3)), []))
    assert empty.num_distinct == 0
    assert math.isnan(empty.auc)


@pytest.mark.parametrize("concentration", [0.15, 0.6, 3.0])
def test_triplet_ceiling_is_the_oracles_accuracy(concentration):
    rng = np.random.default_rng(4)
    shares = rng.dirichlet([concentration] * 3, 6000)
    votes = np.stack([rng.multinomial(6, share) for share in shares])
    top = np.sort(votes, axis=1)
    kept = top[:, 2] > top[:, 1]
    shares, votes = shares[kept], votes[kept]
    oracle = (shares.argmax(axis=1) == votes.argmax(axis=1)).mean()
    found = triplet_ceilings(votes, [np.ones(len(votes), bool)])[0]
    assert found == pytest.approx(oracle, abs=0.015)


def test_too_few_voted_triplets_have_no_ceiling():
    one_rater = np.eye(3, dtype=np.int64)[np.zeros(100, np.int64)]
    none = np.zeros(100, bool)
    assert all(map(math.isnan, triplet_ceilings(one_rater, [~none, none])))
    agreed = triplet_ceilings(6 * one_rater, [~none])[0]
    assert agreed > 0.99


vote_tables = arrays(np.int64, (40, 3), elements=st.integers(0, 6))


@settings(deadline=None, max_examples=25)
@given(vote_tables)
def test_triplet_ceiling_is_a_share_between_a_guess_and_one(votes):
    top = np.sort(votes, axis=1)
    votes = votes[top[:, 2] > top[:, 1]]
    found = triplet_ceilings(votes, [np.ones(len(votes), bool)])[0]
    assert math.isnan(found) or 1 / 3 <= found <= 1.0
