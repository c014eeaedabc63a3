"""Every figure of an evaluation against plain loops and scikit-learn, on inputs made by hypothesis:
a dozen faces, similarities full of ties, any votes, types and people of which some are missing."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics

from fec_cache.evaluation.figures import GROUP_NAMES
from fec_cache.evaluation.measures.ceilings import pair_ceiling
from fec_cache.evaluation.measures.neighbours import RANKS
from fec_cache.evaluation.nearest import nearest_figures
from fec_cache.evaluation.people import RowLabels
from fec_cache.evaluation.report import evaluate_head
from fec_cache.heads.base import PairHead
from fec_cache.heads.config import HeadConfig
from fec_cache.pairs.build import PAIRS_OF_TRIPLET, TripletTable

NUM_FACES = 9
FEATURES = np.arange(NUM_FACES, dtype=np.float32)[:, None]
QUICK = settings(deadline=None, max_examples=30)


class Known(PairHead):
    """Says of each pair what a table says."""

    def compare(self, a, b):
        return self.table[a[:, 0].long(), b[:, 0].long()]


def head_saying(table):
    head = Known(HeadConfig(prepare="none"), 1)
    head.table = torch.tensor(table, dtype=torch.float32)
    return head.eval()


def tied_similarities(seed, size=NUM_FACES):
    """[size, size], symmetric, of few distinct values."""
    table = np.random.default_rng(seed).integers(-2, 3, (size, size)).astype(float)
    return np.triu(table) + np.triu(table, 1).T


similarity_tables = st.integers(0, 2**32 - 1).map(tied_similarities)


@st.composite
def triplet_tables(draw):
    """2 to 12 triplets with a majority each; types may be missing."""
    rows, votes, types = [], [], []
    for _ in range(draw(st.integers(2, 12))):
        rows.append(draw(st.permutations(range(NUM_FACES)))[:3])
        odd = draw(st.integers(0, 2))
        counts = [draw(st.integers(0, 2)) for _ in range(3)]
        counts[odd] = 3
        votes.append(counts)
        types.append(draw(st.integers(0, 2)))
    votes = np.array(votes)
    return TripletTable(np.array(rows), votes.argmax(axis=1), np.array(types), votes)


people = st.lists(st.integers(-1, 3), min_size=NUM_FACES, max_size=NUM_FACES).map(np.array)


def credit_of(table, row, odd):
    said = [table[row[i], row[j]] for i, j in PAIRS_OF_TRIPLET]
    best = [place for place in range(3) if said[place] == max(said)]
    return (odd in best) / len(best)


def mean(values):
    return float(np.mean(values)) if len(values) else math.nan


def rater_of(votes):
    """Each rater against the majority of the others; a tie of k counts 1/k."""
    found = []
    for counts in votes.tolist():
        if sum(counts) < 2:
            continue
        for answer in range(3):
            for _ in range(counts[answer]):
                others = [n - (place == answer) for place, n in enumerate(counts)]
                top = [place for place in range(3) if others[place] == max(others)]
                found.append((answer in top) / len(top))
    return mean(found)


@QUICK
@given(similarity_tables, triplet_tables())
def test_figures_of_triplets_equal_plain_loops_in_every_group(said, table):
    found = evaluate_head(head_saying(said), FEATURES, table, draws=2)
    credits = np.array([credit_of(said, r, o) for r, o in zip(table.rows, table.odd, strict=True)])
    masks = [table.types == kind for kind in range(3)] + [np.ones(len(table), bool)]
    assert [group.name for group in found.groups] == [*GROUP_NAMES, "all"]
    for group, mask in zip(found.groups, masks, strict=True):
        assert group.num_triplets == mask.sum()
        assert group.accuracy == pytest.approx(mean(credits[mask]), nan_ok=True)
        assert math.isnan(group.low)
        odd = table.odd[mask]
        floor = max(mean(odd == place) for place in range(3)) if mask.any() else math.nan
        assert group.floor == pytest.approx(floor, nan_ok=True)
        assert group.rater_accuracy == pytest.approx(rater_of(table.votes[mask]), nan_ok=True)
        losses, entropies, agreed = [], [], []
        for row, votes in zip(table.rows[mask], table.votes[mask], strict=True):
            logits = np.array([said[row[i], row[j]] for i, j in PAIRS_OF_TRIPLET])
            chances, shares = np.exp(logits) / np.exp(logits).sum(), votes / votes.sum()
            losses.append(-(shares * np.log(chances)).sum())
            entropies.append(-sum(share * math.log(share) for share in shares if share))
            best = logits == logits.max()
            agreed.append((votes * best / best.sum()).sum() / votes.sum())
        assert group.vote_log_loss == pytest.approx(mean(losses), abs=1e-4, nan_ok=True)
        assert group.vote_entropy == pytest.approx(mean(entropies), abs=1e-6, nan_ok=True)
        if mask.any():
            assert 0 <= group.vote_agreement <= 1
    means = [mean(credits[mask]) for mask in masks[:3]]
    assert found.macro.value == pytest.approx(float(np.mean(means)), nan_ok=True)


@QUICK
@given(similarity_tables, triplet_tables())
def test_figures_of_pairs_equal_scikit_learns(said, table):
    found = evaluate_head(head_saying(said), FEATURES, table, draws=2).pairs
    logits = np.array([said[r[i], r[j]] for r in table.rows for i, j in PAIRS_OF_TRIPLET])
    truth = (np.arange(3) == table.odd[:, None]).ravel()
    chances = 1 / (1 + np.exp(-logits))
    assert found.num_pairs == len(truth)
    assert found.base_rate == pytest.approx(1 / 3)
    assert found.floor == pytest.approx(2 / 3)
    assert found.accuracy == pytest.approx(metrics.accuracy_score(truth, chances >= 0.5))
    assert found.accuracy_uncalibrated == pytest.approx(metrics.accuracy_score(truth, logits > 0))
    wanted = metrics.balanced_accuracy_score(truth, chances >= 1 / 3)
    assert found.balanced_accuracy == pytest.approx(wanted)
    assert found.auc == pytest.approx(metrics.roc_auc_score(truth, logits))
    wanted = metrics.average_precision_score(truth, logits)
    assert found.average_precision == pytest.approx(wanted)
    assert found.brier == pytest.approx(metrics.brier_score_loss(truth, chances), abs=1e-6)
    assert found.brier_floor == pytest.approx(2 / 9)


@QUICK
@given(triplet_tables())
def test_the_ceilings_of_ranking_and_of_brier_are_those_of_the_pairs_own_shares(table):
    pairs = [frozenset((r[i], r[j])) for r in table.rows.tolist() for i, j in PAIRS_OF_TRIPLET]
    truth = (np.arange(3) == table.odd[:, None]).ravel()
    share = {
        pair: mean([t for p, t in zip(pairs, truth, strict=True) if p == pair]) for pair in pairs
    }
    best = np.array([share[pair] for pair in pairs])
    found = pair_ceiling(table)
    assert found.auc == pytest.approx(metrics.roc_auc_score(truth, best))
    assert found.average_precision == pytest.approx(metrics.average_precision_score(truth, best))
    assert found.brier == pytest.approx(metrics.brier_score_loss(truth, best))


@QUICK
@given(similarity_tables, triplet_tables(), people)
def test_figures_by_person_equal_plain_loops(said, table, identity):
    labels = RowLabels(identity, np.full(NUM_FACES, -1), ())
    assume((identity[table.rows] >= 0).any())
    found = evaluate_head(head_saying(said), FEATURES, table, draws=2, labels=labels).identity
    rights = {0: [], 1: [], 2: []}
    same_pairs, other_pairs = [], []
    for row, odd in zip(table.rows, table.odd, strict=True):
        who = identity[row]
        if min(who) < 0:
            continue
        for place, (i, j) in enumerate(PAIRS_OF_TRIPLET):
            says = 1 / (1 + math.exp(-said[row[i], row[j]])) >= 1 / 3
            (same_pairs if who[i] == who[j] else other_pairs).append((says, place == odd))
        if len(set(who.tolist())) == 1:
            continue
        same = [who[i] == who[j] for i, j in PAIRS_OF_TRIPLET]
        kind = 0 if same[odd] else 1 if any(same) else 2
        rights[kind].append(credit_of(said, row, odd))
    assert [group.num_triplets for group in found.groups] == [len(rights[k]) for k in range(3)]
    for group, kind in zip(found.groups, range(3), strict=True):
        assert group.accuracy.value == pytest.approx(mean(rights[kind]), nan_ok=True)
    gap = mean(rights[0]) - mean(rights[1])
    assert found.gap == pytest.approx(gap, nan_ok=True)
    assert found.num_same_person_pairs == len(same_pairs)
    assert found.num_different_person_pairs == len(other_pairs)
    for figure, pairs in ((found.same_person, same_pairs), (found.different_person, other_pairs)):
        both = len({truth for _, truth in pairs}) == 2
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            said_so, truth = zip(*pairs, strict=True) if both else ((0,), (0,))
            wanted = metrics.balanced_accuracy_score(truth, said_so) if both else math.nan
        assert figure == pytest.approx(wanted, nan_ok=True)


def expected_hits(similarities, hits, k):
    """Mean share of hits among the first k, over all orders of equal similarities."""
    order = sorted(range(len(hits)), key=lambda place: -similarities[place])
    edge = similarities[order[k - 1]]
    sure = [hits[place] for place in order if similarities[place] > edge]
    tied = [hits[place] for place in order if similarities[place] == edge]
    return (sum(sure) + (k - len(sure)) * mean(tied)) / k


@QUICK
@given(st.integers(0, 2**32 - 1), st.integers(11, 16))
def test_nearest_faces_equal_a_slow_loop_with_ties_and_unknowns(seed, size):
    said, rng = tied_similarities(seed, size), np.random.default_rng([seed, 1])
    identity, words = rng.integers(-1, 6, size), rng.integers(-1, 3, size)
    features = np.arange(size, dtype=np.float32)[:, None]
    found = nearest_figures(head_saying(said), features, np.arange(size), identity, words)
    # A face of an unknown person counts as a separate person.
    who = np.where(identity >= 0, identity, 100 + np.arange(size))
    hits, chances, precision = [], [], {k: [] for k in RANKS}
    for face in range(size):
        others = [other for other in range(size) if other != face]
        same = [bool(who[other] == who[face]) for other in others]
        if any(same):
            hits.append(expected_hits(said[face, others], same, 1))
            chances.append(mean(same))
        strangers = [o for o in others if who[o] != who[face] and words[o] >= 0]
        if words[face] >= 0 and len(strangers) >= max(RANKS):
            alike = [bool(words[other] == words[face]) for other in strangers]
            for k in RANKS:
                precision[k].append(expected_hits(said[face, strangers], alike, k))
    assert (found.num_with_person, found.num_with_expression) == (len(hits), len(precision[1]))
    assert found.same_person == pytest.approx(mean(hits), nan_ok=True)
    assert found.same_person_chance == pytest.approx(mean(chances), nan_ok=True)
    wanted = {k: mean(shares) for k, shares in precision.items()}
    assert found.precision == pytest.approx(wanted, nan_ok=True)
    assert np.sum(found.confusion) == len(precision[1])
