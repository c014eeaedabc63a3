"""The original recipe on the same triplets: what every figure is held against."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fec_cache.evaluation.bootstrap import FaceBootstrap
from fec_cache.evaluation.compare import Comparison, compare_credits
from fec_cache.evaluation.figures import plain
from fec_cache.evaluation.metrics import triplet_credit
from fec_cache.evaluation.report import Evaluation, evaluate_head
from fec_cache.heads.model import PairHead
from fec_cache.surfaces.workspace import Labelled

NAME = "original recipe"


@dataclass(frozen=True)
class Baseline:
    """Figures of the original recipe, the mean of its seeds, and this head's lead over them.

    `evaluation` has the mean of each figure over the runs, and of the ends of each interval; its
    arrays are the first run's.
    """

    runs: tuple[str, ...]
    evaluation: Evaluation
    comparison: Comparison

    @property
    def name(self) -> str:
        """`original recipe`, with the number of seeds where there are several."""
        return NAME if len(self.runs) == 1 else f"{NAME}, {len(self.runs)} seeds"

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "runs": list(self.runs),
            **self.evaluation.to_dict(),
            "this_head": plain(dataclasses.asdict(self.comparison)),
        }


def measure_baseline(
    heads: Mapping[str, PairHead], labelled: Labelled, evaluation: Evaluation
) -> Baseline | None:
    """Measure runs of the original recipe beside a head; None where there are none.

    Args:
        heads: trained heads by the name of their run.
        labelled: the test split.
        evaluation: of the head that they stand beside, on the same triplets.
    """
    if not heads:
        return None
    found = [
        evaluate_head(head, labelled.matrix.features, labelled.table, draws=200)
        for head in heads.values()
    ]
    odd = labelled.table.odd
    credits = [triplet_credit(one.similarity, odd) for one in found]
    comparison = compare_credits(
        [triplet_credit(evaluation.similarity, odd)], credits, FaceBootstrap(evaluation.units)
    )
    return Baseline(tuple(heads), mean_evaluation(found), comparison)


def mean_evaluation(found: Sequence[Evaluation]) -> Evaluation:
    """Mean of each figure over evaluations of the same triplets; the rest is the first one's."""
    first = found[0]
    groups = tuple(
        _mean_record([one.groups[place] for one in found]) for place in range(len(first.groups))
    )
    macros = [one.macro for one in found if one.macro]
    return dataclasses.replace(
        first,
        groups=groups,
        pairs=_mean_record([one.pairs for one in found]),
        macro=_mean_record(macros) if macros else None,
    )


def _mean_record(records: Sequence[Any]) -> Any:
    floats = {
        name: float(np.mean([getattr(record, name) for record in records]))
        for name, value in vars(records[0]).items()
        if isinstance(value, float)
    }
    return dataclasses.replace(records[0], **floats)
