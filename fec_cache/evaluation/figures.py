"""Records of an evaluation's figures, and their plain form for JSON."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fec_cache.evaluation.measures.bootstrap import Interval
from fec_cache.evaluation.measures.ceilings import PairCeiling
from fec_cache.evaluation.measures.reliability import Reliability
from fec_cache.evaluation.people import IdentityFigures

# Types of triplets by number: how many classes of emotion the three faces span, less one.
GROUP_NAMES = ("one-class", "two-class", "three-class")


def type_masks(types: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.bool_]]:
    """Masks [T] of the triplets of each type, and of `all`, which is last.

    Args:
        types: [T] int64, 0 one-class, 1 two-class, 2 three-class.
    """
    masks = {name: types == number for number, name in enumerate(GROUP_NAMES)}
    return {**masks, "all": np.ones(len(types), bool)}


@dataclass(frozen=True)
class GroupAccuracy:
    """Triplet accuracy of one group with its 95 % interval, and the values to compare it with.

    `floor` is the accuracy of always naming the same position, `rater_accuracy` that of one rater
    against the others, `ceiling` that of an oracle that knows the answer of most people.
    `vote_agreement` is the share of all votes that agree with the head, `vote_log_loss` the
    cross-entropy of the vote shares in nats (a guess: 1.0986), `vote_entropy` its minimum. Interval
    and standard error are NaN if there are too few triplets or faces.
    """

    name: str
    num_triplets: int
    accuracy: float
    low: float
    high: float
    rater_accuracy: float
    stderr: float = math.nan
    floor: float = math.nan
    ceiling: float = math.nan
    vote_agreement: float = math.nan
    vote_log_loss: float = math.nan
    vote_entropy: float = math.nan

    @property
    def is_too_few(self) -> bool:
        """Whether there is an accuracy but too little data for an interval."""
        return bool(self.num_triplets) and math.isnan(self.low)


@dataclass(frozen=True)
class PairFigures:
    """Figures on pairs.

    `base_rate` is the share of similar pairs, `floor` the accuracy of a constant answer. `accuracy`
    is taken at a calibrated probability of 0.5, `balanced_accuracy` at the decision threshold.
    `accuracy_uncalibrated` is taken at logit 0, as the original recipe reported it; it is
    meaningful only for heads trained with BCE. `brier_floor` is the Brier score of the constant
    base rate; lower is better. `ceiling` is the best that any function of two faces can reach on
    these pairs.
    """

    num_pairs: int
    base_rate: float
    floor: float
    accuracy: float
    accuracy_uncalibrated: float
    balanced_accuracy: float
    auc: float
    num_contradicting: int
    average_precision: float = math.nan
    brier: float = math.nan
    brier_floor: float = math.nan
    calibration_error: float = math.nan
    ceiling: PairCeiling | None = None


@dataclass(frozen=True)
class Evaluation:
    """All figures of one head on one set, and the arrays that they were computed from.

    `groups` holds the three triplet types and then `all`; `macro` is the mean over types, as in the
    paper. `agreed` are the triplets that reach a requested agreement of raters. `similarity`
    [T, 3] are logits, `probability` [T, 3] calibrated P(similar); pair j is the pair without face
    j. `redrawn` names what intervals resample, `faces` or `people`, `num_redrawn` their number, and
    `units` [T, 3] int64 those of each triplet.
    """

    groups: tuple[GroupAccuracy, ...]
    pairs: PairFigures
    chance: float
    threshold: float
    similarity: npt.NDArray[np.float32]
    probability: npt.NDArray[np.float32]
    macro: Interval | None = None
    agreed: GroupAccuracy | None = None
    reliability: Reliability | None = None
    identity: IdentityFigures | None = None
    redrawn: str = "faces"
    num_redrawn: int = 0
    warnings: tuple[str, ...] = ()
    units: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 3), np.int64))

    @property
    def overall(self) -> GroupAccuracy:
        """The group of all triplets."""
        return self.groups[-1]

    def to_dict(self) -> dict[str, Any]:
        """The figures without the arrays, for JSON; undefined values are None."""
        fields = {
            "chance": self.chance,
            "threshold": self.threshold,
            "triplets": {group.name: asdict(group) for group in self.groups},
            "macro_average": asdict(self.macro) if self.macro else None,
            "agreed": asdict(self.agreed) if self.agreed else None,
            "pairs": asdict(self.pairs),
            "calibration": asdict(self.reliability) if self.reliability else None,
            "identity": asdict(self.identity) if self.identity else None,
            "intervals": {
                "confidence": 0.95,
                "redrawn": self.redrawn,
                "num_redrawn": self.num_redrawn,
            },
            "warnings": list(self.warnings),
        }
        return {name: plain(value) for name, value in fields.items()}


def plain(value: Any) -> Any:
    """The same in JSON's types: None for NaN and infinity, text for keys, lists for tuples."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
