"""What a pruner is, and which ones exist: each file of this folder that registers one adds it."""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

from fec_cache.errors import BadOption


class Pruner(ABC):
    """Decides at fixed epochs (rungs) which settings of a bracket continue.

    Two pruners with the same `repr` must decide alike: a bracket is recorded under it.
    """

    name: ClassVar[str]

    @classmethod
    @abstractmethod
    def parse(cls, argument: str) -> "Pruner":
        """The pruner from the words after `name:`; empty for the defaults.

        Raises:
            BadOption: the argument is not valid.
        """

    @abstractmethod
    def num_rungs(self, num_settings: int, epochs: int) -> int:
        """Number of cuts before the last epoch; 0 if nothing can be cut."""

    @abstractmethod
    def epochs_at(self, rung: int, num_rungs: int, epochs: int) -> int:
        """Epochs that a point has been trained for in total at rung 0, 1, ..."""

    @abstractmethod
    def num_kept(self, num_settings: int) -> int:
        """How many of the settings continue after a cut."""

    @abstractmethod
    def survivors(self, accuracies: Mapping[str, Sequence[float]]) -> tuple[str, ...]:
        """Settings that continue, in the order given.

        Args:
            accuracies: setting -> best validation triplet accuracy so far of each of its seeds;
                NaN if a seed failed.
        """


PrunerType = TypeVar("PrunerType", bound=type[Pruner])
_REGISTERED: dict[str, type[Pruner]] = {}


def register(pruner: PrunerType) -> PrunerType:
    """Make a pruner available under its `name`; a class decorator."""
    _REGISTERED[pruner.name] = pruner
    return pruner


def pruners() -> Mapping[str, type[Pruner]]:
    """Every pruner by its name, in alphabetical order."""
    # Importing a file runs its `register`.
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{__package__}.{module.name}")
    return dict(sorted(_REGISTERED.items()))


def parse_pruner(text: str) -> Pruner:
    """A pruner from `name` or `name:argument`, such as `halving:4`.

    Raises:
        BadOption: no pruner has this name, or its argument is not valid.
    """
    name, _, argument = text.partition(":")
    known = pruners()
    if name not in known:
        raise BadOption(f"prune is {text!r}, but it must begin with one of: {', '.join(known)}.")
    return known[name].parse(argument)
