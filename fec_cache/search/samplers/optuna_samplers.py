"""Settings drawn by one of Optuna's samplers, by ask and tell from one coordinator.

A sampler with one seed that is told the same figures asks for the same settings, so a search that
was broken off is resumed by telling it again what the ledger knows.
"""

import warnings
from collections.abc import Mapping

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from fec_cache.search.space import Point, Space
from fec_cache.search.values import FIELDS, Axis, wrap

# So many settings are asked for before any of them is told: they are trained side by side.
TPE_BATCH = 8
_ASKS_PER_SETTING = 50


class SamplerProposer:
    """`trials` distinct settings drawn by an Optuna sampler, `random` or `tpe`."""

    def __init__(self, space: Space, sampler: str, trials: int, seed: int = 0) -> None:
        self.num_settings = trials
        self._space = space
        self._distributions = distributions_of(space)
        self._batch = TPE_BATCH if sampler == "tpe" else trials
        self._study = _new_study(sampler, seed)
        self._asked: list[tuple[optuna.Trial, str]] = []
        self._known: dict[str, float | None] = {}

    def ask(self) -> tuple[Point, ...]:
        """The next batch; a setting that is drawn again is told again but not tried again."""
        self._asked = []
        found: dict[str, Point] = {}
        wanted = min(self._batch, self.num_settings - len(self._known))
        for _ in range(wanted * _ASKS_PER_SETTING):
            if len(found) == wanted:
                break
            trial = self._study.ask(self._distributions)
            point = self._space.point(self._values(trial.params))
            key = point.settings_key()
            if key in self._known:
                self._tell(trial, self._known[key])
                continue
            self._asked.append((trial, key))
            found.setdefault(key, point)
        if len(found) < wanted:  # a space of lists has come to its end
            self.num_settings = len(self._known) + len(found)
        return tuple(found.values())

    def tell(self, accuracies: Mapping[str, float | None]) -> None:
        """Hand the figures to the sampler, in the order of asking."""
        for trial, key in self._asked:
            self._known[key] = accuracies[key]
            self._tell(trial, accuracies[key])
        self._asked = []

    def _tell(self, trial: optuna.Trial, accuracy: float | None) -> None:
        if accuracy is None:
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._study.tell(trial, accuracy)

    def _values(self, params: Mapping[str, object]) -> dict[str, object]:
        values: dict[str, object] = {}
        for axis in self._space.axes:
            drawn = params.get(axis.name, 0)
            if axis.span is None:
                values[axis.name] = axis.values[int(drawn)]  # type: ignore[call-overload]
            else:
                values[axis.name] = wrap(axis.name, drawn)  # type: ignore[arg-type]
        return values


def distributions_of(space: Space) -> dict[str, BaseDistribution]:
    """What Optuna draws from: ranges as they are, lists by the place of a value in them."""
    return {axis.name: _distribution(axis) for axis in space.axes if len(axis.values) > 1}


def _distribution(axis: Axis) -> BaseDistribution:
    span = axis.span
    if span is None:
        return CategoricalDistribution(list(range(len(axis.values))))
    if span.is_int or FIELDS[axis.name] is int:
        return IntDistribution(int(span.low), int(span.high), log=span.is_log)
    return FloatDistribution(span.low, span.high, log=span.is_log)


def _new_study(sampler: str, seed: int) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        # Optuna before 5 calls the constant liar an experiment.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        kind = (
            optuna.samplers.TPESampler(seed=seed, constant_liar=True)
            if sampler == "tpe"
            else optuna.samplers.RandomSampler(seed=seed)
        )
    return optuna.create_study(direction="maximize", sampler=kind)
