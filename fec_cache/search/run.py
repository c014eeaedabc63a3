"""Coordinates a search: each point is tried once, through kills, timeouts and failures."""

import math
import statistics
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from fec_cache.errors import TrainingDiverged
from fec_cache.search.bracket import Bracket, SearchContext
from fec_cache.search.group import FAILURES
from fec_cache.search.kept_heads import KeptHeads
from fec_cache.search.ledger import PRUNED, Ledger, Outcome
from fec_cache.search.progress import ProgressCallback, ProgressTracker
from fec_cache.search.pruners.base import Pruner
from fec_cache.search.samplers.base import Sampler
from fec_cache.search.space import Point, Space
from fec_cache.search.trainer import SearchTrainer
from fec_cache.training.history import TrainResult

# All points of a bracket are in the device's memory at the same time.
_BRACKET_SETTINGS = 243
_MOST_SHAPES = 8


@dataclass(frozen=True)
class Survey:
    """The work ahead of a search: its points, those that are known, and open ones.

    `open_points` may be fewer than `num_open`: a sampler that learns chooses later settings by the
    results of the first.
    """

    num_points: int
    num_known: int
    open_points: tuple[Point, ...]

    @property
    def num_open(self) -> int:
        """Points to train."""
        return self.num_points - self.num_known


@dataclass
class Search:
    """A search over heads on one matrix of features and one split.

    `scope` names features, triplets, split and training code; a point of another scope is another
    point. `new_sampler` makes a sampler that starts from the beginning. `pruner` None trains every
    point to its end. No group starts after `timeout_s`.
    """

    space: Space
    new_sampler: Callable[[], Sampler]
    scope: str
    trainer: SearchTrainer
    ledger: Ledger
    pruner: Pruner | None = None
    timeout_s: float | None = None
    retry_failed: bool = False
    kept_heads: KeptHeads = field(default_factory=KeptHeads)

    def survey(self) -> Survey:
        """Count known and open points by replaying the ledger to a sampler, without training."""
        known = self.ledger.outcomes()
        sampler = self.new_sampler()
        todo: list[Point] = []
        num_asked = num_settings = 0
        while not todo and (settings := sampler.ask()):
            points = self._points(settings)
            num_asked += len(points)
            num_settings += len(settings)
            todo = [point for point in points if self._is_open(known, point)]
            if not todo:
                sampler.tell(self._accuracies(settings, known))
        num_points = num_asked + self._num_unasked(sampler, num_settings)
        return Survey(num_points, num_asked - len(todo), tuple(todo))

    def seconds_expected(self, survey: Survey) -> float:
        """Approximate time for the open points; NaN if none can be timed.

        Measured on a few batches of each shape of head, and scaled by the plan's speed-up. A shape
        that cannot be timed counts like the mean of the others; its error is reported when it runs.
        """
        points = survey.open_points
        shapes = {self.trainer.shape(point): point for point in reversed(points)}
        times = {shape: self._time(point) for shape, point in list(shapes.items())[-_MOST_SHAPES:]}
        timed = [seconds for seconds in times.values() if not math.isnan(seconds)]
        if not timed:
            return math.nan if survey.num_open else 0.0
        mean = sum(timed) / len(timed)
        of_shape = {k: mean if math.isnan(seconds) else seconds for k, seconds in times.items()}
        alone = sum(of_shape.get(self.trainer.shape(p), mean) * p.epochs for p in points)
        return alone * self._gain(of_shape, points) * survey.num_open / len(points)

    def run(self, on_progress: ProgressCallback | None = None) -> int:
        """Train every open point; outcomes of earlier runs are kept and reused.

        Returns:
            Number of points that a timeout left open; the ledger has the others.

        Raises:
            StorageFailed: an outcome cannot be written.
        """
        self.ledger.clean()
        tracker = ProgressTracker(self.ledger.outcomes(), on_progress, self.timeout_s)
        context = SearchContext(self.scope, self.trainer, self.ledger, tracker, self.kept_heads)
        sampler = self.new_sampler()
        num_settings = 0
        while not tracker.num_open and (settings := sampler.ask()):
            num_settings += len(settings)
            parts = [
                self._points(settings[start : start + _BRACKET_SETTINGS])
                for start in range(0, len(settings), _BRACKET_SETTINGS)
            ]
            for part in parts:
                tracker.begin(len(part), self._todo(context, part))
            tracker.num_unasked = self._num_unasked(sampler, num_settings)
            for part in parts:
                self._settle(context, part)
            if not tracker.num_open:
                sampler.tell(self._accuracies(settings, tracker.known))
        return tracker.num_unasked + tracker.num_open

    def train(self, point: Point) -> TrainResult:
        """The trained head of a point: a kept one, else trained now, alone.

        Raises:
            TrainingDiverged: the loss is not finite in the first epoch.
        """
        kept = self.kept_heads.get(point.key(self.scope))
        if kept is not None:
            return kept
        training = self.trainer.begin((point,))
        results: list[TrainResult | TrainingDiverged] = []
        training.complete(point.epochs, None, lambda _, done: results.extend(done))
        training.close()
        (result,) = results
        if isinstance(result, TrainingDiverged):
            raise result
        return result

    def _settle(self, context: SearchContext, points: tuple[Point, ...]) -> None:
        """Train the open ones of points that were asked for together, until the time is up."""
        known = context.tracker.known
        todo = [point for point in points if self._is_open(known, point)]
        # A point that failed earlier has missed its bracket's rungs, so its retry is not pruned.
        again = [point for point in todo if context.key(point) in known]
        fresh = [point for point in todo if context.key(point) not in known]
        for part, pruner in ((fresh, self.pruner), (again, None)):
            if part:
                Bracket(context, points, part, pruner).settle()

    def _todo(self, context: SearchContext, points: tuple[Point, ...]) -> set[str]:
        known = context.tracker.known
        return {context.key(point) for point in points if self._is_open(known, point)}

    def _num_unasked(self, sampler: Sampler, num_asked: int) -> int:
        """Points that a sampler has not asked for yet."""
        return (sampler.num_settings - num_asked) * len(self.space.seeds)

    def _points(self, settings: Sequence[Point]) -> tuple[Point, ...]:
        return tuple(point for setting in settings for point in self.space.of_seeds(setting))

    def _is_open(self, known: Mapping[str, Outcome], point: Point) -> bool:
        outcome = known.get(point.key(self.scope))
        if outcome is None:
            return True
        if outcome.status == PRUNED:
            return self.pruner is None
        return outcome.is_failed and self.retry_failed

    def _accuracies(
        self, settings: Sequence[Point], known: Mapping[str, Outcome]
    ) -> dict[str, float | None]:
        """Mean over seeds of each setting; None if a seed failed."""
        means: dict[str, float | None] = {}
        for setting in settings:
            outcomes = [known[point.key(self.scope)] for point in self.space.of_seeds(setting)]
            is_failed = any(outcome.is_failed for outcome in outcomes)
            accuracies = [outcome.val_triplet_accuracy for outcome in outcomes]
            means[setting.settings_key()] = None if is_failed else statistics.fmean(accuracies)
        return means

    def _time(self, point: Point) -> float:
        try:
            return self.trainer.seconds_per_epoch(point)
        except FAILURES:
            return math.nan

    def _gain(self, of_shape: Mapping[Hashable, float], points: Sequence[Point]) -> float:
        """Time in the plan over time alone, for the shape that the plan was measured on."""
        alone = of_shape.get(self.trainer.shape(points[0]), math.nan)
        gain = self.trainer.plan.seconds_per_epoch / alone if alone > 0 else math.nan
        return 1.0 if math.isnan(gain) else gain
