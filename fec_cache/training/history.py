"""What training leaves behind: one line an epoch, and the trained head."""

from collections.abc import Callable
from dataclasses import dataclass

from fec_cache.heads.base import PairHead


@dataclass(frozen=True)
class Epoch:
    """One line of the history. Accuracies are shares; losses are means."""

    epoch: int
    train_loss: float
    val_loss: float
    val_triplet_accuracy: float
    seconds: float


@dataclass(frozen=True)
class TrainResult:
    """A trained head (on the CPU, best epoch), how it came about, and how long it took.

    `interrupted` says that Ctrl-C ended the training: the head is the best one until then.
    """

    head: PairHead
    history: tuple[Epoch, ...]
    best: Epoch
    duration_s: float
    interrupted: bool = False


EpochCallback = Callable[[Epoch], None]
