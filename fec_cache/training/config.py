"""`TrainConfig`: how a head is trained, with its defaults and limits."""

import math
from dataclasses import dataclass

from fec_cache.system.checks import check_choice, check_range

LOSSES = ("bce", "triplet", "odd-one-out", "contrastive")
OPTIMIZERS = ("adam", "adamw", "sgd")


@dataclass(frozen=True)
class TrainConfig:
    """How a head is trained. The defaults are the original recipe.

    `patience` stops after so many epochs without a better validation triplet accuracy; 0 never
    stops early. The best epoch is kept in either case.
    """

    lr: float = 1e-3
    epochs: int = 20
    batch_size: int = 32
    loss: str = "bce"
    optimizer: str = "adam"
    weight_decay: float = 0.0
    patience: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every field."""
        check_range("lr", self.lr, 1e-12, 1e3)
        check_range("epochs", self.epochs, 1, 100_000)
        check_range("batch size", self.batch_size, 1, 10_000_000)
        check_choice("loss", self.loss, LOSSES)
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_range("weight decay", self.weight_decay, 0.0, 1e3)
        check_range("patience", self.patience, 0, math.inf)
        check_range("seed", self.seed, 0, 2**63 - 1)
