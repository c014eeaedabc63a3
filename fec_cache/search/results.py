"""Outcomes -> a ranked table."""

import csv
import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from fec_cache.search.ledger import Outcome
from fec_cache.search.space import Point

FIGURES = ("val_triplet_accuracy", "val_loss", "best_epoch", "duration_s", "error")


@dataclass(frozen=True)
class Ranked:
    """One setting over its seeds: mean validation triplet accuracy and its standard error.

    `stderr` is NaN with a single seed. `best` is the outcome of the best seed.
    """

    point: Point
    num_seeds: int
    val_triplet_accuracy: float
    stderr: float
    best: Outcome


def rank(points: Sequence[Point], outcomes: Sequence[Outcome]) -> tuple[Ranked, ...]:
    """Settings by mean validation triplet accuracy, best first; failed points are left out.

    Args:
        points: the grid.
        outcomes: as long as `points`, in the same order.
    """
    groups: dict[str, list[tuple[Point, Outcome]]] = {}
    for point, outcome in zip(points, outcomes, strict=True):
        if not outcome.error:
            groups.setdefault(point.settings_key(), []).append((point, outcome))
    ranked = [_ranked(members) for members in groups.values()]
    return tuple(sorted(ranked, key=lambda entry: -entry.val_triplet_accuracy))


def results_csv(outcomes: Sequence[Outcome]) -> bytes:
    """`results.csv`: one line a point with every setting and figure, best first, failures last."""
    text = io.StringIO(newline="")
    if not outcomes:
        return b""
    writer = csv.writer(text)
    names = list(outcomes[0].settings)
    writer.writerow(["key", *names, *FIGURES])
    for outcome in sorted(outcomes, key=_order):
        settings = [_cell(outcome.settings[name]) for name in names]
        writer.writerow([outcome.key, *settings, *(getattr(outcome, name) for name in FIGURES)])
    return text.getvalue().encode()


def _ranked(members: Sequence[tuple[Point, Outcome]]) -> Ranked:
    accuracies = [outcome.val_triplet_accuracy for _, outcome in members]
    several = len(accuracies) > 1
    stderr = statistics.stdev(accuracies) / math.sqrt(len(accuracies)) if several else math.nan
    point, best = max(members, key=lambda member: member[1].val_triplet_accuracy)
    return Ranked(point, len(members), statistics.fmean(accuracies), stderr, best)


def _order(outcome: Outcome) -> tuple[bool, float, str]:
    return bool(outcome.error), -outcome.val_triplet_accuracy, outcome.key


def _cell(value: object) -> object:
    return "-".join(map(str, value)) if isinstance(value, list) else value
