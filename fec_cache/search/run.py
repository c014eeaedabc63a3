"""The coordinator: each point of a search is tried once, whatever happens on the way."""

import math
import statistics
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from fec_cache.errors import TrainingDiverged
from fec_cache.search.bracket import Bracket, Floor
from fec_cache.search.group import FAILURES
from fec_cache.search.kept_heads import Shelf
from fec_cache.search.ledger import PRUNED, Ledger, Outcome
from fec_cache.search.progress import ProgressCallback, Watch
from fec_cache.search.pruners.halving import Halving
from fec_cache.search.samplers.proposals import Proposer
from fec_cache.search.space import Point, Space
from fec_cache.search.trainer import Engine
from fec_cache.training.history import TrainResult

# All points of a bracket are on the device at the same time.
_BRACKET_SETTINGS = 243
_MOST_SHAPES = 8


@dataclass(frozen=True)
class Survey:
    """What lies before a search: points in all, points known, and the open ones it can name.

    A sampler that learns cannot name all: it asks for later ones by the figures of the first.
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

    `scope` names features, triplets, split and trainer; a point of another scope is another point.
    `propose` makes a proposer that begins from the start.
    """

    space: Space
    propose: Callable[[], Proposer]
    scope: str
    engine: Engine
    ledger: Ledger
    halving: Halving | None = None
    timeout_s: float | None = None
    retry_failed: bool = False
    shelf: Shelf = field(default_factory=Shelf)

    def survey(self) -> Survey:
        """What is known and what is open, found by asking and telling without training."""
        known = self.ledger.outcomes()
        proposer = self.propose()
        todo: list[Point] = []
        num_asked = num_settings = 0
        while not todo and (settings := proposer.ask()):
            points = self._points(settings)
            num_asked += len(points)
            num_settings += len(settings)
            todo = [point for point in points if self._is_open(known, point)]
            if not todo:
                proposer.tell(self._accuracies(settings, known))
        num_points = num_asked + self._num_unasked(proposer, num_settings)
        return Survey(num_points, num_asked - len(todo), tuple(todo))

    def seconds_expected(self, survey: Survey) -> float:
        """About how long the open points take; NaN where nothing can be timed.

        Measured on a few batches of each shape of head, and scaled by what the plan gains. A shape
        that cannot be timed counts like the others: what is wrong with it is told at its turn.
        """
        points = survey.open_points
        shapes = {self.engine.shape(point): point for point in reversed(points)}
        times = {shape: self._time(point) for shape, point in list(shapes.items())[-_MOST_SHAPES:]}
        timed = [seconds for seconds in times.values() if not math.isnan(seconds)]
        if not timed:
            return math.nan if survey.num_open else 0.0
        mean = sum(timed) / len(timed)
        of_shape = {k: mean if math.isnan(seconds) else seconds for k, seconds in times.items()}
        alone = sum(of_shape.get(self.engine.shape(p), mean) * p.epochs for p in points)
        return alone * self._gain(of_shape, points) * survey.num_open / len(points)

    def run(self, on_progress: ProgressCallback | None = None) -> int:
        """Settle every open point; what an earlier run found is kept and told again.

        Returns:
            How many points a timeout left open; the ledger has the others.

        Raises:
            StorageFailed: the disk would not take an outcome.
        """
        self.ledger.clean()
        watch = Watch(self.ledger.outcomes(), on_progress, self.timeout_s)
        floor = Floor(self.scope, self.engine, self.ledger, watch, self.shelf)
        proposer = self.propose()
        num_settings = 0
        while not watch.num_open and (settings := proposer.ask()):
            num_settings += len(settings)
            parts = [
                self._points(settings[start : start + _BRACKET_SETTINGS])
                for start in range(0, len(settings), _BRACKET_SETTINGS)
            ]
            for part in parts:
                watch.begin(len(part), self._todo(floor, part))
            watch.num_unasked = self._num_unasked(proposer, num_settings)
            for part in parts:
                self._settle(floor, part)
            if not watch.num_open:
                proposer.tell(self._accuracies(settings, watch.known))
        return watch.num_unasked + watch.num_open

    def train(self, point: Point) -> TrainResult:
        """The head of a point: from the shelf, else trained alone.

        Raises:
            TrainingDiverged: the loss is no number in the first epoch.
        """
        found = self.shelf.get(point.key(self.scope))
        if found is not None:
            return found
        training = self.engine.begin((point,))
        results: list[TrainResult | TrainingDiverged] = []
        training.complete(point.epochs, None, lambda _, found: results.extend(found))
        training.close()
        (result,) = results
        if isinstance(result, TrainingDiverged):
            raise result
        return result

    def _settle(self, floor: Floor, points: tuple[Point, ...]) -> None:
        """Settle points that were asked for together, as far as there is time."""
        known = floor.watch.known
        todo = [point for point in points if self._is_open(known, point)]
        # What failed before has missed the rungs of its bracket: it is tried again to the end.
        again = [point for point in todo if floor.key(point) in known]
        fresh = [point for point in todo if floor.key(point) not in known]
        for part, halving in ((fresh, self.halving), (again, None)):
            if part:
                Bracket(floor, points, part, halving).settle()

    def _todo(self, floor: Floor, points: tuple[Point, ...]) -> set[str]:
        known = floor.watch.known
        return {floor.key(point) for point in points if self._is_open(known, point)}

    def _num_unasked(self, proposer: Proposer, num_asked: int) -> int:
        """Points that a sampler has yet to ask for."""
        return (proposer.num_settings - num_asked) * len(self.space.seeds)

    def _points(self, settings: Sequence[Point]) -> tuple[Point, ...]:
        return tuple(point for setting in settings for point in self.space.of_seeds(setting))

    def _is_open(self, known: Mapping[str, Outcome], point: Point) -> bool:
        outcome = known.get(point.key(self.scope))
        if outcome is None:
            return True
        if outcome.status == PRUNED:
            return self.halving is None
        return outcome.is_failed and self.retry_failed

    def _accuracies(
        self, settings: Sequence[Point], known: Mapping[str, Outcome]
    ) -> dict[str, float | None]:
        """Mean over seeds of each setting; None where a seed failed."""
        found: dict[str, float | None] = {}
        for setting in settings:
            outcomes = [known[point.key(self.scope)] for point in self.space.of_seeds(setting)]
            is_failed = any(outcome.is_failed for outcome in outcomes)
            accuracies = [outcome.val_triplet_accuracy for outcome in outcomes]
            found[setting.settings_key()] = None if is_failed else statistics.fmean(accuracies)
        return found

    def _time(self, point: Point) -> float:
        try:
            return self.engine.seconds_per_epoch(point)
        except FAILURES:
            return math.nan

    def _gain(self, of_shape: Mapping[Hashable, float], points: Sequence[Point]) -> float:
        """Time in the plan against time alone, of the shape that the plan was measured on."""
        alone = of_shape.get(self.engine.shape(points[0]), math.nan)
        gain = self.engine.plan.seconds_per_epoch / alone if alone > 0 else math.nan
        return 1.0 if math.isnan(gain) else gain
