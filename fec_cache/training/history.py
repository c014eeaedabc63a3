"""What training returns: a record per epoch, and the trained head. Loads without torch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fec_cache.heads.base import PairHead


@dataclass(frozen=True)
class Epoch:
    """One line of the history. Accuracies are in [0, 1]; losses are means."""

    epoch: int
    train_loss: float
    val_loss: float
    val_triplet_accuracy: float
    seconds: float


@dataclass(frozen=True)
class TrainResult:
    """A trained head (on the CPU, of its best epoch), its history, and how long it took.

    `interrupted` says that Ctrl-C ended the training; the head is the best one until then.
    """

    head: "PairHead"
    history: tuple[Epoch, ...]
    best: Epoch
    duration_s: float
    interrupted: bool = False


EpochCallback = Callable[[Epoch], None]
