"""Which pairs and triplets the report shows: the clearest and the most confidently wrong."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fec_cache.evaluation.figures import Evaluation
from fec_cache.pairs.build import PairTable, TripletTable, pairs_from_triplets
from fec_cache.reports.typography import page_percent

NUM_PAIRS = 8
NUM_TRIPLETS = 6


@dataclass(frozen=True)
class ShownPair:
    """A pair, the head's P(similar), and the answer of the raters' majority."""

    rows: tuple[int, ...]
    probability: str
    raters: str
    is_disputed: bool


@dataclass(frozen=True)
class ShownTriplet:
    """A triplet, its votes, the odd faces of raters and head, and P(similar) of two of its pairs.

    These are the head's pair and the raters' pair, or, if they agree, that pair and the next best.
    """

    rows: tuple[int, ...]
    votes: tuple[int, ...]
    raters_odd: int
    head_odd: int
    probabilities: tuple[str, ...]


def shown_pairs(
    table: TripletTable, evaluation: Evaluation
) -> tuple[list[ShownPair], list[ShownPair]]:
    """The pairs that the head finds most similar and least similar; each list has a pair once."""
    pairs = pairs_from_triplets(table)
    unique = np.unique(np.sort(pairs.rows, axis=1), axis=0, return_inverse=True)
    ids = unique[1].reshape(-1)
    # Probabilities near 0 and 1 round to ties; the logits still order such pairs.
    order = np.lexsort((evaluation.similarity.reshape(-1), evaluation.probability.reshape(-1)))

    def firsts(order: npt.NDArray[np.int64]) -> list[ShownPair]:
        """The first pairs in this order [3T], each pair once."""
        first_ranks = np.sort(np.unique(ids[order], return_index=True)[1])
        chosen = order[first_ranks][: min(NUM_PAIRS, len(unique[0]) // 2)]
        return [_pair(evaluation, pairs, place, ids == ids[place]) for place in chosen]

    return firsts(order[::-1]), firsts(order)


def _pair(
    evaluation: Evaluation, pairs: PairTable, place: int, is_same: npt.NDArray[np.bool_]
) -> ShownPair:
    answers = pairs.is_similar[is_same]
    probability = float(evaluation.probability.reshape(-1)[place])
    raters = f"similar in {answers.sum()} of {len(answers)}"
    if answers.all() or not answers.any():
        raters = "similar" if answers.all() else "different"
    is_disputed = (probability >= evaluation.threshold) != (answers.mean() > 0.5)
    rows = tuple(pairs.rows[place].tolist())
    return ShownPair(rows, page_percent(probability), raters, is_disputed)


def shown_triplets(
    table: TripletTable, evaluation: Evaluation
) -> tuple[tuple[ShownTriplet, ...], tuple[ShownTriplet, ...]]:
    """The most confidently right and the most confidently wrong triplets.

    Confidence is the margin in logits between the raters' pair and the better of the other two.
    """
    others = evaluation.similarity.copy()
    np.put_along_axis(others, table.odd[:, None], -np.inf, axis=1)
    places = np.arange(len(table))
    margin = evaluation.similarity[places, table.odd] - others.max(axis=1, initial=-np.inf)
    order = np.argsort(margin, kind="stable")
    wrong = [t for t in order[:NUM_TRIPLETS].tolist() if margin[t] < 0]
    right = [t for t in order[::-1][:NUM_TRIPLETS].tolist() if margin[t] > 0]
    return (
        tuple(_triplet(table, evaluation, t) for t in right),
        tuple(_triplet(table, evaluation, t) for t in wrong),
    )


def _triplet(table: TripletTable, evaluation: Evaluation, t: int) -> ShownTriplet:
    by_rank = np.argsort(-evaluation.similarity[t], kind="stable").tolist()
    odd = int(table.odd[t])
    head_odd = int(by_rank[0])
    compared = (head_odd, by_rank[1] if head_odd == odd else odd)
    return ShownTriplet(
        rows=tuple(table.rows[t].tolist()),
        votes=tuple(table.votes[t].tolist()),
        raters_odd=odd,
        head_odd=head_odd,
        probabilities=tuple(page_percent(float(evaluation.probability[t, j])) for j in compared),
    )
