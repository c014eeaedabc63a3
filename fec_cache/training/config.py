"""`TrainConfig`: how a head is trained, with its defaults and limits."""

import math
from dataclasses import dataclass, field

from fec_cache.system.checks import check_choice, check_range, check_whole

# On real faces the losses differ by 1.1 points, less than one standard error (docs/experiments.md).
LOSSES = ("bce", "triplet", "odd-one-out", "contrastive")
OPTIMIZERS = ("adam", "adamw", "sgd")


@dataclass(frozen=True)
class TrainConfig:
    """How a head is trained. The defaults are the original recipe.

    The best epoch by validation triplet accuracy is kept, whether or not `patience` ends training.

    Example:
        >>> TrainConfig(lr=3e-4).epochs
        20
    """

    lr: float = field(default=1e-3, metadata={"help": "Learning rate."})
    epochs: int = field(default=20, metadata={"help": "Maximum number of epochs."})
    batch_size: int = field(
        default=32,
        metadata={"help": "Pairs per step; triplets with the losses triplet and odd-one-out."},
    )
    loss: str = field(
        default="bce",
        metadata={
            "help": "bce or contrastive on pairs; triplet (hinge) or odd-one-out (softmax over "
            "the raters' votes) on triplets.",
            "choices": LOSSES,
        },
    )
    optimizer: str = field(
        default="adam",
        metadata={
            "help": "Optimizer. adamw is Adam with decoupled weight decay.",
            "choices": OPTIMIZERS,
        },
    )
    weight_decay: float = field(default=0.0, metadata={"help": "Weight decay."})
    patience: int = field(
        default=0,
        metadata={"help": "Stop after this many epochs without improvement; 0 never stops early."},
    )
    seed: int = field(
        default=0, metadata={"help": "Seed of the initial weights, batch order and dropout."}
    )

    def __post_init__(self) -> None:
        """Check every field."""
        check_range("lr", self.lr, 1e-12, 1e3)
        check_whole("epochs", self.epochs, 1, 100_000)
        check_whole("batch size", self.batch_size, 1, 10_000_000)
        check_choice("loss", self.loss, LOSSES)
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_range("weight decay", self.weight_decay, 0.0, 1e3)
        check_whole("patience", self.patience, 0, math.inf)
        check_whole("seed", self.seed, 0, 2**63 - 1)
