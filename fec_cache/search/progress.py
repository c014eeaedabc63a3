"""How far a search is, and when its time is up."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from fec_cache.search.ledger import Outcome

_REPORT_EVERY_S = 0.1


@dataclass(frozen=True)
class SearchProgress:
    """How far a search is.

    `num_done` of `num_points` points are settled, `num_known` of them by an earlier run. `work` is
    the share of this run's epochs that are trained, in [0, 1]. `new` are the points that were just
    settled, `outcomes` all that are known; `in_hand` describes what is in training.
    """

    num_done: int
    num_points: int
    num_known: int
    work: float
    in_hand: str
    new: tuple[Outcome, ...]
    outcomes: tuple[Outcome, ...]


ProgressCallback = Callable[[SearchProgress], None]


class ProgressTracker:
    """Counts points and epochs, and reports them.

    `known` are all outcomes by key, kept up to date; `num_unasked` points will be asked for later.

    Args:
        known: outcomes of earlier runs.
        on_progress: called after each change, epochs at most ten times a second.
        timeout_s: time limit from now on.
    """

    def __init__(
        self,
        known: dict[str, Outcome],
        on_progress: ProgressCallback | None = None,
        timeout_s: float | None = None,
    ) -> None:
        self.known = known
        self._on_progress = on_progress
        self._deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._reported_at = 0.0
        self._open: set[str] = set()
        self.num_unasked = 0
        self._num_asked = self._num_done = self._num_known = 0
        self._epochs_done = self._epochs_left = 0
        self._in_hand = ""

    @property
    def num_open(self) -> int:
        """Points that were asked for and are not settled."""
        return len(self._open)

    @property
    def is_time_up(self) -> bool:
        """Whether no further group may start."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def begin(self, num_asked: int, todo: Collection[str]) -> None:
        """Count points that were asked for; the keys in `todo` are open, the others known."""
        self._num_asked += num_asked
        self._num_done += num_asked - len(todo)
        self._num_known += num_asked - len(todo)
        self._open.update(todo)

    def expect(self, num_epochs: int) -> None:
        """Set how many epochs the open points still need."""
        self._epochs_left = num_epochs

    def take(self, num_heads: int, num_epochs: int) -> None:
        """Report that a group of heads is now in training up to an epoch."""
        several = "heads" if num_heads > 1 else "head"
        self._in_hand = f"{num_heads} {several} in training up to epoch {num_epochs}"
        self._report(())

    def on_epoch(self) -> None:
        """Count one more epoch of one head."""
        self._epochs_done += 1
        self._epochs_left = max(0, self._epochs_left - 1)
        if time.monotonic() - self._reported_at >= _REPORT_EVERY_S:
            self._report(())

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Count points that were just settled."""
        self.known.update({outcome.key: outcome for outcome in outcomes})
        settled = self._open.intersection(outcome.key for outcome in outcomes)
        self._open -= settled
        self._num_done += len(settled)
        self._report(tuple(outcomes))

    def _work(self) -> float:
        # Points that a sampler has not asked for yet are assumed to take as long as the others.
        trained = max(1, self._num_done - self._num_known + len(self._open))
        total = (self._epochs_done + self._epochs_left) * (1 + self.num_unasked / trained)
        return self._epochs_done / total if total else 0.0

    def _report(self, new: tuple[Outcome, ...]) -> None:
        self._reported_at = time.monotonic()
        if self._on_progress is None:
            return
        self._on_progress(
            SearchProgress(
                self._num_done,
                self._num_asked + self.num_unasked,
                self._num_known,
                self._work(),
                self._in_hand,
                new,
                tuple(self.known.values()),
            )
        )
