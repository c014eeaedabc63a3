"""Upper bounds of the figures: raters disagree, and triplets contradict each other on pairs."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fec_cache.evaluation.measures.metrics import (
    pair_auc,
    pair_average_precision,
    pair_balanced_accuracy,
    pair_brier,
)
from fec_cache.pairs.build import TripletTable, pairs_from_triplets

Ints = npt.NDArray[np.int64]

_DRAWS = 4000
_ENOUGH_VOTED = 30


@dataclass(frozen=True)
class PairCeiling:
    """Best figures that any function of two faces can reach on a set's pairs.

    Such a function gives the same answer for a pair in every triplet, so it is wrong in some if
    triplets contradict each other. `num_repeated` distinct pairs occur in two triplets or more;
    `num_contradicting` of them are similar in one and different in another.
    """

    num_distinct: int
    num_repeated: int
    num_contradicting: int
    accuracy: float
    balanced_accuracy: float
    auc: float
    average_precision: float
    brier: float


def pair_ceiling(table: TripletTable) -> PairCeiling:
    """Count contradicting pairs and compute the best figures that they allow.

    The best score of a pair is its own share of similar answers: it is optimal for AUC, average
    precision and Brier, and at a threshold for the accuracy (0.5) and the balanced accuracy (the
    base rate). All figures are NaN without triplets.
    """
    pairs = pairs_from_triplets(table)
    if not len(pairs.rows):
        return PairCeiling(0, 0, 0, *[float("nan")] * 5)
    low, high = pairs.rows.min(axis=1), pairs.rows.max(axis=1)
    _, codes = np.unique(low * (high.max() + 1) + high, return_inverse=True)
    counts = np.bincount(codes)
    shares = np.bincount(codes, weights=pairs.is_similar) / counts
    own, truth = shares[codes], pairs.is_similar
    return PairCeiling(
        num_distinct=len(counts),
        num_repeated=int((counts > 1).sum()),
        num_contradicting=int(((shares > 0) & (shares < 1)).sum()),
        accuracy=float(((own >= 0.5) == truth).mean()),
        balanced_accuracy=pair_balanced_accuracy(own >= truth.mean(), truth),
        auc=pair_auc(own, truth),
        average_precision=pair_average_precision(own, truth),
        brier=pair_brier(own, truth),
    )


def triplet_ceilings(votes: Ints, groups: list[npt.NDArray[np.bool_]]) -> list[float]:
    """Triplet accuracy of an oracle that knows the answer of most people, by group.

    Six raters are a sample: their majority is not always that of most people, and then even the
    oracle is counted as wrong. The shares of people who name each face are modelled as a symmetric
    Dirichlet distribution, fitted to the votes of the group by maximum likelihood, given that the
    votes have a majority; each triplet's own votes then give the probability that their majority is
    that of the population.

    Args:
        votes: [T, 3] int64, raters who named each face; without ties.
        groups: masks [T] bool.

    Returns:
        One share per group, in [0, 1]; NaN if fewer than 30 of its triplets have two votes or more.
    """
    return [_ceiling(votes[mask]) for mask in groups]


def _ceiling(votes: Ints) -> float:
    voted = np.sort(votes[votes.sum(axis=1) >= 2], axis=1)[:, ::-1]
    if len(voted) < _ENOUGH_VOTED:
        return float("nan")
    patterns, counts = np.unique(voted, axis=0, return_counts=True)
    # On planted faces this gave a ceiling of 92.9 %; the true one was 93.1 % (docs/experiments.md).
    concentration = _fit_concentration(patterns, counts)
    # A fixed seed: the ceiling of a set must not change from one evaluation to the next.
    rng = np.random.default_rng(0)
    stays = [
        float((rng.standard_gamma(p + concentration, (_DRAWS, 3)).argmax(axis=1) == 0).mean())
        for p in patterns
    ]
    return float((counts * np.array(stays)).sum() / counts.sum())


def _fit_concentration(patterns: Ints, counts: Ints) -> float:
    """Maximum-likelihood concentration of a symmetric Dirichlet distribution.

    Args:
        patterns: [K, 3] int64 distinct votes, sorted in descending order, without ties at the top.
        counts: [K] int64, number of triplets with each pattern.
    """
    from scipy.optimize import minimize_scalar

    totals = patterns.sum(axis=1)
    with_majority = {int(n): _majorities(int(n)) for n in np.unique(totals)}

    def loss(log_concentration: float) -> float:
        """Negative log-likelihood of the patterns, given that there is a majority."""
        a = float(np.exp(log_concentration))
        given = {n: np.log(np.exp(_log_weight(p, a)).sum()) for n, p in with_majority.items()}
        log_likelihoods = _log_weight(patterns, a) - np.array([given[int(n)] for n in totals])
        return -float((counts * log_likelihoods).sum())

    optimum = minimize_scalar(loss, bounds=(np.log(1e-3), np.log(1e3)), method="bounded")
    return float(np.exp(optimum.x))


def _majorities(num_raters: int) -> Ints:
    """All possible votes of a number of raters that have a single most frequent answer: [K, 3]."""
    first, second = np.divmod(np.arange((num_raters + 1) ** 2), num_raters + 1)
    third = num_raters - first - second
    votes = np.stack([first, second, third], axis=1)[third >= 0]
    top = np.sort(votes, axis=1)
    return votes[top[:, 2] > top[:, 1]]


def _log_weight(votes: Ints, a: float) -> npt.NDArray[np.float64]:
    """Log-probability of votes [K, 3] under a symmetric Dirichlet-multinomial: [K]."""
    from scipy.special import gammaln

    totals = votes.sum(axis=1)
    ways = gammaln(totals + 1) - gammaln(votes + 1).sum(axis=1)
    likelihood = gammaln(3 * a) - gammaln(totals + 3 * a) + gammaln(votes + a).sum(axis=1)
    return np.asarray(ways + likelihood - 3 * gammaln(a))
