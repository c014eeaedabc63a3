"""Evaluations of several seeds of one recipe on the same triplets -> figures of the recipe."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fec_cache.evaluation.compare import add_seeds
from fec_cache.evaluation.figures import Evaluation, type_masks
from fec_cache.evaluation.measures.bootstrap import FaceBootstrap, Interval
from fec_cache.pairs.build import TripletTable
from fec_cache.pairs.credit import triplet_credit

Doubles = npt.NDArray[np.float64]


def credits_of(evaluations: Sequence[Evaluation], table: TripletTable) -> list[Doubles]:
    """Credit of each head on each of the T triplets: one array [T] float64 in [0, 1] per head."""
    return [triplet_credit(each.similarity, table.odd) for each in evaluations]


def mean_over_seeds(
    evaluations: Sequence[Evaluation], table: TripletTable, units: npt.NDArray[np.int64]
) -> Evaluation:
    """Mean of each figure over the seeds of a recipe, with the intervals of that mean.

    Intervals of triplet accuracy cover the variance over faces (or people) and over seeds. Arrays,
    diagrams and figures of people are those of the first evaluation.

    Args:
        evaluations: one per seed, all on the same triplets.
        table: the T triplets.
        units: [T, 3] int64, the face or person at each position.
    """
    # A single seed moves with every rounding: the demo's best head had 57.9 % one day and 56.7 %
    # the next, with features that were rounded otherwise (docs/experiments.md, 2026-11-23).
    masks = list(type_masks(table.types).values())
    credits, bootstrap = np.stack(credits_of(evaluations, table)), FaceBootstrap(units)
    mean = credits.mean(axis=0)
    groups = tuple(
        dataclasses.replace(
            _mean_record([each.groups[index] for each in evaluations]),
            **_fields(interval, credits[:, mask].mean(axis=1) if mask.any() else np.zeros(1)),
        )
        for index, (mask, interval) in enumerate(
            zip(masks, bootstrap.means(mean, masks), strict=True)
        )
    )
    macro = bootstrap.macro(mean, masks[:-1])
    macros = np.array([each.macro.value if each.macro else np.nan for each in evaluations])
    return dataclasses.replace(
        evaluations[0],
        groups=groups,
        pairs=_mean_record([each.pairs for each in evaluations]),
        macro=_inside(add_seeds(macro, [macros])[0]) if evaluations[0].macro else None,
    )


def _fields(faces: Interval, of_seeds: Doubles) -> dict[str, float]:
    interval = _inside(add_seeds(faces, [of_seeds])[0])
    return {"low": interval.low, "high": interval.high, "stderr": interval.stderr}


def _inside(interval: Interval) -> Interval:
    """The interval clipped to [0, 1]; NaN stays."""
    low, high = np.clip([interval.low, interval.high], 0.0, 1.0).tolist()
    return dataclasses.replace(interval, low=low, high=high)


def _mean_record(records: Sequence[Any]) -> Any:
    floats = {
        name: float(np.mean([getattr(record, name) for record in records]))
        for name, value in vars(records[0]).items()
        if isinstance(value, float)
    }
    return dataclasses.replace(records[0], **floats)
