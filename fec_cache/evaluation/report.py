"""A head's similarities on labelled triplets -> `Evaluation`, the figures to be believed."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fec_cache.evaluation.metrics import (
    CHANCE,
    PAIR_FLOOR,
    bootstrap_interval,
    pair_auc,
    pair_balanced_accuracy,
    rater_accuracy,
    triplet_credit,
)
from fec_cache.heads.model import PairHead
from fec_cache.heads.scoring import probability_of, similarity_of
from fec_cache.pairs.build import TripletTable, count_contradictions, pairs_from_triplets

# One of a triplet's three pairs is similar: at this probability both kinds of pair are equally
# likely to be called by their name, so it parts "similar" from "different".
DECISION_THRESHOLD = 1.0 / 3.0
GROUP_NAMES = ("one-class", "two-class", "three-class")


@dataclass(frozen=True)
class GroupAccuracy:
    """Triplet accuracy of one group with its 95 % bootstrap interval, and the raters' own."""

    name: str
    num_triplets: int
    accuracy: float
    low: float
    high: float
    rater_accuracy: float


@dataclass(frozen=True)
class PairFigures:
    """Figures on pairs. `base_rate` is the share of similar pairs, `floor` what a constant gets.

    `accuracy` is taken at calibrated probability 0.5, `balanced_accuracy` at the threshold.
    `accuracy_uncalibrated` is taken at logit 0, as the original recipe reported it; it means
    something only for heads trained with BCE.
    """

    num_pairs: int
    base_rate: float
    floor: float
    accuracy: float
    accuracy_uncalibrated: float
    balanced_accuracy: float
    auc: float
    num_contradicting: int


@dataclass(frozen=True)
class Evaluation:
    """All figures of one head on one set, and the numbers they were made from.

    `groups` holds the three triplet types and then `all`; `similarity` [T, 3] are logits,
    `probability` [T, 3] calibrated P(similar); pair j is the pair without face j.
    """

    groups: tuple[GroupAccuracy, ...]
    pairs: PairFigures
    chance: float
    threshold: float
    similarity: npt.NDArray[np.float32]
    probability: npt.NDArray[np.float32]

    @property
    def overall(self) -> GroupAccuracy:
        """The group of all triplets."""
        return self.groups[-1]

    def to_dict(self) -> dict[str, Any]:
        """The figures without the arrays; what is not defined is None."""
        return {
            "chance": self.chance,
            "threshold": self.threshold,
            "triplets": {group.name: _plain(asdict(group)) for group in self.groups},
            "pairs": _plain(asdict(self.pairs)),
        }


def evaluate_head(
    head: PairHead,
    features: npt.NDArray[np.floating],
    table: TripletTable,
    draws: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Measure a head on labelled triplets.

    Args:
        head: a trained head.
        features: [N, D], the cache's matrix.
        table: T triplets that the head was not trained on.
        draws: bootstrap draws.
        seed: of the bootstrap.
    """
    similarity = similarity_of(head, features, table.rows)
    probability = probability_of(head, similarity)
    credit = triplet_credit(similarity, table.odd)
    masks = [(name, table.types == number) for number, name in enumerate(GROUP_NAMES)]
    masks.append(("all", np.ones(len(table), bool)))
    groups = tuple(_group(name, credit[m], table.votes[m], draws, seed) for name, m in masks)
    return Evaluation(
        groups=groups,
        pairs=_pair_figures(similarity, probability, table),
        chance=CHANCE,
        threshold=DECISION_THRESHOLD,
        similarity=similarity,
        probability=probability,
    )


def _group(
    name: str,
    credit: npt.NDArray[np.float64],
    votes: npt.NDArray[np.int64],
    draws: int,
    seed: int,
) -> GroupAccuracy:
    low, high = bootstrap_interval(credit, draws, seed)
    accuracy = float(credit.mean()) if len(credit) else math.nan
    return GroupAccuracy(name, len(credit), accuracy, low, high, rater_accuracy(votes))


def _pair_figures(
    similarity: npt.NDArray[np.float32],
    probability: npt.NDArray[np.float32],
    table: TripletTable,
) -> PairFigures:
    is_similar = pairs_from_triplets(table).is_similar
    logits, chances = similarity.reshape(-1), probability.reshape(-1)
    return PairFigures(
        num_pairs=len(is_similar),
        base_rate=float(is_similar.mean()),
        floor=PAIR_FLOOR,
        accuracy=float(((chances >= 0.5) == is_similar).mean()),
        accuracy_uncalibrated=float(((logits > 0) == is_similar).mean()),
        balanced_accuracy=pair_balanced_accuracy(chances >= DECISION_THRESHOLD, is_similar),
        auc=pair_auc(logits, is_similar),
        num_contradicting=count_contradictions(table),
    )


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    is_nan = {k: isinstance(v, float) and math.isnan(v) for k, v in fields.items()}
    return {k: None if is_nan[k] else v for k, v in fields.items()}
