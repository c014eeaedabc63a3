"""The coordinator: each point of a grid is tried once, whatever happens on the way."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fec_cache.errors import FecError, StorageFailed
from fec_cache.heads.train import TrainResult, fit, seconds_per_epoch
from fec_cache.pairs.split import Split
from fec_cache.search.ledger import Ledger, Outcome
from fec_cache.search.space import Point


@dataclass(frozen=True)
class SearchProgress:
    """Points finished in all, points in all, and the one that just ended."""

    num_done: int
    num_points: int
    outcome: Outcome


ProgressCallback = Callable[[SearchProgress], None]


@dataclass(frozen=True)
class Search:
    """A grid over heads on one matrix of features and one split.

    `scope` names the features, triplets and split; a point of another scope is another point.
    """

    points: tuple[Point, ...]
    scope: str
    features: npt.NDArray[np.floating]
    split: Split
    ledger: Ledger
    device: str = "cpu"

    def open_points(self, retry_failed: bool = False) -> tuple[Point, ...]:
        """Points that have no outcome yet."""
        known = self.ledger.outcomes()
        return tuple(p for p in self.points if self._is_open(known, p, retry_failed))

    def expected_seconds(self, points: Sequence[Point]) -> float:
        """About how long points will take, from a few batches of each shape of head."""
        per_epoch: dict[tuple[object, ...], float] = {}
        total = 0.0
        for point in points:
            shape = (point.head, point.train.batch_size, point.train.loss, point.train.optimizer)
            if shape not in per_epoch:
                per_epoch[shape] = seconds_per_epoch(
                    self.features,
                    self.split.train,
                    self.split.validation,
                    point.head,
                    point.train,
                    self.device,
                )
            total += per_epoch[shape] * point.train.epochs
        return total

    def run(
        self, on_point: ProgressCallback | None = None, retry_failed: bool = False
    ) -> tuple[Outcome, ...]:
        """Try every open point; an earlier run's outcomes are kept.

        Returns:
            One outcome a point, in the order of the grid.

        Raises:
            StorageFailed: the disk would not take an outcome.
        """
        self.ledger.clean()
        known = self.ledger.outcomes()
        outcomes: list[Outcome] = []
        for point in self.points:
            if self._is_open(known, point, retry_failed):
                outcome = self._try(point)
                self.ledger.record(outcome)
            else:
                outcome = known[point.key(self.scope)]
            outcomes.append(outcome)
            if on_point is not None:
                on_point(SearchProgress(len(outcomes), len(self.points), outcome))
        return tuple(outcomes)

    def train(self, point: Point) -> TrainResult:
        """Train the head of one point; the same point gives the same head each time."""
        return fit(
            self.features,
            self.split.train,
            self.split.validation,
            point.head,
            point.train,
            self.device,
        )

    def _is_open(self, known: dict[str, Outcome], point: Point, retry_failed: bool) -> bool:
        outcome = known.get(point.key(self.scope))
        return outcome is None or (retry_failed and bool(outcome.error))

    def _try(self, point: Point) -> Outcome:
        key, settings = point.key(self.scope), point.settings()
        started = time.perf_counter()
        try:
            result = self.train(point)
        except StorageFailed:
            raise
        except (FecError, RuntimeError) as error:  # torch tells of memory and shapes this way
            reason = str(error).splitlines()[0]
            return Outcome(key, settings, duration_s=time.perf_counter() - started, error=reason)
        return Outcome(
            key,
            settings,
            val_triplet_accuracy=result.best.val_triplet_accuracy,
            val_loss=result.best.val_loss,
            best_epoch=result.best.epoch,
            duration_s=result.duration_s,
        )
