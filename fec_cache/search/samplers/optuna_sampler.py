"""Settings drawn by one of Optuna's samplers, through ask and tell.

Optuna is imported when such a sampler is made, so that the list of samplers loads without it.
"""

import warnings
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from fec_cache.errors import BadOption
from fec_cache.search.samplers.base import Sampler
from fec_cache.search.space import Point, Space
from fec_cache.search.values import FIELDS, Axis, wrap
from fec_cache.system.checks import check_range
from fec_cache.system.extras import require

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

# Samplers that do not learn draw all settings at once, and each is kept in memory.
_MAX_TRIALS = 100_000
# A small space of lists repeats itself; it counts as exhausted after this many draws per setting.
_ASKS_PER_SETTING = 50


def load_optuna() -> Any:
    """The Optuna library, with its progress messages switched off.

    Raises:
        MissingExtra: it is not installed.
    """
    library = require("optuna", "search")
    library.logging.set_verbosity(library.logging.WARNING)
    return library


class OptunaSampler(Sampler):
    """`trials` distinct settings; subclasses choose which of Optuna's samplers draws them.

    `batch_size` settings are asked for before any result is reported; None asks for all.
    """

    batch_size: ClassVar[int | None] = None

    def __init__(self, space: Space, trials: int | None, seed: int = 0) -> None:
        if trials is None:
            raise BadOption(
                f"--sampler {self.name} needs the number of settings to draw. Add --trials 50."
            )
        check_range("trials", trials, 1, _MAX_TRIALS)
        self.num_settings = trials
        self._space = space
        self._batch_size = self.batch_size or trials
        library = self._optuna = load_optuna()
        varied = [axis for axis in space.axes if len(axis.values) > 1]
        self._distributions = {axis.name: _distribution(library, axis) for axis in varied}
        self._study = self._new_study(seed)
        self._asked: list[tuple[optuna.Trial, str]] = []
        self._known: dict[str, float | None] = {}

    @abstractmethod
    def _new_sampler(self, optuna: Any, seed: int) -> Any:
        """Optuna's own sampler."""

    def ask(self) -> tuple[Point, ...]:
        """The next batch of new settings.

        A setting that is drawn again is reported to Optuna again, but not tried again.
        """
        self._asked = []
        batch: dict[str, Point] = {}
        num_wanted = min(self._batch_size, self.num_settings - len(self._known))
        for _ in range(num_wanted * _ASKS_PER_SETTING):
            if len(batch) == num_wanted:
                break
            trial = self._study.ask(self._distributions)
            point = self._space.point(self._values(trial.params))
            key = point.settings_key()
            if key in self._known:
                self._report(trial, self._known[key])
                continue
            self._asked.append((trial, key))
            batch.setdefault(key, point)
        if len(batch) < num_wanted:
            self.num_settings = len(self._known) + len(batch)
        return tuple(batch.values())

    def tell(self, accuracies: Mapping[str, float | None]) -> None:
        """Report results to Optuna, always in the order of asking, so that a replay is exact."""
        for trial, key in self._asked:
            self._known[key] = accuracies[key]
            self._report(trial, accuracies[key])
        self._asked = []

    def _report(self, trial: "optuna.Trial", accuracy: float | None) -> None:
        if accuracy is None:
            self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(trial, accuracy)

    def _values(self, params: Mapping[str, Any]) -> dict[str, object]:
        values: dict[str, object] = {}
        for axis in self._space.axes:
            drawn = params.get(axis.name, 0)
            values[axis.name] = axis.values[drawn] if axis.span is None else wrap(axis.name, drawn)
        return values

    def _new_study(self, seed: int) -> Any:
        with warnings.catch_warnings():
            # Optuna before 5 calls the constant liar experimental.
            warnings.simplefilter("ignore", self._optuna.exceptions.ExperimentalWarning)
            sampler = self._new_sampler(self._optuna, seed)
        return self._optuna.create_study(direction="maximize", sampler=sampler)


def _distribution(optuna: Any, axis: Axis) -> "BaseDistribution":
    """What Optuna draws from: a range as it is, a list by the index of a value in it."""
    kinds, span = optuna.distributions, axis.span
    distribution: BaseDistribution
    if span is None:
        distribution = kinds.CategoricalDistribution(list(range(len(axis.values))))
    elif span.is_int or FIELDS[axis.name] is int:
        distribution = kinds.IntDistribution(int(span.low), int(span.high), log=span.is_log)
    else:
        distribution = kinds.FloatDistribution(span.low, span.high, log=span.is_log)
    return distribution
