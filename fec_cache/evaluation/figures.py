"""What an evaluation finds: records of figures, and their plain form for JSON."""

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
    """Which triplets are of each type, and `all` of them, which stands last: [T] each.

    Args:
        types: [T], 0 one-class, 1 two-class, 2 three-class.
    """
    masks = {name: types == number for number, name in enumerate(GROUP_NAMES)}
    return {**masks, "all": np.ones(len(types), bool)}


@dataclass(frozen=True)
class GroupAccuracy:
    """Triplet accuracy of one group with its 95 % interval, and what it is to be held against.

    `floor` is what always naming the face in the same place scores, `rater_accuracy` what one rater
    scores against the others, `ceiling` what an oracle scores that knows what most people would
    say. `vote_agreement` is the share of all votes that agree with the head, `vote_log_loss` the
    cross-entropy of the vote shares in nats (a guess: 1.0986), `vote_entropy` the least it can be.
    Interval and standard error are NaN on too few triplets or faces.
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
        """Whether there is an accuracy but too little behind it for an interval."""
        return bool(self.num_triplets) and math.isnan(self.low)


@dataclass(frozen=True)
class PairFigures:
    """Figures on pairs. `base_rate` is the share of similar pairs, `floor` what a constant gets.

    `accuracy` is taken at calibrated probability 0.5, `balanced_accuracy` at the threshold.
    `accuracy_uncalibrated` is taken at logit 0, as the original recipe reported it; it means
    something only for heads trained with BCE. `brier_floor` is what always saying the base rate
    scores; of Brier, lower is better. `ceiling` is the best that any function of two faces can
    reach on these pairs.
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
    """All figures of one head on one set, and the numbers they were made from.

    `groups` holds the three triplet types and then `all`; `macro` is the mean over types, as in the
    paper. `agreed` are the triplets that reach an asked agreement of raters. `similarity` [T, 3]
    are logits, `probability` [T, 3] calibrated P(similar); pair j is the pair without face j.
    `redrawn` says what intervals redraw, `faces` or `people`, `num_redrawn` how many there are, and
    `units` [T, 3] which stands where.
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
        """The figures without the arrays; what is not defined is None."""
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
    """The same with None for what is not a number, and text for keys: what JSON can say."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
