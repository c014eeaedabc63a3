"""A group: points that are trained side by side, with their progress, time and outcomes."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fec_cache.errors import FecError, TrainingDiverged
from fec_cache.search.ledger import DONE, FAILED, PRUNED, Outcome
from fec_cache.search.space import Point
from fec_cache.search.trainer import SearchTrainer, Training
from fec_cache.training.history import Epoch, TrainResult

# torch raises plain RuntimeError for CUDA memory and for shapes that do not fit.
FAILURES = (FecError, RuntimeError, MemoryError)
_DIVERGED = "The loss is no longer finite in epoch 1. Try a smaller --lr."


@dataclass(frozen=True)
class Standing:
    """State of one point after `asked` epochs.

    `problem` says why it cannot continue; `result` is set once the point is finished.
    """

    point: Point
    asked: int
    history: tuple[Epoch, ...] = ()
    seconds: float = 0.0
    problem: str = ""
    result: TrainResult | None = None

    @property
    def accuracy(self) -> float:
        """Best validation triplet accuracy so far; NaN if the point failed."""
        if self.problem:
            return math.nan
        return max((epoch.val_triplet_accuracy for epoch in self.history), default=math.nan)

    def outcome(self, key: str) -> Outcome:
        """The point's entry in the ledger.

        A point is done if it had all its own epochs or stopped early by itself, else pruned.
        """
        settings = self.point.canonical().settings()
        if self.problem or not self.history:
            problem = self.problem or _DIVERGED
            return Outcome(key, settings, FAILED, duration_s=self.seconds, error=problem)
        best = max(self.history, key=lambda epoch: epoch.val_triplet_accuracy)
        num_epochs = len(self.history)
        is_over = num_epochs >= self.point.epochs or num_epochs < self.asked
        return Outcome(
            key,
            settings,
            DONE if is_over else PRUNED,
            val_triplet_accuracy=best.val_triplet_accuracy,
            val_loss=best.val_loss,
            best_epoch=best.epoch,
            epochs=num_epochs,
            duration_s=self.seconds,
        )


StandingsCallback = Callable[[Sequence[Standing]], None]


@dataclass
class Group:
    """Points of one shape in training; `ended` are those that `finish` has reported.

    A group starts when epochs are first asked of it. One that is resumed after a kill repeats the
    course of the uninterrupted one, cuts included: heads side by side share their sums, and other
    company could change the last bit of a figure (decision 7).
    """

    trainer: SearchTrainer
    points: tuple[Point, ...]
    on_epoch: Callable[[], None]
    cuts: list[tuple[int, frozenset[Point]]] = field(default_factory=list)
    ended: set[Point] = field(default_factory=set)
    _seconds: dict[Point, float] = field(default_factory=dict)
    _training: Training | None = None
    _num_epochs: int = 0

    @property
    def alive(self) -> tuple[Point, ...]:
        """The points that are still in the running."""
        return tuple(p for p in self.points if all(p in survivors for _, survivors in self.cuts))

    def reach(self, num_epochs: int) -> list[Standing]:
        """Train the points that are alive up to an epoch, counted from the start.

        Raises:
            FecError, RuntimeError, MemoryError: the group cannot be trained.
        """
        training = self._training or self._begin()
        self._advance(training, num_epochs)
        return [
            Standing(point, num_epochs, history, self._seconds.get(point, 0.0))
            for point, history in zip(self.alive, training.histories, strict=True)
        ]

    def finish(self, num_epochs: int, on_done: StandingsCallback) -> None:
        """Train the points that are alive to their end, then release the group.

        Args:
            num_epochs: counted from the start.
            on_done: called with points as soon as they are done, those of one stack together.

        Raises:
            FecError, RuntimeError, MemoryError: the group cannot be trained.
        """
        training = self._training or self._begin()
        points = self.alive

        def done(indices: Sequence[int], results: Sequence[TrainResult | TrainingDiverged]) -> None:
            """Results -> standings; each head has its own time, whatever was trained beside it."""
            standings = []
            for index, outcome in zip(indices, results, strict=True):
                point, result = points[index], outcome if isinstance(outcome, TrainResult) else None
                seconds = result.duration_s if result else self._seconds.get(point, 0.0)
                problem = "" if outcome is result else _reason(outcome)
                history = training.histories[index]
                standings.append(Standing(point, num_epochs, history, seconds, problem, result))
            self.ended.update(standing.point for standing in standings)
            on_done(standings)

        training.complete(num_epochs - self._num_epochs, lambda *_: self.on_epoch(), done)
        self.drop()

    def cut(self, num_epochs: int, survivors: frozenset[Point]) -> None:
        """Continue from this rung with the survivors only."""
        before = self.alive
        self.cuts.append((num_epochs, survivors))
        if not self.alive:
            self.drop()
        elif self._training is not None:
            self._training.keep([index for index, p in enumerate(before) if p in survivors])

    def drop(self) -> None:
        """Release processes and memory; the next epochs start training from the beginning."""
        training, self._training, self._num_epochs = self._training, None, 0
        if training is not None:
            training.close()

    def halves(self) -> tuple["Group", ...]:
        """The points that have not ended, as two groups that start from the beginning."""
        points = tuple(point for point in self.points if point not in self.ended)
        middle = len(points) // 2
        parts = [part for part in (points[:middle], points[middle:]) if part]
        return tuple(Group(self.trainer, part, self.on_epoch, list(self.cuts)) for part in parts)

    def _begin(self) -> Training:
        training = self._training = self.trainer.begin(self.points)
        cuts, self.cuts = self.cuts, []
        for num_epochs, survivors in cuts:
            self._advance(training, num_epochs)
            self.cut(num_epochs, survivors)
        return training

    def _advance(self, training: Training, num_epochs: int) -> None:
        if num_epochs <= self._num_epochs:
            return
        started = time.perf_counter()
        training.advance(num_epochs - self._num_epochs, lambda *_: self.on_epoch())
        self._num_epochs = num_epochs
        # Heads in one stack cannot be timed separately, so they share its time equally.
        spent = (time.perf_counter() - started) / len(self.alive)
        for point in self.alive:
            self._seconds[point] = self._seconds.get(point, 0.0) + spent


def failed(point: Point, asked: int, error: BaseException) -> Standing:
    """State of a point that cannot be trained."""
    return Standing(point, asked, problem=_reason(error))


def _reason(error: object) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
