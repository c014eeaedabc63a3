"""Which settings to try next: the whole grid, or what a sampler asks for."""

import random
from collections.abc import Mapping
from typing import Protocol

from fec_cache.errors import BadOption
from fec_cache.search.space import Point, Space
from fec_cache.system.checks import check_range

GRID, RANDOM, TPE = "grid", "random", "tpe"
SAMPLERS = (GRID, RANDOM, TPE)
_MOST_TRIALS = 100_000  # random draws come all at once, and each is kept


class Proposer(Protocol):
    """Asked for settings until there are none; told the figure of each before it is asked again."""

    num_settings: int

    def ask(self) -> tuple[Point, ...]:
        """The settings to try next, each new; none when the search is over."""
        ...

    def tell(self, accuracies: Mapping[str, float | None]) -> None:
        """Figures of the settings of the last `ask` by settings key; None for a failed one."""
        ...


class GridProposer:
    """Every setting of a grid, or `trials` of them drawn by `seed`."""

    def __init__(self, space: Space, trials: int | None = None, seed: int = 0) -> None:
        settings = space.settings()
        if trials is not None and trials < len(settings):
            chosen = sorted(random.Random(seed).sample(range(len(settings)), trials))
            settings = tuple(settings[place] for place in chosen)
        self.num_settings = len(settings)
        self._left = settings

    def ask(self) -> tuple[Point, ...]:
        """All settings at once, then none."""
        asked, self._left = self._left, ()
        return asked

    def tell(self, accuracies: Mapping[str, float | None]) -> None:
        """A grid does not depend on figures."""


def make_proposer(space: Space, sampler: str, trials: int | None, seed: int) -> Proposer:
    """The proposer of a sampler's name.

    Raises:
        BadOption: there is no such sampler, or it does not say how many settings to draw.
    """
    if sampler not in SAMPLERS:
        raise BadOption(f"sampler is {sampler!r}, but it must be one of: {', '.join(SAMPLERS)}.")
    if trials is not None and trials < 1:
        raise BadOption(f"trials is {trials}, but it must be at least 1.")
    if sampler == GRID:
        return GridProposer(space, trials, seed)
    if trials is None:
        raise BadOption(f"--sampler {sampler} draws settings without end. Add --trials 50.")
    check_range("trials", trials, 1, _MOST_TRIALS)
    # Optuna takes a while to import, and a grid does without it.
    from fec_cache.search.samplers.optuna_samplers import SamplerProposer

    return SamplerProposer(space, sampler, trials, seed)
