"""How far a search is, and when its time is up."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from fec_cache.search.ledger import Outcome

_TELL_EVERY_S = 0.1


@dataclass(frozen=True)
class SearchProgress:
    """How far a search is.

    `num_done` of `num_points` points are settled, `num_known` of them by an earlier run. `work` is
    the share of this run's epochs that are trained, in [0, 1]. `new` are the points that just came
    out, `outcomes` all that are known; `in_hand` says what is in training.
    """

    num_done: int
    num_points: int
    num_known: int
    work: float
    in_hand: str
    new: tuple[Outcome, ...]
    outcomes: tuple[Outcome, ...]


ProgressCallback = Callable[[SearchProgress], None]


class Watch:
    """Counts what is done and tells it on.

    `known` are all outcomes by key, kept up to date; `num_unasked` points will be asked for later.
    """

    def __init__(
        self,
        known: dict[str, Outcome],
        on_progress: ProgressCallback | None = None,
        timeout_s: float | None = None,
    ) -> None:
        self.known = known
        self._on_progress = on_progress
        self._until = None if timeout_s is None else time.monotonic() + timeout_s
        self._told = 0.0
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
        """Whether no further group may begin."""
        return self._until is not None and time.monotonic() >= self._until

    def begin(self, num_asked: int, todo: Collection[str]) -> None:
        """Points were asked for; these keys of them are open."""
        self._num_asked += num_asked
        self._num_done += num_asked - len(todo)
        self._num_known += num_asked - len(todo)
        self._open.update(todo)

    def expect(self, num_epochs: int) -> None:
        """So many epochs are to be trained for the open points."""
        self._epochs_left = num_epochs

    def take(self, num_heads: int, num_epochs: int) -> None:
        """Some heads are trained side by side now."""
        several = "heads" if num_heads > 1 else "head"
        self._in_hand = f"{num_heads} {several} in training up to epoch {num_epochs}"
        self._tell(())

    def on_epoch(self) -> None:
        """One head has one more epoch."""
        self._epochs_done += 1
        self._epochs_left = max(0, self._epochs_left - 1)
        if time.monotonic() - self._told >= _TELL_EVERY_S:
            self._tell(())

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Points came out."""
        self.known.update({outcome.key: outcome for outcome in outcomes})
        settled = self._open.intersection(outcome.key for outcome in outcomes)
        self._open -= settled
        self._num_done += len(settled)
        self._tell(tuple(outcomes))

    def _work(self) -> float:
        # Points that a sampler has yet to ask for take as long as those that it asked for.
        trained = max(1, self._num_done - self._num_known + len(self._open))
        total = (self._epochs_done + self._epochs_left) * (1 + self.num_unasked / trained)
        return self._epochs_done / total if total else 0.0

    def _tell(self, new: tuple[Outcome, ...]) -> None:
        self._told = time.monotonic()
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
