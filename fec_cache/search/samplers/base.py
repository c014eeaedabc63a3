"""What a sampler is, and which ones exist: each file of this folder that registers one adds it."""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, TypeVar

from fec_cache.errors import BadOption
from fec_cache.search.space import Point, Space
from fec_cache.system.checks import check_choice

DEFAULT_SAMPLER = "grid"


class Sampler(ABC):
    """Chooses the settings of a search, batch by batch.

    A sampler that is given the same seed and the same accuracies asks for the same settings, so an
    interrupted search resumes by replaying its ledger.

    `covers_grid` is True if it tries the combinations of a grid, rather than values between them.
    `num_settings` counts the settings of the whole search; it shrinks if a space of lists is
    exhausted.

    Args:
        space: what may be tried.
        trials: number of settings to sample; None leaves it to the sampler.
        seed: seed of the draws.
    """

    name: ClassVar[str]
    covers_grid: ClassVar[bool] = False
    num_settings: int

    @abstractmethod
    def __init__(self, space: Space, trials: int | None, seed: int) -> None: ...

    @abstractmethod
    def ask(self) -> tuple[Point, ...]:
        """The settings to try next, each new; empty when the search is complete."""

    @abstractmethod
    def tell(self, accuracies: Mapping[str, float | None]) -> None:
        """Take the results of the last `ask`.

        Args:
            accuracies: settings key -> mean validation triplet accuracy; None if it failed.
        """


SamplerType = TypeVar("SamplerType", bound=type[Sampler])
_REGISTERED: dict[str, type[Sampler]] = {}


def register(sampler: SamplerType) -> SamplerType:
    """Make a sampler available under its `name`; a class decorator."""
    _REGISTERED[sampler.name] = sampler
    return sampler


def samplers() -> Mapping[str, type[Sampler]]:
    """Every sampler by its name, in alphabetical order. Loads neither Optuna nor torch."""
    # Importing a file runs its `register`.
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{__package__}.{module.name}")
    return dict(sorted(_REGISTERED.items()))


def make_sampler(space: Space, name: str, trials: int | None, seed: int) -> Sampler:
    """A new sampler by its name.

    Args:
        space: what may be tried.
        name: one of `samplers()`.
        trials: number of settings to sample; None for the sampler's default.
        seed: seed of the draws.

    Raises:
        BadOption: no sampler has this name, or it cannot draw this number of settings.
        MissingExtra: the sampler needs a library that is not installed.
    """
    known = samplers()
    check_choice("sampler", name, tuple(known))
    if trials is not None and trials < 1:
        raise BadOption(f"trials is {trials}, but it must be at least 1.")
    return known[name](space, trials, seed)
